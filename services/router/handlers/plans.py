"""What takes effect now or at a date: a version, or the rules of a structure, put in force for whoever asked for it."""

from datetime import datetime
from typing import Any

from services.router.handlers import deciding, structures
from services.router.store.rulesets import Ruleset
from shared import structures as documents
from shared.db import plans
from shared.db.plans import Plan, What
from shared.db.transaction import Transaction
from shared.ids import Ids
from shared.structures import Structure


async def activate(
    tx: Transaction, ids: Ids, workspace_id: str, version: int, *, at: datetime | None, author: str
) -> tuple[Ruleset, Plan | None]:
    """Puts a version in force; or plans it, when it could be put in force now."""
    if at is None:
        return await deciding.activate(tx, workspace_id, version, author=author), None
    found = await deciding.checked(tx, workspace_id, version)
    return found, await plans.keep(tx, ids, workspace_id, at=at, what={"ruleset": version}, author=author)


async def apply(
    tx: Transaction,
    ids: Ids,
    workspace_id: str,
    structure: Structure,
    *,
    at: datetime | None,
    author: str,
    dry_run: bool,
) -> tuple[dict[str, Any], Plan | None]:
    """What changes, or would if it were now. A plan goes into the ruleset that is in force at its instant."""
    if at is not None:
        await plans.check_instant(tx, at)
    if dry_run:
        return await structures.rehearse(tx, workspace_id, structure), None
    if at is None:
        return await structures.apply(tx, workspace_id, structure, author=author), None
    told = await structures.check(tx, workspace_id, structure)
    what = {"structure": structure.name}
    return told, await plans.keep(tx, ids, workspace_id, at=at, what=what, author=author)


async def carry_out(tx: Transaction, plan: Plan) -> What:
    """The instant has come."""
    workspace, what, author = plan.workspace_id, plan.what, plan.author
    if "ruleset" in what:
        found = await deciding.load(tx, workspace, what["ruleset"])
        await deciding.activate(tx, workspace, found.version, author=author, reason="planned")
        return {"version": found.version, "changed": not found.active}
    wanted = documents.load(what["structure"])
    applied = await structures.apply(tx, workspace, wanted, author=author, reason="planned")
    return {"version": applied["version"], "changed": applied["changed"]}
