"""What the rules of a version have done, and which of them nothing was heard of."""

from dataclasses import dataclass
from datetime import timedelta

from services.router.domain.compile import FALLBACK
from services.router.handlers import deciding
from services.router.store import rule_counts
from services.router.store.rule_counts import Use
from shared.db.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleUse:
    """One rule in its place; `is_idle`: it is enabled and held for no message in the time that was asked about."""

    position: int
    rule: str
    enabled: bool
    use: Use
    is_idle: bool


async def used(tx: Transaction, workspace_id: str, version: int, *, within: timedelta) -> list[RuleUse]:
    """Every rule of a version in the order of the document, and the fallback at its end."""
    found = await deciding.load(tx, workspace_id, version)
    uses = await rule_counts.uses(tx, workspace_id, version)
    since = await tx.now() - within
    written = [(rule["name"], rule.get("enabled", True)) for rule in (found.document or {}).get("rules", ())]
    return [
        RuleUse(
            position=position,
            rule=name,
            enabled=enabled,
            use=(use := uses.get(name, Use())),
            is_idle=enabled and (use.last_at is None or use.last_at < since),
        )
        for position, (name, enabled) in enumerate([*written, (FALLBACK, True)])
    ]
