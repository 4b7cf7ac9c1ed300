"""What a route works with: who calls, transactions in their workspace, and answers that are given once."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from fastapi import Depends, Request
from starlette.responses import Response

from shared.clock import Clock
from shared.db.pool import Database
from shared.db.scope import Workspace
from shared.db.transaction import Transaction
from shared.errors import BadRequest, Forbidden, Refusal, VersionRequired, VersionStale
from shared.ids import Ids
from shared.platform.scopes import Scope
from shared.sealing import KeyRing
from shared.telemetry.spans import OFF, Spans
from shared.web import idempotency, pages, problems
from shared.web.auth import Authenticator, Principal
from shared.web.bodies import encode
from shared.web.idempotency import Attempt, Stored

EXCHANGE: Final = "baton.exchange"
"""Where the edge leaves what it knows in the ASGI scope."""

_NEVER_STORED: Final = frozenset({401, 429})

Resource = TypeVar("Resource")
Work = Callable[[Transaction], Awaitable[Any]]
"""A write: works in the transaction and returns an `Answer`, or just its body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteFacts:
    """What is known of a route before any request."""

    service: str
    """The service that owns it, and so the schema of its transactions."""
    name: str
    """Method and path template."""
    status: int
    parameters: frozenset[str]
    """The query parameters that it takes."""
    resources: Sequence[object] = ()
    """What the service lends to its routes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """What all requests of a process share."""

    database: Database
    clock: Clock
    ids: Ids
    authenticator: Authenticator
    keyring: KeyRing
    routes: Mapping[int, RouteFacts]
    """By identity of the route object, because routes compare by value and cannot be hashed."""
    spans: Spans = OFF


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request on its way through."""

    face: Face
    request_id: str
    traceparent: str | None = None
    principal: Principal | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """What every response of this exchange carries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response in the making; `version` becomes the strong ETag."""

    body: Any = None
    status: int | None = None
    """The route's own when None."""
    version: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Requires:
    """Gives a route its `Call` if the key has these scopes: `call: Annotated[Call, Depends(Requires("…"))]`."""

    def __init__(self, *scopes: Scope) -> None:
        self.scopes = scopes

    async def __call__(self, request: Request) -> "Call":
        """Checks scopes and query parameters, which is all that is the same everywhere."""
        exchange: Exchange = request.scope[EXCHANGE]
        facts = exchange.face.routes[id(request.scope["route"])]
        if exchange.principal is None:
            raise Forbidden("this path needs a key")
        missing = [scope for scope in self.scopes if scope not in exchange.principal.scopes]
        if missing:
            raise Forbidden(f"this needs {' and '.join(missing)}", missing=missing)
        if request.scope["query_string"]:
            _refuse_unknown(request, facts)
        if "\0" in request.scope["path"] or any("\0" in value for value in request.query_params.values()):
            # Postgres has no text with it, so nothing can be called so.
            raise BadRequest("a path or parameter cannot hold NUL")
        return Call(request, exchange, facts, exchange.principal)


def requires(*scopes: Scope) -> Any:
    """The dependency that gives a route its call: `Reader = Annotated[Call, requires("tickets:read")]`."""
    return Depends(Requires(*scopes), use_cache=False)


