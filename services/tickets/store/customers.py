"""Customers and their identities: one person has one row, however many first messages arrive at once."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec

from shared.db.transaction import Transaction
from shared.errors import Retryable
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


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    customer_id: str
    version: int
    profile: Profile


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """A person."""

    id: str
    workspace_id: str
    name: str | None
    attributes: dict[str, Any] = {}
    merged_into: str | None = None
    version: int
    created_at: datetime


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


_CUSTOMER: Final = "id, workspace_id, name, attributes, merged_into, version, created_at"
_LOAD: Final = f"SELECT {_CUSTOMER} FROM tickets.customer WHERE id = ANY($1::text[]) ORDER BY id"
_PAGE: Final = f"""
SELECT {_CUSTOMER} FROM tickets.customer
WHERE workspace_id = $1 AND id > $2 AND merged_into IS NULL ORDER BY id LIMIT $3
"""
_IDENTITIES: Final = """
SELECT network, scope, external_id, customer_id, home_customer_id AS home, handle, name, evidence
FROM tickets.identity WHERE workspace_id = $1 AND customer_id = ANY($2::text[])
ORDER BY network, scope, external_id
"""
_FIND: Final = """
SELECT i.workspace_id, i.network, i.scope, i.external_id, i.customer_id, i.handle, i.name, c.version
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS n(w, nw, s, e)
JOIN tickets.identity i ON i.workspace_id = n.w AND i.network = n.nw AND i.scope = n.s AND i.external_id = n.e
JOIN tickets.customer c ON c.id = i.customer_id
"""
_CREATE: Final = """
WITH created AS (
    INSERT INTO tickets.identity
        (workspace_id, network, scope, external_id, customer_id, home_customer_id, handle, name)
    SELECT w, nw, s, e, c, c, h, n
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
        AS a(w, nw, s, e, c, h, n)
    ON CONFLICT DO NOTHING RETURNING workspace_id, network, scope, external_id, customer_id, handle, name
), people AS (
    INSERT INTO tickets.customer (id, workspace_id, name)
    SELECT customer_id, workspace_id, coalesce(name, handle) FROM created
)
SELECT workspace_id, network, scope, external_id, customer_id, handle, name, 1::bigint AS version FROM created
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
_LOCK: Final = "SELECT id, version FROM tickets.customer WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE"
_ATTEMPTS: Final = 5


async def resolve(
    tx: Transaction, accounts: Mapping[Account, Profile], *, ids: Ids, also: Collection[str] = ()
) -> dict[Account, str]:
    """The customer of each account, created where it is new; their rows, and `also` these, are locked by id.

    Whoever creates an account first wins: everybody else waits for that row and then sees the same customer.
    """
    for _ in range(_ATTEMPTS):
        found = await _find_or_create(tx, accounts, ids)
        expected = {entry.customer_id: entry.version for entry in found.values()}
        rows = await tx.fetch(_LOCK, sorted(expected.keys() | set(also)))
        locked = {row["id"]: row["version"] for row in rows}
        # Between the look and the lock an account may have been linked elsewhere, which its customers' versions show.
        if all(locked.get(customer) == version for customer, version in expected.items()):
            await _rename(tx, accounts, found)
            return {account: entry.customer_id for account, entry in found.items()}
    raise Retryable("accounts keep moving between customers")


async def lock(tx: Transaction, ids: Collection[str]) -> dict[str, Customer]:
    """Those of the customers that exist, locked by id."""
    return {row["id"]: Customer(**dict(row)) for row in await tx.fetch(f"{_LOAD} FOR UPDATE", list(ids))}


async def load(tx: Transaction, customer_id: str) -> Customer | None:
    """One customer, linked into another or not."""
    row = await tx.fetchrow(_LOAD, [customer_id])
    return Customer(**dict(row)) if row else None


async def page(tx: Transaction, workspace_id: str, *, after: str, limit: int) -> list[Customer]:
    """Customers by id, without those that were linked into others."""
    return [Customer(**dict(row)) for row in await tx.fetch(_PAGE, workspace_id, after, limit)]


async def identities(tx: Transaction, workspace_id: str, customer_ids: Collection[str]) -> list[Identity]:
    """The accounts of customers."""
    rows = await tx.fetch(_IDENTITIES, workspace_id, list(customer_ids))
    return [Identity(**dict(row)) for row in rows]


async def _find_or_create(tx: Transaction, accounts: Mapping[Account, Profile], ids: Ids) -> dict[Account, _Found]:
    if not accounts:
        return {}
    found = await _find(tx, accounts)
    # In one order for everybody: two batches with the same strangers must not wait for each other in a circle.
    missing = sorted(account for account in accounts if account not in found)
    if not missing:
        return found
    rows = await tx.fetch(
        _CREATE,
        *_columns(missing),
        [ids.new("cus") for _ in missing],
        [accounts[account].handle for account in missing],
        [accounts[account].name for account in missing],
    )
    created = dict(map(_entry, rows))
    lost = [account for account in missing if account not in created]
    return found | created | (await _find(tx, lost) if lost else {})


async def _find(tx: Transaction, accounts: Collection[Account]) -> dict[Account, _Found]:
    return dict(map(_entry, await tx.fetch(_FIND, *_columns(accounts))))


async def _rename(tx: Transaction, accounts: Mapping[Account, Profile], found: Mapping[Account, _Found]) -> None:
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


def _entry(row: asyncpg.Record) -> tuple[Account, _Found]:
    account = Account(row["workspace_id"], row["network"], row["scope"], row["external_id"])
    profile = Profile(handle=row["handle"], name=row["name"])
    return account, _Found(customer_id=row["customer_id"], version=row["version"], profile=profile)


def _columns(accounts: Collection[Account]) -> list[list[str]]:
    return [list(column) for column in zip(*accounts, strict=True)]
