"""The router's own picture of customers of whom something is known, and of whose messages are theirs."""

from collections.abc import Collection, Iterable
from typing import Final

import asyncpg
import msgspec

from services.router.domain.facts import Customer
from services.router.domain.people import Person
from services.router.store.authors import Author
from shared.db.transaction import Transaction

# A customer's events come in one order, so whatever is not newer than what is known is a repetition. A row stays when
# its accounts go: its version is what tells.
_PUT: Final = """
WITH applied AS (
    INSERT INTO router.customer AS known (id, workspace_id, attributes, tags, version)
    SELECT * FROM unnest($1::text[], $2::text[], $3::jsonb[], $4::jsonb[], $5::bigint[])
    ON CONFLICT (id) DO UPDATE SET attributes = excluded.attributes, tags = excluded.tags,
        version = excluded.version, changed_at = now()
    WHERE known.version < excluded.version
    RETURNING id, workspace_id
), told AS (
    SELECT applied.workspace_id, account, customer_id FROM unnest($6::text[], $7::text[]) AS n (customer_id, account)
    JOIN applied ON applied.id = customer_id
), gone AS (
    DELETE FROM router.customer_account kept USING applied
    WHERE kept.customer_id = applied.id AND NOT EXISTS (
        SELECT FROM told WHERE told.customer_id = kept.customer_id AND told.account = kept.account)
)
INSERT INTO router.customer_account (workspace_id, account, customer_id)
SELECT workspace_id, account, customer_id FROM told ON CONFLICT DO NOTHING
"""
# An account that two have is on its way, and the event of one of them is missing: the later news is right.
_OF_TICKETS: Final = """
SELECT wanted.id, c.attributes, c.tags FROM unnest($1::text[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT c.* FROM router.ticket_account t
    JOIN router.customer_account a ON a.workspace_id = t.workspace_id AND a.account = t.account
    JOIN router.customer c ON c.id = a.customer_id
    WHERE t.ticket_id = wanted.id ORDER BY c.changed_at DESC, c.id DESC LIMIT 1
) AS c
"""
_OF_AUTHORS: Final = """
SELECT wanted.workspace_id, wanted.account, c.attributes, c.tags
FROM unnest($1::text[], $2::text[]) AS wanted (workspace_id, account)
CROSS JOIN LATERAL (
    SELECT c.* FROM router.customer_account a JOIN router.customer c ON c.id = a.customer_id
    WHERE a.workspace_id = wanted.workspace_id AND a.account = wanted.account
    ORDER BY c.changed_at DESC, c.id DESC LIMIT 1
) AS c
"""


async def put(tx: Transaction, people: Iterable[Person]) -> None:
    """What is known of customers; what is known better already stays as it is."""
    rows = sorted(people, key=lambda one: one.id)
    if not rows:
        return
    told = [(one.id, account) for one in rows for account in sorted(one.accounts)]
    await tx.execute(
        _PUT,
        [one.id for one in rows],
        [one.workspace_id for one in rows],
        [one.known.attributes for one in rows],
        [one.known.tags for one in rows],
        [one.version for one in rows],
        [customer_id for customer_id, _ in told],
        [account for _, account in told],
    )


async def of_authors(tx: Transaction, authors: Collection[Author]) -> dict[Author, Customer]:
    """What is known of each author of whom something is."""
    wanted = sorted(authors)
    rows = await tx.fetch(_OF_AUTHORS, [one.workspace_id for one in wanted], [one.account for one in wanted])
    return {Author(row["workspace_id"], row["account"]): _known(row) for row in rows}


async def of_tickets(tx: Transaction, ticket_ids: Collection[str]) -> dict[str, Customer]:
    """What is known of the customer of each open ticket, of whom something is."""
    return {row["id"]: _known(row) for row in await tx.fetch(_OF_TICKETS, sorted(ticket_ids))}


def _known(row: asyncpg.Record) -> Customer:
    return msgspec.convert({"attributes": row["attributes"], "tags": row["tags"]}, Customer)