class Call:
    """One authenticated request."""

    __slots__ = ("_exchange", "_facts", "principal", "request")

    def __init__(self, request: Request, exchange: Exchange, facts: RouteFacts, principal: Principal) -> None:
        self.request = request
        self.principal = principal
        self._exchange = exchange
        self._facts = facts

    @property
    def workspace_id(self) -> str:
        """The only workspace that this request can touch."""
        return self.principal.workspace_id

    @property
    def request_id(self) -> str:
        """Shown to the caller, logged, and kept in audit trails."""
        return self._exchange.request_id

    @property
    def is_keyed(self) -> bool:
        """Whether its answer must be stored with its effects, for the next request with its Idempotency-Key."""
        return "idempotency-key" in self.request.headers

    @property
    def clock(self) -> Clock:
        """The process's clock."""
        return self._exchange.face.clock

    @property
    def ids(self) -> Ids:
        """The process's source of new identifiers."""
        return self._exchange.face.ids

    @property
    def authenticator(self) -> Authenticator:
        """For routes that revoke keys: this process should forget them at once."""
        return self._exchange.face.authenticator

    def resource(self, kind: type[Resource]) -> Resource:
        """What the service lends to its routes, by type: its key ring, its streams, its handlers."""
        for resource in self._facts.resources:
            if isinstance(resource, kind):
                return resource
        raise LookupError(f"{self._facts.service} lends no {kind.__name__}")

    def agent_id(self) -> str:
        """The agent who acts; Forbidden for a key that speaks for nobody."""
        if self.principal.agent_id is None:
            raise Forbidden("this needs a key that belongs to an agent")
        return self.principal.agent_id

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction in the caller's workspace and the service's schema."""
        return self._exchange.face.database.transaction(
            Workspace(self.workspace_id), schema=self._facts.service, traceparent=self._exchange.traceparent
        )

    def version(self) -> int:
        """The version that the caller has read; VersionRequired when If-Match is missing."""
        header = self.request.headers.get("if-match")
        if header is None:
            raise VersionRequired("send `If-Match` with the ETag that you have read")
        number = header.strip().removeprefix('"').removesuffix('"')
        if not (number.isascii() and number.isdigit() and len(number) < 19 and header.strip() == f'"{number}"'):
            raise BadRequest('If-Match takes one strong ETag, such as "7"')
        return int(number)

    async def perform(self, work: Work) -> Response:
        """Runs a write in one transaction and answers with what it returns, once per Idempotency-Key.

        A Refusal undoes what was written, unless its class keeps its effects; then both are committed.
        """
        attempt = await self._attempt()
        async with self.transaction() as tx:
            if attempt and (before := await idempotency.begin(tx, attempt, self._exchange.face.keyring)):
                return _response(before, replayed=True)
            stored = await self._run(tx, work, stores=attempt is not None)
            if attempt and _is_final(stored.status):
                await idempotency.keep(tx, attempt, stored, self._exchange.face.keyring)
        return _response(stored)

    def answer(self, body: Any, *, version: int | None = None, headers: Mapping[str, str] | None = None) -> Response:
        """A read's response; 304 when the caller has this version already."""
        stored = self._stored(Answer(body=body, version=version, headers=headers or {}))
        known = self.request.headers.get("if-none-match") if version is not None else None
        if known and etag(version or 0) in [tag.strip() for tag in known.split(",")]:
            return Response(status_code=304, headers=dict(stored.headers))
        return _response(stored)

    def listing(self, data: Sequence[Any], next_cursor: str | None) -> Response:
        """One page of a list, with a link to the next one."""
        headers = {}
        if next_cursor is not None:
            query = self.request.scope["query_string"].decode("latin-1")
            headers["Link"] = pages.link(self.request.scope["path"], query, next_cursor)
        return self.answer({"data": data, "next_cursor": next_cursor}, headers=headers)

    async def _attempt(self) -> Attempt | None:
        key = self.request.headers.get("idempotency-key")
        if key is None:
            return None
        scope = self.request.scope
        return Attempt(
            workspace_id=self.workspace_id,
            principal=self.principal.id,
            route=self._facts.name,
            key=idempotency.checked(key),
            fingerprint=idempotency.fingerprint(
                scope["path"],
                scope["query_string"].decode("latin-1"),
                self.request.headers.get("if-match", ""),
                body=await self.request.body(),
            ),
        )

    async def _run(self, tx: Transaction, work: Work, *, stores: bool) -> Stored:
        try:
            # Only a stored refusal needs the savepoint: otherwise the whole transaction goes.
            async with tx.savepoint() if stores else nullcontext():
                try:
                    result = await work(tx)
                except Refusal as refusal:
                    if not refusal.keeps_effects:
                        raise
                    return self._refused(refusal)
        except Refusal as refusal:
            if not stores or not _is_final(refusal.status):
                raise
            return self._refused(refusal)
        return self._stored(result if isinstance(result, Answer) else Answer(body=result))

    def _refused(self, refusal: Refusal) -> Stored:
        document = problems.document(refusal, request_id=self.request_id)
        headers = {**refusal.headers, "Content-Type": problems.MEDIA_TYPE}
        return Stored(status=refusal.status, headers=headers, body=encode(document))

    def _stored(self, answer: Answer) -> Stored:
        headers = dict(answer.headers)
        if answer.version is not None:
            headers["ETag"] = etag(answer.version)
        status = answer.status or self._facts.status
        if answer.body is None:
            return Stored(status=204 if status == 200 else status, headers=headers, body=b"")
        headers["Content-Type"] = "application/json"
        return Stored(status=status, headers=headers, body=encode(answer.body))


def _is_final(status: int) -> bool:
    """Whether the same request would get the same answer again: not after a failure, a pause or another key."""
    return status < 500 and status not in _NEVER_STORED


def etag(version: int) -> str:
    """A version as strong ETag."""
    return f'"{version}"'


def stale(current: int, **changes: Any) -> VersionStale:
    """The refusal of a write that names an older version; `changes` say who changed what, such as `changed_by`."""
    return VersionStale(
        f"the current version is {current}", headers={"ETag": etag(current)}, current_version=current, **changes
    )


def _response(stored: Stored, *, replayed: bool = False) -> Response:
    headers = {**stored.headers, "Idempotent-Replayed": "true"} if replayed else dict(stored.headers)
    return Response(stored.body, status_code=stored.status, headers=headers)


def _refuse_unknown(request: Request, facts: RouteFacts) -> None:
    unknown = sorted(request.query_params.keys() - facts.parameters)
    if unknown:
        raise BadRequest(
            f"there is no parameter {unknown[0]} here",
            errors=[{"parameter": name, "detail": "there is no such parameter"} for name in unknown],
        )
