"""`/v1/rulesets/structures/{structure}`: the rules of a structure, put in force."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from services.router.api.rulesets import Writer
from services.router.handlers import structures as handlers
from shared import structures
from shared.db.transaction import Transaction
from shared.web.problems import problems

router = APIRouter(tags=["routing"])


class StructureRules(BaseModel):
    """How to apply them."""

    model_config = ConfigDict(extra="forbid")

    dry_run: bool = Field(False, description="Only tell what would change")


class AppliedRules(BaseModel):
    """What is different in the ruleset in force, and the version that has it."""

    structure: str
    dry_run: bool
    changed: bool
    version: int
    changes: dict[str, Any]


@router.post(
    "/v1/rulesets/structures/{structure}",
    operation_id="applyStructureRules",
    response_model=AppliedRules,
    responses=problems(403, 404, 409, 422),
)
async def apply_structure_rules(
    call: Writer, structure: Annotated[str, Path(max_length=64)], body: StructureRules
) -> Response:
    """Puts its rules in front of the ruleset in force, as a new version; nothing when they are there already. Its teams
    must exist: `POST /v1/structures/{structure}` creates them."""
    wanted = structures.load(structure)

    async def work(tx: Transaction) -> dict[str, Any]:
        author = call.principal.id
        return await handlers.apply(tx, call.workspace_id, wanted, author=author, dry_run=body.dry_run)

    return await call.perform(work)
