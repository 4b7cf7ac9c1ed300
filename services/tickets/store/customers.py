"""Customers and their identities: one person has one row, however many first messages arrive at once."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec

from services.tickets.domain.customer import Attribute, Known
from shared.db.transaction import Transaction
from shared.errors import Retryable
from shared.events import tickets as events
from shared.ids import Ids


class Account(NamedTuple):
    """An account on a network. `scope` is the channel's id, or empty where ids hold for the whole network."""

    workspace_id: str
    network: str
    scope: str
    external_id: str


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """How an account calls itself."""

    handle: str | None = None
    name: str | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Whose an account is, and what is known of it."""

    customer_id: str
    is_new: bool
    """This transaction has created the customer, so there is nothing of him anywhere."""
    was_linked: bool = False
    """Accounts of his were linked or parted once: he may have several, or none but another one."""
    profile: Profile


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """A person."""

    id: str
    workspace_id: str
    name: str | None
    attributes: dict[str, Attribute] = {}
    tags: tuple[str, ...] = ()
    merged_into: str | None = None
    version: int
    created_at: datetime

    @property
    def known(self) -> Known:
        """What the team knows of this one."""
        return Known(attributes=self.attributes, tags=self.tags)


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A person's account on a network; `home` is the customer that it was created with."""

    network: str
    scope: str
    external_id: str
    customer_id: str
    home: str
    handle: str | None = None
    name: str | None = None
    evidence: dict[str, Any] | None = None
    """Why it was linked; None: it was created here."""

    def account(self, workspace_id: str) -> Account:
        """What it is found by."""
        return Account(workspace_id, self.network, self.scope, self.external_id)


_CUSTOMER: Final = "id, workspace_id, name, attributes, tags, merged_into, version, created_at"
_LOAD: Final = f"SELECT {_CUSTOMER} FROM tickets.customer WHERE id = ANY($1::text[]) ORDER BY id"
_PAGE: Final = f"""
SELECT {_CUSTOMER} FROM tickets.customer
WHERE workspace_id = $1 AND id > $2 AND merged_into IS NULL ORDER BY id LIMIT $3
"""
_SAVE: Final = f"""
UPDATE tickets.customer SET attributes = $2, tags = $3, version = version + 1 WHERE id = $1 RETURNING {_CUSTOMER}
"""
_IDENTITIES: Final = """
SELECT network, scope, external_id, customer_id, home_customer_id AS home, handle, name, evidence
FROM tickets.identity WHERE workspace_id = $1 AND customer_id = ANY($2::text[])
ORDER BY network, scope, external_id
"""
# First it waits for strangers whom somebody else creates, in one order for everybody, and then for rows of customers,
# by id. Whoever is neither created nor found came in between: then no row is locked, as the next look finds him and
# locks him with the others, in order.
_RESOLVE: Final = """
WITH wanted AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
        AS wanted(w, nw, s, e, c, h, n)
), found AS (
    SELECT i.*, (SELECT links FROM tickets.customer WHERE id = i.customer_id) AS links
    FROM wanted CROSS JOIN LATERAL (
        SELECT workspace_id, network, scope, external_id, customer_id, handle, name FROM tickets.identity
        WHERE workspace_id = w AND network = nw AND scope = s AND external_id = e LIMIT 1
    ) AS i
), created AS (
    INSERT INTO tickets.identity
        (workspace_id, network, scope, external_id, customer_id, home_customer_id, handle, name)
    SELECT w, nw, s, e, c, c, h, n FROM wanted ORDER BY w, nw, s, e
    ON CONFLICT DO NOTHING RETURNING workspace_id, network, scope, external_id, customer_id, handle, name
), people AS (
    INSERT INTO tickets.customer (id, workspace_id, name)
    SELECT customer_id, workspace_id, coalesce(name, handle) FROM created
), locked AS (
    SELECT id, links FROM tickets.customer
    WHERE (SELECT count(*) FROM found) + (SELECT count(*) FROM created) = (SELECT count(*) FROM wanted)
        AND id = ANY(ARRAY(SELECT customer_id FROM found UNION SELECT unnest($8::text[])))
    ORDER BY id FOR UPDATE
)
SELECT *, 0::bigint AS links, 0::bigint AS current, true AS is_new FROM created
UNION ALL
SELECT f.*, l.links, false FROM locked l LEFT JOIN found f ON f.customer_id = l.id
"""
_RENAME: Final = """
WITH renamed AS (
    UPDATE tickets.identity i SET handle = n.h, name = n.n
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) AS n(w, nw, s, e, h, n)
    WHERE i.workspace_id = n.w AND i.network = n.nw AND i.scope = n.s AND i.external_id = n.e
    RETURNING i.customer_id, coalesce(i.name, i.handle) AS name
)
UPDATE tickets.customer c SET name = r.name FROM renamed r WHERE c.id = r.customer_id AND c.name IS NULL
"""
_ACCOUNTS: Final = """
SELECT i.customer_id, i.network, i.scope, i.external_id FROM unnest($1::text[], $2::text[]) AS c(workspace_id, id)
JOIN tickets.identity i ON i.workspace_id = c.workspace_id AND i.customer_id = c.id
ORDER BY i.customer_id, i.network, i.scope, i.external_id
"""
_WIDTH: Final = 7


