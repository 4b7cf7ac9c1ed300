"""Idempotency-Key: one stored answer per workspace, principal, route and key, written with the effects it tells of.

Answers are sealed: some of them tell a secret, once.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from shared.db.pool import Database
from shared.db.transaction import Transaction
from shared.errors import BadRequest, Conflict, Invalid
from shared.platform.store import retention
from shared.sealing import KeyRing

KEEP: Final = timedelta(hours=48)
"""How long an answer is kept; at least 24 hours are promised."""

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_FIND: Final = """
SELECT fingerprint, status, headers, body FROM {schema}.idempotency
WHERE workspace_id = $1 AND principal = $2 AND route = $3 AND key = $4
"""
_KEEP: Final = """
INSERT INTO {schema}.idempotency (workspace_id, principal, route, key, fingerprint, status, headers, body)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""


class IdempotencyKeyReused(Invalid):
    """The key was used before, with another payload."""

    code = "idempotency-key-reused"
    title = "The Idempotency-Key belongs to another request"


class RequestInProgress(Conflict):
    """Another request with the same key is still running; ask again for its answer."""

    code = "request-in-progress"
    title = "The same request is being processed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One use of a key."""

    workspace_id: str
    principal: str
    route: str
    key: str
    fingerprint: str

    @property
    def place(self) -> str:
        """What its sealed answer is bound to."""
        return f"{self.workspace_id}\x1f{self.principal}\x1f{self.route}\x1f{self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An answer that was given."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def checked(key: str) -> str:
    """The key, if it may be one."""
    if not _KEY.fullmatch(key):
        raise BadRequest("Idempotency-Key must be 1 to 255 visible ASCII characters")
    return key


def fingerprint(*parts: str, body: bytes) -> str:
    """What makes two requests the same: path, query, If-Match and the bytes of the body."""
    digest = hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass"))
    digest.update(b"\x1e")
    digest.update(body)
    return digest.hexdigest()


async def begin(tx: Transaction, attempt: Attempt, ring: KeyRing) -> Stored | None:
    """The answer that this key got before, or None: then the key is this transaction's until it ends."""
    # Two statements: one would read with a snapshot older than the lock, and miss what its last holder wrote.
    if not await tx.fetchval("SELECT pg_try_advisory_xact_lock($1)", _lock(tx.schema, attempt)):
        raise RequestInProgress("a request with this Idempotency-Key is being processed", headers={"Retry-After": "1"})
    row = await tx.fetchrow(
        _FIND.format(schema=tx.schema), attempt.workspace_id, attempt.principal, attempt.route, attempt.key
    )
    if row is None:
        return None
    if row["fingerprint"] != attempt.fingerprint:
        raise IdempotencyKeyReused("this Idempotency-Key was used with another payload")
    return Stored(status=row["status"], headers=row["headers"], body=ring.open(row["body"], context=attempt.place))


async def keep(tx: Transaction, attempt: Attempt, stored: Stored, ring: KeyRing) -> None:
    """Stores the answer with the effects that it tells of."""
    await tx.execute(
        _KEEP.format(schema=tx.schema),
        attempt.workspace_id,
        attempt.principal,
        attempt.route,
        attempt.key,
        attempt.fingerprint,
        stored.status,
        dict(stored.headers),
        ring.seal(stored.body, context=attempt.place),
    )


async def purge(database: Database, schema: str, *, older_than: timedelta = KEEP) -> int:
    """Forgets old answers of all workspaces; returns how many."""
    return await retention.purge(database, f"{schema}.idempotency", "created_at < now() - $1::interval", older_than)


def _lock(schema: str, attempt: Attempt) -> int:
    return int.from_bytes(hashlib.sha256(f"{schema}\x1f{attempt.place}".encode()).digest()[:8], signed=True)
