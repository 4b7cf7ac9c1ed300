"""Statements that move what belongs to one ticket or customer to another, all under the locks of both."""

from typing import Any, Final

from services.tickets.store.customers import Account
from shared.db.transaction import Transaction

_COPIED: Final = "('message', 'native', 'reply', 'answer', 'note')"

_COPY: Final = f"""
INSERT INTO tickets.entry
    (ticket_id, workspace_id, seq, kind, actor, message_id, reply_id, conversation_id, moves, data, at)
SELECT $2, workspace_id, $3 + row_number() OVER (ORDER BY seq), kind, actor, message_id, reply_id, conversation_id,
    moves, data || jsonb_build_object('merged_from', $1::text), at
FROM tickets.entry WHERE ticket_id = $1 AND kind IN {_COPIED}
"""
_MESSAGES: Final = """
UPDATE tickets.message m SET ticket_id = $2, seq = e.seq FROM tickets.entry e
WHERE m.ticket_id = $1 AND e.ticket_id = $2 AND e.seq > $3 AND e.message_id = m.id AND e.kind IN ('message', 'native')
"""
_TURNS: Final = """
UPDATE tickets.turn t SET ticket_id = $2, seq = e.seq, answer_seq = coalesce((
    SELECT max(a.seq) FROM tickets.entry a WHERE a.ticket_id = $2 AND a.seq > $3
        AND ((a.kind = 'answer' AND a.reply_id = t.answer_id) OR (a.kind = 'native' AND a.message_id = t.answer_id))
), t.answer_seq)
FROM tickets.entry e
WHERE t.ticket_id = $1 AND e.ticket_id = $2 AND e.seq > $3 AND e.message_id = t.message_id AND e.kind = 'message'
"""
_REPLIES: Final = """
UPDATE tickets.reply r SET ticket_id = $2, customer_id = $4, seq = e.seq FROM tickets.entry e
WHERE r.ticket_id = $1 AND e.ticket_id = $2 AND e.seq > $3 AND e.reply_id = r.id AND e.kind = 'reply'
"""
_ECHOES: Final = "UPDATE tickets.echo SET ticket_id = $2 WHERE ticket_id = $1"
_RULE_REPLIES: Final = "UPDATE tickets.rule_reply SET ticket_id = $2, customer_id = $3 WHERE ticket_id = $1"
_CONVERSATIONS: Final = """
INSERT INTO tickets.conversation (id, ticket_id, workspace_id, channel_id, network, kind)
SELECT id, $2, workspace_id, channel_id, network, kind FROM tickets.conversation WHERE ticket_id = $1
ON CONFLICT DO NOTHING
"""
_RELINK: Final = """
UPDATE tickets.identity SET customer_id = $2, evidence = $3 WHERE workspace_id = $4 AND customer_id = $1
RETURNING network, external_id
"""
_POINT: Final = "UPDATE tickets.customer SET merged_into = $2, version = version + 1, links = links + 1 WHERE id = $1"
_TOUCH: Final = "UPDATE tickets.customer SET version = version + 1, links = links + 1 WHERE id = $1"
_RETURN: Final = """
UPDATE tickets.identity SET customer_id = home_customer_id, evidence = NULL
WHERE workspace_id = $1 AND network = $2 AND scope = $3 AND external_id = $4
"""


async def move_story(tx: Transaction, source: str, target: str, *, after: int, customer: str) -> int:
    """Copies what was said in one ticket behind `after` in another; returns how many lines that are.

    Messages, turns and replies then belong to the other ticket, at their new places. The copies keep their instants.
    """
    count = await tx.execute(_COPY, source, target, after)
    await tx.execute(_MESSAGES, source, target, after)
    await tx.execute(_TURNS, source, target, after)
    await tx.execute(_REPLIES, source, target, after, customer)
    await tx.execute(_ECHOES, source, target)
    await tx.execute(_RULE_REPLIES, source, target, customer)
    await tx.execute(_CONVERSATIONS, source, target)
    return count


async def relink(
    tx: Transaction, workspace_id: str, source: str, target: str, *, evidence: dict[str, Any]
) -> list[str]:
    """All accounts of one customer become another's; returns them as `network:id`."""
    rows = await tx.fetch(_RELINK, source, target, evidence, workspace_id)
    await tx.execute(_POINT, source, target)
    await tx.execute(_TOUCH, target)
    return [f"{row['network']}:{row['external_id']}" for row in rows]


async def send_home(tx: Transaction, account: Account, *, of: str, home: str) -> None:
    """An account returns to the customer that it was created with, which is a customer of its own again."""
    await tx.execute(_RETURN, *account)
    await tx.execute(_TOUCH, of)
    await tx.execute(_POINT, home, None)
