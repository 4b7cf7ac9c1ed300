"""What was decided about tickets that were there already, with what the rules saw."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from services.router.domain.vocabulary import Trigger
from shared.db.pool import Database
from shared.db.together import Rows
from shared.db.transaction import Transaction
from shared.errors import Retryable
from shared.platform.store import retention

_COLUMNS: Final = (
    "id, workspace_id, ticket_id, ticket_version, trigger, after_minutes, event_id, ruleset_version, rule, action, "
    "matched, skipped, held, chain, facts"
)
_INSERT: Final = f"""
INSERT INTO router.ticket_decision ({_COLUMNS})
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::int[], $7::text[], $8::int[],
                     $9::text[], $10::jsonb[], $11::jsonb[], $12::jsonb[], $13::text[], $14::jsonb[], $15::jsonb[])
ON CONFLICT DO NOTHING
"""
_OF_TICKET: Final = f"""
SELECT {_COLUMNS}, created_at FROM router.ticket_decision WHERE workspace_id = $1 AND ticket_id = $2
ORDER BY created_at DESC, id DESC LIMIT $3
"""
_THESE: Final = f"SELECT {_COLUMNS}, created_at FROM router.ticket_decision WHERE id = ANY($1::text[])"
_OLD: Final = """
created_at < now() - $1::interval AND NOT EXISTS (SELECT FROM router.ticket t WHERE t.id = ticket_id)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketDecided:
    """One decision about a ticket. `held`: why nothing came of it."""

    id: str
    workspace_id: str
    ticket_id: str
    ticket_version: int
    trigger: Trigger
    after_minutes: int | None
    event_id: str
    ruleset_version: int
    rule: str
    action: Any
    matched: Any
    skipped: Any
    held: str | None
    chain: Any
    facts: Any
    created_at: datetime | None = None


def keep(tx: Transaction, decided: Sequence[TicketDecided]) -> None:
    """Stores new decisions with the next statement; Retryable where somebody else has made one of them meanwhile."""
    if not decided:
        return

    columns = [[getattr(one, name) for one in decided] for name in _COLUMNS.split(", ")]
    tx.defer(_INSERT, *columns, rows=Rows(len(decided), _decided_by_another))


def _decided_by_another() -> Exception:
    return Retryable("a ticket was decided about by somebody else at this moment")


async def of_ticket(tx: Transaction, workspace_id: str, ticket_id: str, *, limit: int) -> list[TicketDecided]:
    """The last decisions about one ticket, newest first."""
    return [TicketDecided(**dict(row)) for row in await tx.fetch(_OF_TICKET, workspace_id, ticket_id, limit)]


async def load(tx: Transaction, decision_ids: Collection[str]) -> dict[str, TicketDecided]:
    """These decisions, by id."""
    rows = await tx.fetch(_THESE, list(decision_ids)) if decision_ids else []
    return {row["id"]: TicketDecided(**dict(row)) for row in rows}


async def purge(database: Database, *, older_than: timedelta) -> int:
    """Forgets decisions about tickets that are forgotten themselves; returns how many went."""
    return await retention.purge(database, "router.ticket_decision", _OLD, older_than)
