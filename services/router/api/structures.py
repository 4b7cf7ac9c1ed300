"""`/v1/rulesets/structures/{structure}`: the rules of a structure, put in force."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from services.router.api.rulesets import Writer
from services.router.handlers import plans
from shared import structures
from shared.db.transaction import Transaction
from shared.web.plans import At, PlanView, view
from shared.web.problems import problems

router = APIRouter(tags=["routing"])


class StructureRules(BaseModel):
    """How to apply them."""

    model_config = ConfigDict(extra="forbid")

    dry_run: bool = Field(False, description="Only tell what would change")
    at: At = None


class AppliedRules(BaseModel):
    """What is different in the ruleset in force, and the version that has it; with a plan, what would be if it were
    now."""

    structure: str
    dry_run: bool
    changed: bool
    version: int
    changes: dict[str, Any]
    plan: PlanView | None = None


@router.post(
    "/v1/rulesets/structures/{structure}",
    operation_id="applyStructureRules",
    response_model=AppliedRules,
    responses=problems(403, 404, 409, 422),
)
async def apply_structure_rules(
    call: Writer, structure: Annotated[str, Path(max_length=64)], body: StructureRules
) -> Response:
    """Puts its rules in front of the ruleset in force (with `at`: in force then), as a new version; nothing when they
    are there already. Its teams must exist: `POST /v1/structures/{structure}` creates them."""
    wanted, fields = structures.load(structure), body.model_dump()

    async def work(tx: Transaction) -> dict[str, Any]:
        told, kept = await plans.apply(tx, call.ids, call.workspace_id, wanted, author=call.principal.id, **fields)
        return told | {"plan": view(kept) if kept else None}

    return await call.perform(work)
