"""Attempts of rules to say something: one per message and kind, by that alone."""

from collections.abc import Collection, Sequence
from typing import Final

from services.tickets.domain.rule_replies import WITHIN, Attempt, Said
from shared.db.transaction import Transaction

_COLUMNS: Final = (
    "r.message_id, r.kind, r.customer_id, r.ticket_id, r.rule, r.created_at > now() - $4::interval AS is_recent"
)
_SAID: Final = f"""
SELECT {_COLUMNS} FROM tickets.rule_reply r WHERE r.ticket_id = ANY($1::text[])
UNION
SELECT {_COLUMNS} FROM unnest($2::text[], $3::text[]) AS c(workspace_id, id)
JOIN tickets.rule_reply r ON r.workspace_id = c.workspace_id AND r.customer_id = c.id
    AND r.created_at > now() - $4::interval
"""
_INSERT: Final = """
INSERT INTO tickets.rule_reply (message_id, kind, workspace_id, customer_id, ticket_id, rule, outcome, reply_id)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
"""


async def said(
    tx: Transaction, customers: Collection[tuple[str, str]], tickets: Collection[str]
) -> dict[str, list[Said]]:
    """By customer, what was tried lately or in one of these tickets; the customers' rows are locked."""
    pairs = list(customers)
    found: dict[str, list[Said]] = {customer: [] for _, customer in pairs}
    columns = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    for row in await tx.fetch(_SAID, list(tickets), *columns, WITHIN):
        fields = dict(row)
        found.setdefault(fields.pop("customer_id"), []).append(Said(**fields))
    return found


def insert(tx: Transaction, attempts: Sequence[Attempt]) -> None:
    """New attempts, with the next statement."""
    if attempts:
        tx.defer(
            _INSERT,
            [one.message_id for one in attempts],
            [one.kind for one in attempts],
            [one.workspace_id for one in attempts],
            [one.customer_id for one in attempts],
            [one.ticket_id for one in attempts],
            [one.rule for one in attempts],
            [one.outcome for one in attempts],
            [one.reply_id for one in attempts],
        )
