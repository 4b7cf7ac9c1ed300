"""Puts the rules of a structure in force, as a version of their own."""

from typing import Any

from services.router.domain import rules
from services.router.domain.diff import diff
from services.router.domain.structures import merged
from services.router.handlers import deciding
from services.router.store import rulesets
from services.router.store.rulesets import Reason
from shared.db.transaction import Transaction
from shared.structures import Structure


async def apply(
    tx: Transaction, workspace_id: str, structure: Structure, *, author: str, reason: Reason = "activate"
) -> dict[str, Any]:
    """What changes in the ruleset in force, and the version that has it; nothing when it has the structure already."""
    active, before, after = await _merged(tx, workspace_id, structure)
    if after == before:
        return _told(structure, active, before, after, dry_run=False)
    note = f"structure {structure.name}"
    created, _ = await deciding.create(tx, workspace_id, document=after, note=note, author=author)
    # What somebody puts in force at this moment would be lost: the rules were not merged into that.
    await deciding.activate(tx, workspace_id, created.version, author=author, reason=reason, after=active)
    return _told(structure, created.version, before, after, dry_run=False)


async def rehearse(tx: Transaction, workspace_id: str, structure: Structure) -> dict[str, Any]:
    """What would change now; its teams need not be there yet."""
    version, before, after = await _merged(tx, workspace_id, structure)
    rules.parse(after)
    return _told(structure, version, before, after, dry_run=True)


async def check(tx: Transaction, workspace_id: str, structure: Structure) -> dict[str, Any]:
    """What would change now; Invalid where it could not be put in force."""
    version, before, after = await _merged(tx, workspace_id, structure)
    await deciding.analysed(tx, workspace_id, after)
    return _told(structure, version, before, after, dry_run=False)


async def _merged(
    tx: Transaction, workspace_id: str, structure: Structure
) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """The version in force, its document, and this with the structure in it."""
    active = (await rulesets.active_versions(tx, [workspace_id]))[workspace_id]
    before = (await deciding.load(tx, workspace_id, active)).document or {}
    return active, before, merged(before, structure)


def _told(
    structure: Structure, version: int, before: dict[str, Any], after: dict[str, Any], *, dry_run: bool
) -> dict[str, Any]:
    return {
        "structure": structure.name,
        "dry_run": dry_run,
        "changed": after != before,
        "version": version,
        "changes": diff(before, after),
    }
