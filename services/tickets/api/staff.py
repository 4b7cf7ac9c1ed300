"""`/v1/agents` and `/v1/teams`: who works, where, and how much."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from services.tickets.api.lease import Reader, Writer
from services.tickets.api.shapes import Body, Id, Name
from services.tickets.handlers import staffing
from services.tickets.handlers.ledger import Desk
from services.tickets.store import staff
from shared.db.transaction import Transaction
from shared.errors import Forbidden, NotFound
from shared.platform.models import Agent, AgentKind, Availability, Team
from shared.platform.scopes import Role
from shared.platform.store import agents, teams
from shared.web.calls import Answer, Call, etag, requires
from shared.web.pages import Page, Paged
from shared.web.problems import problems

Manager = Annotated[Call, requires("agents:manage")]
Capacity = Annotated[int, Field(ge=0, le=10_000, description="Tickets at once; zero: none by itself")]
TeamName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]

router = APIRouter(tags=["staff"])


class AgentView(BaseModel):
    """A member of staff, human or bot; `load` counts tickets that are owned or offered and not resolved."""

    id: str
    name: str
    kind: AgentKind
    role: Role
    availability: Availability
    capacity: int
    load: int
    teams: list[str]
    on_duty: list[str] = Field(description="Those of its teams for which it is on duty now")
    disabled_at: datetime | None
    version: int
    created_at: datetime


class AgentBody(Body):
    """An agent to be."""

    name: Name
    kind: AgentKind = "human"
    role: Role = "agent"
    availability: Availability = "available"
    capacity: Capacity = 50
    teams: list[TeamName] = Field(default_factory=list, max_length=100)


class AgentPatch(Body):
    """What may change; a disabled agent's tickets go to others and its keys stop working."""

    name: Name | None = None
    role: Role | None = None
    availability: Availability | None = None
    capacity: Capacity | None = None
    disabled: bool | None = None


class AvailabilityBody(Body):
    """Whether an agent takes work."""

    availability: Availability


class TeamView(BaseModel):
    """An owner group with a queue."""

    id: str
    name: str
    requires_acceptance: bool
    offer_seconds: int
    is_fallback: bool
    version: int
    created_at: datetime


class TeamBody(Body):
    """A team to be."""

    id: TeamName
    name: Name
    requires_acceptance: bool = False
    offer_seconds: int = Field(120, ge=5, le=86_400)


class TeamPatch(Body):
    """What may change; `is_fallback` can only be given to another team."""

    name: Name | None = None
    requires_acceptance: bool | None = None
    offer_seconds: int | None = Field(None, ge=5, le=86_400)
    is_fallback: Literal[True] | None = None


@router.post(
    "/v1/agents",
    operation_id="createAgent",
    status_code=201,
    response_model=AgentView,
    responses=problems(403, 404, 422),
)
async def create_agent(body: AgentBody, call: Manager) -> Response:
    """A new agent, who takes from the queues of its teams at once."""
    fields = body.model_dump(exclude={"teams"})

    async def work(tx: Transaction) -> Answer:
        hired = await staffing.hire(tx, call.resource(Desk), call.principal, places=body.teams, **fields)
        return await _shown(tx, hired)

    return await call.perform(work)


@router.get("/v1/agents", operation_id="listAgents", response_model=Paged[AgentView], responses=problems(400, 403))
async def list_agents(call: Reader, page: Page, team: Annotated[str | None, Query(max_length=63)] = None) -> Response:
    """Agents, of the workspace or of one team."""
    async with call.transaction() as tx:
        found = await agents.page(tx, call.workspace_id, team=team, after=page.after_id(), limit=page.limit + 1)
        shown, cursor = page.cut(found, key=lambda agent: (agent.id,))
        rows = await _rows(tx, call.workspace_id, list(shown))
    return call.listing(rows, cursor)


@router.get("/v1/agents/{agent_id}", operation_id="getAgent", response_model=AgentView, responses=problems(403, 404))
async def get_agent(agent_id: Id, call: Reader) -> Response:
    """One agent."""
    async with call.transaction() as tx:
        agent = await agents.load(tx, call.workspace_id, agent_id)
        if agent is None:
            raise NotFound(f"there is no agent {agent_id}")
        [row] = await _rows(tx, call.workspace_id, [agent])
    return call.answer(row, headers={"ETag": etag(agent.version)})


@router.patch(
    "/v1/agents/{agent_id}",
    operation_id="amendAgent",
    response_model=AgentView,
    responses=problems(400, 403, 404, 412, 422, 428),
)
async def amend_agent(agent_id: Id, body: AgentPatch, call: Manager) -> Response:
    """Changes an agent; whoever gets room takes from the queue, whoever is disabled gives tickets back."""
    version, fields = call.version(), body.model_dump(exclude_none=True)

    async def work(tx: Transaction) -> Answer:
        desk = call.resource(Desk)
        return await _shown(
            tx, await staffing.amend(tx, desk, call.principal, agent_id, version=version, fields=fields)
        )

    return await call.perform(work)


