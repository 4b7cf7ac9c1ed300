"""A small service over the platform's teams: every kind of route that real services have."""

import asyncio
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from shared.db.transaction import Transaction
from shared.errors import Conflict, NotFound, Retryable
from shared.platform.models import Team
from shared.platform.store import teams
from shared.web.calls import Answer, Call, requires, stale
from shared.web.pages import Page, Paged
from shared.web.problems import problems
from tests.support.api import Stub

Reader = Annotated[Call, requires("tickets:read")]
Writer = Annotated[Call, requires("agents:manage")]


class NameTaken(Conflict):
    """Another team has this name; the wish is noted all the same."""

    code = "name-taken"
    title = "Another team has this name"
    keeps_effects = True


class Draft(BaseModel):
    """A team to be."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(pattern="^[a-z-]+$")
    name: str


class View(BaseModel):
    """A team as clients see it."""

    id: str
    name: str
    version: int


def view(team: Team) -> View:
    """The public part of a team."""
    return View(id=team.id, name=team.name, version=team.version)


async def note(tx: Transaction, call: Call, name: str) -> None:
    """An effect that tests can count."""
    await tx.execute("INSERT INTO demo.seen (workspace_id, key, name) VALUES ($1, 'k', $2)", call.workspace_id, name)


class Gate:
    """Stands in a write's transaction; closed, it holds it until a test opens it."""

    def __init__(self, *, closed: bool = False) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()
        if not closed:
            self.opened.set()

    async def pass_(self) -> None:
        """Says that it is here, and waits."""
        self.reached.set()
        await self.opened.wait()


router = APIRouter(prefix="/v1", tags=["teams"])


@router.get("/teams", operation_id="listTeams", response_model=Paged[View])
async def list_teams(call: Reader, page: Page) -> Response:
    """A list."""
    async with call.transaction() as tx:
        rows = await teams.page(tx, call.workspace_id, after=page.after_id(), limit=page.limit + 1)
    shown, cursor = page.cut(rows, key=lambda team: (team.id,))
    return call.listing([view(team) for team in shown], cursor)


@router.get("/teams/{team_id}", operation_id="getTeam", response_model=View, responses=problems(404))
async def get_team(team_id: str, call: Reader) -> Response:
    """One, with its version."""
    async with call.transaction() as tx:
        team = await teams.load(tx, call.workspace_id, team_id)
    if team is None:
        raise NotFound(f"there is no team {team_id}")
    return call.answer(view(team), version=team.version)


@router.post("/teams", operation_id="createTeam", status_code=201, response_model=View, responses=problems(409))
async def create_team(body: Draft, call: Writer) -> Response:
    """A write that may be refused, with or without effects, and that a gate may hold."""

    async def work(tx: Transaction) -> Answer:
        await note(tx, call, body.name)
        if body.name == "taken":
            raise NameTaken("another team is called so", wish=body.name)
        await call.resource(Gate).pass_()
        team = await teams.create(tx, call.workspace_id, team_id=body.id, name=body.name)
        return Answer(body=view(team), version=team.version, headers={"Location": f"/v1/teams/{team.id}"})

    return await call.perform(work)


@router.patch("/teams/{team_id}", operation_id="renameTeam", response_model=View, responses=problems(404, 412, 428))
async def rename_team(team_id: str, body: Draft, call: Writer) -> Response:
    """A write on a version."""
    expected = call.version()

    async def work(tx: Transaction) -> Answer:
        team = await teams.load(tx, call.workspace_id, team_id, lock=True)
        if team is None:
            raise NotFound(f"there is no team {team_id}")
        if team.version != expected:
            raise stale(team.version, changed_by="agt_other")
        saved = await teams.save(tx, replace(team, name=body.name))
        assert saved is not None
        return Answer(body=view(saved), version=saved.version)

    return await call.perform(work)


@router.delete("/teams/{team_id}", operation_id="deleteTeam", status_code=204)
async def delete_team(team_id: str, call: Writer) -> Response:
    """A write with nothing to say."""

    async def work(tx: Transaction) -> None:
        await note(tx, call, team_id)
        await teams.delete(tx, call.workspace_id, team_id)

    return await call.perform(work)


@router.post("/broken/{how}", operation_id="break", status_code=204)
async def break_(how: str, call: Writer) -> Response:
    """A write that fails."""

    async def work(tx: Transaction) -> None:
        await note(tx, call, how)
        if how == "away":
            raise Retryable("the database at 10.0.0.1 is away", retry_after=7)
        raise ValueError("the secret is hunter2")

    return await call.perform(work)


@router.post("/me", operation_id="whoAmI")
async def who_am_i(call: Annotated[Call, requires()]) -> Response:
    """Whoever calls."""
    return call.answer({"agent": call.agent_id(), "name": call.principal.name, "kind": call.principal.kind})


def service(gate: Gate | None = None) -> Stub:
    """The whole of it."""
    return Stub(router=router, resources=[gate or Gate()])