async def resolve(
    tx: Transaction, accounts: Mapping[Account, Profile], *, ids: Ids, also: Collection[str] = ()
) -> dict[Account, Found]:
    """The customer of each account, created where it is new; their rows, and `also` these, are locked by id.

    Whoever creates an account first wins: everybody else waits for that row and then sees the same customer.
    """
    wanted = [(*account, ids.new("cus"), profile.handle, profile.name) for account, profile in sorted(accounts.items())]
    columns = _columns(wanted) or [[]] * _WIDTH
    rows = await tx.fetch(_RESOLVE, *columns, list(also))
    found = _by_account(rows)
    if found.keys() != accounts.keys():
        rows = await tx.fetch(_RESOLVE, *columns, list(also))
        # Who was new at the first look is known at the second.
        found = _by_account(rows) | found
    # Between the look and the locks an account may have been linked elsewhere, which its customers count. Another look
    # would have to lock out of order.
    if any(row["links"] not in (None, row["current"]) for row in rows):
        raise Retryable("an account moved to another customer at this moment")
    await _rename(tx, accounts, found)
    return found


async def lock(tx: Transaction, ids: Collection[str]) -> dict[str, Customer]:
    """Those of the customers that exist, locked by id."""
    return {row["id"]: _customer(row) for row in await tx.fetch(f"{_LOAD} FOR UPDATE", list(ids))}


async def load(tx: Transaction, customer_id: str) -> Customer | None:
    """One customer, linked into another or not."""
    row = await tx.fetchrow(_LOAD, [customer_id])
    return _customer(row) if row else None


async def save(tx: Transaction, customer_id: str, known: Known) -> Customer:
    """What is known of a customer, whose row is locked, as its next version."""
    row = await tx.fetchrow(_SAVE, customer_id, known.attributes, known.tags)
    assert row is not None  # noqa: S101 - it is locked
    return _customer(row)


async def page(tx: Transaction, workspace_id: str, *, after: str, limit: int) -> list[Customer]:
    """Customers by id, without those that were linked into others."""
    return [_customer(row) for row in await tx.fetch(_PAGE, workspace_id, after, limit)]


async def identities(tx: Transaction, workspace_id: str, customer_ids: Collection[str]) -> list[Identity]:
    """The accounts of customers."""
    rows = await tx.fetch(_IDENTITIES, workspace_id, list(customer_ids))
    return [Identity(**dict(row)) for row in rows]


async def accounts(tx: Transaction, owners: Collection[tuple[str, str]]) -> dict[str, tuple[events.Account, ...]]:
    """All accounts of each (workspace, customer), by customer, as events tell them."""
    if not owners:
        return {}
    found: dict[str, tuple[events.Account, ...]] = {}
    for row in await tx.fetch(_ACCOUNTS, *_columns(sorted(owners))):
        account = events.Account(network=row["network"], external_id=row["external_id"], scope=row["scope"])
        found[row["customer_id"]] = (*found.get(row["customer_id"], ()), account)
    return found


async def _rename(tx: Transaction, accounts: Mapping[Account, Profile], found: Mapping[Account, Found]) -> None:
    # What an event does not say is not forgotten.
    known = {account: entry.profile for account, entry in found.items()}
    told = {
        account: Profile(handle=said.handle or known[account].handle, name=said.name or known[account].name)
        for account, said in accounts.items()
    }
    changed = sorted(account for account, profile in told.items() if profile != known[account])
    if changed:
        names = [told[account].name for account in changed]
        await tx.execute(_RENAME, *_columns(changed), [told[account].handle for account in changed], names)


def _customer(row: asyncpg.Record) -> Customer:
    return Customer(**dict(row) | {"tags": tuple(row["tags"])})


def _by_account(rows: Iterable[asyncpg.Record]) -> dict[Account, Found]:
    return {_account(row): _found(row) for row in rows if row["customer_id"] is not None}


def _account(row: asyncpg.Record) -> Account:
    return Account(row["workspace_id"], row["network"], row["scope"], row["external_id"])


def _found(row: asyncpg.Record) -> Found:
    profile = Profile(handle=row["handle"], name=row["name"])
    was_linked = row["links"] > 0
    return Found(customer_id=row["customer_id"], is_new=row["is_new"], was_linked=was_linked, profile=profile)


def _columns(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
