"""Puts the rules of a structure in force, as a version of their own."""

from typing import Any

from services.router.domain import rules
from services.router.domain.diff import diff
from services.router.domain.structures import merged
from services.router.handlers import deciding
from services.router.store import rulesets
from shared.db.transaction import Transaction
from shared.structures import Structure


async def apply(
    tx: Transaction, workspace_id: str, structure: Structure, *, author: str, dry_run: bool
) -> dict[str, Any]:
    """What changes in the ruleset in force, and the version that has it; nothing when it has the structure already."""
    active = (await rulesets.active_versions(tx, [workspace_id]))[workspace_id]
    before = (await deciding.load(tx, workspace_id, active)).document or {}
    after = merged(before, structure)
    version = active
    if dry_run:
        rules.parse(after)
    elif after != before:
        note = f"structure {structure.name}"
        created, _ = await deciding.create(tx, workspace_id, document=after, note=note, author=author)
        version = created.version
        await deciding.activate(tx, workspace_id, version, author=author)
    return {
        "structure": structure.name,
        "dry_run": dry_run,
        "changed": after != before,
        "version": version,
        "changes": diff(before, after),
    }
