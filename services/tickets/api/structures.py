"""`/v1/structures`: ways for teams to work, as data, and the people's side of applying one."""

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from starlette.responses import Response

from services.tickets.api.lease import Reader
from services.tickets.api.shapes import Body, Ref
from services.tickets.api.staff import Manager, TeamName
from services.tickets.handlers import structures as handlers
from services.tickets.handlers.ledger import Desk
from services.tickets.handlers.structures import Options
from shared import structures
from shared.db.transaction import Transaction
from shared.web.calls import Answer
from shared.web.plans import At, PlanView, view
from shared.web.problems import problems

StructureName = Annotated[str, Path(max_length=64)]

router = APIRouter(tags=["staff"])


class StructureView(BaseModel):
    """A structure: teams, schedules by team, and rules that go in front of a ruleset's own."""

    name: str
    about: str
    teams: list[dict[str, str]]
    schedules: dict[str, dict[str, Any]]
    lanes: list[str] = Field(description="Lanes that the rules ask for")
    rules: list[dict[str, Any]]
    fallback: dict[str, Any] | None


class StructureBody(Body):
    """How to apply it."""

    zone: str = Field("UTC", max_length=64, description="The time zone of its schedules")
    members: dict[TeamName, list[Ref]] = Field(
        default_factory=dict,
        max_length=100,
        description="Who is in its teams; one that has nobody and is not named gets everybody",
    )
    replace: bool = Field(False, description="Put its schedules in place of others; otherwise those are kept")
    dry_run: bool = Field(False, description="Only tell what would change")
    at: At = None

    def options(self) -> Options:
        """Without when, and whether."""
        return Options(zone=self.zone, members=self.members, replace=self.replace)


class StepView(BaseModel):
    """One thing that was done, or that would be."""

    team: str
    what: Literal["team", "members", "schedule"]
    change: Literal["created", "added", "replaced", "kept"]
    agents: list[str] | None = None


class AppliedView(BaseModel):
    """What applying it came to, or with a plan what it would if it were now; its rules are put in force by
    `POST /v1/rulesets/structures/{structure}`."""

    structure: str
    dry_run: bool
    changed: bool
    changes: list[StepView]
    plan: PlanView | None = None


@router.get(
    "/v1/structures", operation_id="listStructures", response_model=list[StructureView], responses=problems(403)
)
async def list_structures(call: Reader) -> Response:
    """All structures."""
    return call.answer([_shown(structures.load(name)) for name in structures.names()])


@router.get(
    "/v1/structures/{structure}",
    operation_id="getStructure",
    response_model=StructureView,
    responses=problems(403, 404),
)
async def get_structure(structure: StructureName, call: Reader) -> Response:
    """One structure."""
    return call.answer(_shown(structures.load(structure)))


@router.post(
    "/v1/structures/{structure}",
    operation_id="applyStructure",
    response_model=AppliedView,
    responses=problems(403, 404, 422),
)
async def apply_structure(structure: StructureName, body: StructureBody, call: Manager) -> Response:
    """Creates its teams, fills them, and puts their schedules in force; a second time there is nothing left to do. With
    `at`, only the teams are created now."""
    wanted, options, desk = structures.load(structure), body.options(), call.resource(Desk)

    async def work(tx: Transaction) -> Answer:
        told, kept = await handlers.apply(tx, desk, call.principal, wanted, options, at=body.at, dry_run=body.dry_run)
        return Answer(body=told | {"plan": view(kept) if kept else None})

    return await call.perform(work)


def _shown(structure: structures.Structure) -> dict[str, Any]:
    return {name: getattr(structure, name) for name in structure.__struct_fields__} | {
        "teams": msgspec.to_builtins(structure.teams)
    }
