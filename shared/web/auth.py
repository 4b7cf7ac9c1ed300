"""Who is calling: bearer keys, verified against the database and remembered for a few seconds."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Literal

from shared.clock import Clock
from shared.db.pool import Database
from shared.db.scope import Scan
from shared.errors import Unauthorized
from shared.platform.keys import parse
from shared.platform.scopes import Role, Scope, effective
from shared.platform.store import keys

REMEMBER_SECONDS: Final = 5.0
"""How long a revoked key may still work in a process that has seen it."""

_REMEMBER_KEYS: Final = 4096
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="baton"'}

PrincipalKind = Literal["human", "bot", "key"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who makes a request, and what they may do."""

    workspace_id: str
    key_id: str
    agent_id: str | None
    """The agent that the key speaks for; None for a key of its own."""
    name: str
    kind: PrincipalKind
    role: Role
    scopes: frozenset[Scope]
    teams: frozenset[str] | None
    """Only these teams' tickets, and those of the key's agent; None means all."""

    @property
    def id(self) -> str:
        """The agent, else the key: what audit trails and idempotency name."""
        return self.agent_id or self.key_id

    def may(self, scope: Scope) -> bool:
        """Whether the key has a scope."""
        return scope in self.scopes

    def may_see(self, *, team: str | None, owner: str | None) -> bool:
        """Whether a ticket of this team and owning agent is within the key's teams."""
        return self.teams is None or team in self.teams or (owner is not None and owner == self.agent_id)


@dataclass(slots=True)
class _Known:
    principal: Principal
    until: float


class Authenticator:
    """Verifies keys; remembers at most `REMEMBER_SECONDS`, and never past a key's own expiry."""

    def __init__(self, database: Database, clock: Clock, *, remember: float = REMEMBER_SECONDS) -> None:
        self._database = database
        self._clock = clock
        self._remember = min(remember, REMEMBER_SECONDS)
        self._known: OrderedDict[bytes, _Known] = OrderedDict()

    async def authenticate(self, authorization: str | None) -> Principal:
        """The principal behind an `Authorization` header; Unauthorized says no more than that."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorized("send `Authorization: Bearer <key>`", headers=_CHALLENGE)
        token = token.strip()
        # The digest, so that no secret outlives its request in this process.
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known and known.until > self._clock.elapsed():
            return known.principal
        self._known.pop(digest, None)
        return await self._verify(digest, token)

    async def redeem(self, ticket: str) -> Principal:
        """The principal behind a one-time ticket, which is used up."""
        verified = None
        if parse(ticket):
            async with self._database.transaction(Scan()) as tx:
                verified = await keys.redeem(tx, ticket)
        if verified is None:
            raise Unauthorized("the ticket is unknown, used or expired: ask for another", headers=_CHALLENGE)
        return self._remembered(verified.key.id.encode(), verified)

    async def confirm(self, key_id: str) -> Principal:
        """The principal behind a key that was shown before; Unauthorized once it is no longer in force."""
        known = self._known.get(key_id.encode())
        if known and known.until > self._clock.elapsed():
            return known.principal
        async with self._database.transaction(Scan()) as tx:
            verified = await keys.in_force(tx, key_id)
        if verified is None:
            raise Unauthorized("the key is expired or revoked", headers=_CHALLENGE)
        return self._remembered(key_id.encode(), verified)

    def forget(self, key_id: str) -> None:
        """Drops a key from memory at once, in the process that revoked it."""
        for digest in [digest for digest, known in self._known.items() if known.principal.key_id == key_id]:
            del self._known[digest]

    async def _verify(self, digest: bytes, token: str) -> Principal:
        verified = None
        if parse(token):
            async with self._database.transaction(Scan()) as tx:
                verified = await keys.verify(tx, token)
        if verified is None:
            raise Unauthorized(
                "the key is unknown, expired or revoked",
                headers={"WWW-Authenticate": f'{_CHALLENGE["WWW-Authenticate"]}, error="invalid_token"'},
            )
        return self._remembered(digest, verified)

    def _remembered(self, name: bytes, verified: keys.Verified) -> Principal:
        principal = _principal(verified)
        seconds = self._remember if verified.seconds_left is None else min(self._remember, verified.seconds_left)
        self._known[name] = _Known(principal=principal, until=self._clock.elapsed() + seconds)
        while len(self._known) > _REMEMBER_KEYS:
            self._known.popitem(last=False)
        return principal


def _principal(verified: keys.Verified) -> Principal:
    key = verified.key
    return Principal(
        workspace_id=key.workspace_id,
        key_id=key.id,
        agent_id=key.agent_id,
        name=verified.agent_name or key.name,
        kind=verified.agent_kind or "key",
        role=key.role,
        scopes=effective(key.role, key.scopes),
        teams=None if key.teams is None else frozenset(key.teams),
    )