@router.put(
    "/v1/agents/{agent_id}/availability",
    operation_id="setAvailability",
    response_model=AgentView,
    responses=problems(403, 404, 422),
)
async def set_availability(agent_id: Id, body: AvailabilityBody, call: Writer) -> Response:
    """Says whether an agent takes work: one's own (`me`), or anybody's for who manages agents."""
    wanted = call.agent_id() if agent_id == "me" else agent_id
    if wanted != call.principal.agent_id and not call.principal.may("agents:manage"):
        raise Forbidden("to change others needs agents:manage", missing=["agents:manage"])
    fields = body.model_dump()

    async def work(tx: Transaction) -> Answer:
        desk = call.resource(Desk)
        return await _shown(tx, await staffing.amend(tx, desk, call.principal, wanted, version=None, fields=fields))

    return await call.perform(work)


@router.post(
    "/v1/teams",
    operation_id="createTeam",
    status_code=201,
    response_model=TeamView,
    responses=problems(403, 409, 422),
)
async def create_team(body: TeamBody, call: Manager) -> Response:
    """A new team with an empty queue."""
    fields = body.model_dump(exclude={"id"})

    async def work(tx: Transaction) -> Answer:
        return _team(await teams.create(tx, call.workspace_id, team_id=body.id, **fields))

    return await call.perform(work)


@router.get("/v1/teams", operation_id="listTeams", response_model=Paged[TeamView], responses=problems(400, 403))
async def list_teams(call: Reader, page: Page) -> Response:
    """Teams by id."""
    async with call.transaction() as tx:
        found = await teams.page(tx, call.workspace_id, after=page.after_id(), limit=page.limit + 1)
    shown, cursor = page.cut(found, key=lambda team: (team.id,))
    return call.listing([_team(team).body for team in shown], cursor)


@router.get("/v1/teams/{team_id}", operation_id="getTeam", response_model=TeamView, responses=problems(403, 404))
async def get_team(team_id: Id, call: Reader) -> Response:
    """One team."""
    async with call.transaction() as tx:
        team = await teams.load(tx, call.workspace_id, team_id)
    if team is None:
        raise NotFound(f"there is no team {team_id}")
    return call.answer(_team(team).body, version=team.version)


@router.patch(
    "/v1/teams/{team_id}",
    operation_id="amendTeam",
    response_model=TeamView,
    responses=problems(400, 403, 404, 412, 422, 428),
)
async def amend_team(team_id: Id, body: TeamPatch, call: Manager) -> Response:
    """Changes how a team takes work."""
    version, fields = call.version(), body.model_dump(exclude_none=True)

    async def work(tx: Transaction) -> Answer:
        return _team(await staffing.amend_team(tx, call.principal, team_id, version=version, fields=fields))

    return await call.perform(work)


@router.delete("/v1/teams/{team_id}", operation_id="deleteTeam", status_code=204, responses=problems(403, 404, 409))
async def delete_team(team_id: Id, call: Manager) -> Response:
    """Removes a team without tickets."""

    async def work(tx: Transaction) -> None:
        await staffing.dissolve(tx, call.principal, team_id)

    return await call.perform(work)


@router.put(
    "/v1/teams/{team_id}/members/{agent_id}",
    operation_id="addMember",
    status_code=204,
    responses=problems(403, 404),
)
async def add_member(team_id: Id, agent_id: Id, call: Manager) -> Response:
    """Puts an agent into a team, whose queue it takes from at once."""

    async def work(tx: Transaction) -> None:
        await staffing.join(tx, call.resource(Desk), call.principal, team_id, agent_id)

    return await call.perform(work)


@router.delete(
    "/v1/teams/{team_id}/members/{agent_id}",
    operation_id="removeMember",
    status_code=204,
    responses=problems(403, 404),
)
async def remove_member(team_id: Id, agent_id: Id, call: Manager) -> Response:
    """Takes an agent out of a team; the tickets that it owns stay with it."""

    async def work(tx: Transaction) -> None:
        await staffing.leave(tx, call.resource(Desk), call.principal, team_id, agent_id)

    return await call.perform(work)


async def _shown(tx: Transaction, agent: Agent) -> Answer:
    [row] = await _rows(tx, agent.workspace_id, [agent])
    return Answer(body=row, version=agent.version)


async def _rows(tx: Transaction, workspace_id: str, found: list[Agent]) -> list[dict[str, Any]]:
    ids = [agent.id for agent in found]
    places = await teams.teams_of(tx, workspace_id, ids)
    duties = await teams.teams_of(tx, workspace_id, ids, on_duty=True)
    loads = await staff.loads(tx, workspace_id, ids)
    return [
        {
            "id": agent.id,
            "name": agent.name,
            "kind": agent.kind,
            "role": agent.role,
            "availability": agent.availability,
            "capacity": agent.capacity,
            "load": loads.get(agent.id, 0),
            "teams": places[agent.id],
            "on_duty": duties[agent.id],
            "disabled_at": agent.disabled_at,
            "version": agent.version,
            "created_at": agent.created_at,
        }
        for agent in found
    ]


def _team(team: Team) -> Answer:
    return Answer(body=TeamView.model_validate(team, from_attributes=True), version=team.version)
