"""Endpoints as their owners see them: made, changed, paused, tried, and what was pushed to them sent again."""

import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from services.notifier.adapters import webhook
from services.notifier.adapters.webhook import Attempt
from services.notifier.domain import feed, webhooks
from services.notifier.domain.endpoints import Delivery, Endpoint, EndpointKind, EndpointState, secret_context
from services.notifier.domain.event_types import FEED_TYPES
from services.notifier.domain.feed import Entry, Filter
from services.notifier.settings import NotifierSettings
from services.notifier.store import deliveries
from services.notifier.store import endpoints as store
from services.notifier.store import feed as feed_store
from shared.db.transaction import Transaction
from shared.egress import EgressRefused
from shared.errors import Conflict, Forbidden, Invalid, NotFound
from shared.host import Runtime
from shared.web.auth import Principal
from shared.web.calls import stale

SECRET_BYTES: Final = 32
REPLAY_AT_ONCE: Final = 10_000


class TooManyEndpoints(Conflict):
    """The workspace has as many endpoints as it may have."""

    code = "too-many-endpoints"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an endpoint should be; None: as it was, or as it is by default."""

    url: str | None = None
    description: str | None = None
    event_types: Sequence[str] | None = None
    teams: Sequence[str] | None = None


class Endpoints:
    """What routes may do with endpoints; `wake` tells the deliverer of this process at once."""

    def __init__(self, runtime: Runtime, settings: NotifierSettings, *, wake: Callable[[], None]) -> None:
        self._runtime = runtime
        self._limit = settings.endpoint_limit
        self._overlap = timedelta(milliseconds=settings.secret_overlap_ms)
        self._timeout = timedelta(milliseconds=settings.endpoint_timeout_ms)
        self._wake = wake

    async def create(
        self, tx: Transaction, principal: Principal, wish: Wish, *, kind: EndpointKind = "webhook"
    ) -> tuple[Endpoint, str]:
        """A new endpoint, and its secret, which is shown this once."""
        url = self._checked_url(wish.url or "")
        types, teams = _checked_types(wish.event_types or ()), _allowed_teams(principal, wish.teams)
        if await store.count(tx, principal.workspace_id) >= self._limit:
            raise TooManyEndpoints(f"a workspace may have {self._limit} endpoints", limit=self._limit)
        endpoint_id = self._runtime.ids.new("hok" if kind == "hook" else "end")
        secret, sealed = self._new_secret(endpoint_id)
        made = await store.insert(
            tx,
            principal.workspace_id,
            endpoint_id=endpoint_id,
            kind=kind,
            url=url,
            description=wish.description or "",
            event_types=types,
            teams=teams,
            secret=sealed,
        )
        tx.after_commit(self._wake)
        return made, secret

    async def change(
        self, tx: Transaction, principal: Principal, endpoint_id: str, wish: Wish, *, version: int
    ) -> Endpoint:
        """What is named in the wish, if nobody else changed the endpoint since `version`."""
        before = await self._locked(tx, principal, endpoint_id)
        if before.version != version:
            raise stale(before.version)
        after = await store.save(
            tx,
            endpoint_id,
            url=before.url if wish.url is None else self._checked_url(wish.url),
            description=before.description if wish.description is None else wish.description,
            event_types=before.event_types if wish.event_types is None else _checked_types(wish.event_types),
            teams=before.teams if wish.teams is None else _allowed_teams(principal, wish.teams),
        )
        tx.after_commit(self._wake)
        return after

    async def remove(
        self, tx: Transaction, principal: Principal, endpoint_id: str, *, kind: EndpointKind = "webhook"
    ) -> None:
        """Nothing more is pushed, and its log is gone."""
        await self._locked(tx, principal, endpoint_id, kind=kind)
        await store.delete(tx, principal.workspace_id, endpoint_id)
        tx.after_commit(self._wake)

    async def switch(self, tx: Transaction, principal: Principal, endpoint_id: str, state: EndpointState) -> Endpoint:
        """Paused, or active again; then it goes on where it stopped."""
        before = await self._locked(tx, principal, endpoint_id)
        changed = await store.switch(tx, [endpoint_id], state, reason=None)
        tx.after_commit(self._wake)
        return changed[0] if changed else before

    async def rotate(self, tx: Transaction, principal: Principal, endpoint_id: str) -> tuple[Endpoint, str]:
        """A new secret; until the overlap ends, deliveries are signed with both."""
        await self._locked(tx, principal, endpoint_id)
        secret, sealed = self._new_secret(endpoint_id)
        rotated = await store.rotate(tx, endpoint_id, secret=sealed, overlap=self._overlap)
        tx.after_commit(self._wake)
        return rotated, secret

    async def probe(self, endpoint: Endpoint) -> Attempt:
        """Pushes a test event at once, and keeps nothing of it; call it outside of any transaction."""
        ring, context = self._runtime.keyring, secret_context(endpoint.id)
        now = self._runtime.clock.now()
        entry = Entry(
            endpoint.workspace_id,
            0,
            self._runtime.ids.new("evt"),
            "endpoint.test.v1",
            None,
            None,
            None,
            now,
            f'{{"endpoint_id":"{endpoint.id}"}}'.encode(),
        )
        return await webhook.push(
            self._runtime.egress,
            endpoint.url,
            message_id=entry.event_id,
            body=feed.body(entry),
            keys=[
                webhooks.key_of(ring.open_text(sealed, context=context))
                for sealed in (endpoint.secret, endpoint.previous_secret)
                if sealed is not None
            ],
            at=now,
            within=self._timeout,
        )

    async def resend(self, tx: Transaction, principal: Principal, endpoint_id: str, number: int) -> Delivery:
        """One delivery again, whatever became of it."""
        await self._locked(tx, principal, endpoint_id)
        delivery = await deliveries.resend(tx, endpoint_id, number)
        if delivery is None:
            raise NotFound(f"there is no delivery {number} that is still kept")
        tx.after_commit(self._wake)
        return delivery

    async def replay(
        self, tx: Transaction, principal: Principal, endpoint_id: str, since: int | datetime
    ) -> tuple[int, int | None]:
        """Everything since a number or a time again; how many, and where to go on if that was not all."""
        endpoint = await self._locked(tx, principal, endpoint_id)
        _, last = await feed_store.bounds(tx, principal.workspace_id)
        # What it has not been offered yet comes by itself.
        through = last - (await store.health(tx, [endpoint_id]))[endpoint_id].behind
        if isinstance(since, datetime):
            since = await deliveries.first_since(tx, principal.workspace_id, since)
        chosen = Filter(
            types=feed.chosen_types(endpoint.event_types, known=FEED_TYPES),
            teams=None if endpoint.teams is None else frozenset(endpoint.teams),
            endpoint=feed.address("endpoint", endpoint_id),
        )
        queued, end = await deliveries.replay(
            tx, principal.workspace_id, endpoint_id, since=since, through=through, chosen=chosen, limit=REPLAY_AT_ONCE
        )
        tx.after_commit(self._wake)
        return queued, end + 1 if end is not None and queued == REPLAY_AT_ONCE else None

    async def _locked(
        self, tx: Transaction, principal: Principal, endpoint_id: str, *, kind: EndpointKind = "webhook"
    ) -> Endpoint:
        return _visible(await store.lock(tx, endpoint_id), principal, endpoint_id, kind)

    def _checked_url(self, url: str) -> str:
        try:
            self._runtime.egress.check_url(url)
        except EgressRefused as error:
            raise Invalid(str(error), errors=[{"pointer": "#/url", "detail": str(error)}]) from error
        return url

    def _new_secret(self, endpoint_id: str) -> tuple[str, bytes]:
        secret = webhooks.new_secret(secrets.token_bytes(SECRET_BYTES))
        return secret, self._runtime.keyring.seal(secret, context=secret_context(endpoint_id))


async def load(tx: Transaction, principal: Principal, endpoint_id: str) -> Endpoint:
    """One webhook endpoint; NotFound for one that this key may not know of."""
    found = await store.load(tx, [endpoint_id])
    return _visible(found.get(endpoint_id), principal, endpoint_id, "webhook")


def _visible(endpoint: Endpoint | None, principal: Principal, endpoint_id: str, kind: EndpointKind) -> Endpoint:
    if endpoint is None or endpoint.kind != kind or not _is_within(endpoint.teams, principal.teams):
        raise NotFound(f"there is no {'hook' if kind == 'hook' else 'endpoint'} {endpoint_id[:64]}")
    return endpoint


def _is_within(teams: Collection[str] | None, allowed: frozenset[str] | None) -> bool:
    return allowed is None or (teams is not None and allowed.issuperset(teams))


def _allowed_teams(principal: Principal, teams: Sequence[str] | None) -> tuple[str, ...] | None:
    """A key that sees some teams only cannot have other teams' events pushed."""
    if teams is None and principal.teams is not None:
        return tuple(sorted(principal.teams))
    if not _is_within(teams, principal.teams):
        raise Forbidden("this key may not see all of these teams")
    return None if teams is None else tuple(dict.fromkeys(teams))


def _checked_types(names: Sequence[str]) -> tuple[str, ...]:
    try:
        feed.chosen_types(names, known=FEED_TYPES)
    except ValueError as error:
        detail = f"there is no event type {error}"
        problem = {"pointer": "#/event_types", "detail": detail}
        raise Invalid(detail, errors=[problem], known=sorted(FEED_TYPES)) from None
    return tuple(dict.fromkeys(names))
