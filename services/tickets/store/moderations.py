"""Operations on items: asked for once each, under the locks of their tickets and messages, and settled once."""

from collections.abc import Collection, Sequence
from typing import Any, Final

import asyncpg
import msgspec

from services.tickets.domain.moderation import CONTRARY, Moderation
from shared.db.transaction import Transaction
from shared.events.messages import Operation
from shared.events.payload import Actor

_COLUMNS: Final = """
id, number, workspace_id, message_id, operation, actor, rule, state, reason, code, created_at, settled_at
"""
# What was done here and undone by hand in the network's own app is to be done again.
_UNDONE: Final = """
UPDATE tickets.moderation m SET stands = false FROM tickets.message x
WHERE m.message_id = ANY($1::text[]) AND x.id = m.message_id AND m.stands AND m.state = 'done'
    AND (m.operation, x.state) IN (('hide', 'visible'), ('unhide', 'hidden'))
"""
# Whatever was asked for under this id, or stands in the same way, is there already.
_INSERT: Final = """
INSERT INTO tickets.moderation (id, workspace_id, message_id, operation, actor, rule)
SELECT i, w, m, o, a::jsonb, r
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) AS n(i, w, m, o, a, r)
ON CONFLICT DO NOTHING RETURNING id, number
"""
_GIVE_WAY: Final = """
UPDATE tickets.moderation m SET stands = false
FROM unnest($1::text[], $2::text[]) AS n(message_id, operation)
WHERE m.message_id = n.message_id AND m.operation = n.operation AND m.stands
"""
_LOAD: Final = f"SELECT {_COLUMNS} FROM tickets.moderation WHERE id = ANY($1::text[])"
_STANDING: Final = f"SELECT {_COLUMNS} FROM tickets.moderation WHERE message_id = $1 AND operation = $2 AND stands"
_OF_MESSAGE: Final = f"SELECT {_COLUMNS} FROM tickets.moderation WHERE message_id = $1 ORDER BY number LIMIT $2"
_SETTLE: Final = """
UPDATE tickets.moderation m SET state = n.state, reason = n.reason, code = n.code, settled_at = clock_timestamp(),
    stands = m.stands AND n.state = 'done'
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS n(id, state, reason, code) WHERE m.id = n.id
"""


async def insert(tx: Transaction, asked: Sequence[Moderation]) -> dict[str, int]:
    """Those that were not asked for before, by id, with their numbers; what contradicts them stands no longer."""
    await tx.execute(_UNDONE, [one.message_id for one in asked])
    rows = await tx.fetch(
        _INSERT,
        [one.id for one in asked],
        [one.workspace_id for one in asked],
        [one.message_id for one in asked],
        [one.operation for one in asked],
        [msgspec.json.encode(one.actor).decode() for one in asked],
        [one.rule for one in asked],
    )
    made = {row["id"]: row["number"] for row in rows}
    ended = [(one.message_id, CONTRARY[one.operation]) for one in asked if one.id in made and one.operation in CONTRARY]
    if ended:
        await tx.execute(_GIVE_WAY, [message for message, _ in ended], [operation for _, operation in ended])
    return made


async def load(tx: Transaction, ids: Collection[str]) -> dict[str, Moderation]:
    """Those that are known, by id."""
    return {row["id"]: _moderation(row) for row in await tx.fetch(_LOAD, list(ids))}


async def standing(tx: Transaction, message_id: str, operation: Operation) -> Moderation | None:
    """The one that stands."""
    row = await tx.fetchrow(_STANDING, message_id, operation)
    return _moderation(row) if row else None


async def of_message(tx: Transaction, message_id: str, *, limit: int) -> list[Moderation]:
    """All that was asked for of one item, in order."""
    return [_moderation(row) for row in await tx.fetch(_OF_MESSAGE, message_id, limit)]


async def settle(tx: Transaction, settled: Sequence[Moderation]) -> None:
    """Writes what became of them; what failed may be asked for again."""
    if settled:
        await tx.execute(
            _SETTLE,
            [one.id for one in settled],
            [one.state for one in settled],
            [one.reason for one in settled],
            [one.code for one in settled],
        )


def _moderation(row: asyncpg.Record) -> Moderation:
    fields: dict[str, Any] = dict(row)
    return Moderation(**{**fields, "actor": msgspec.convert(fields["actor"], Actor)})
