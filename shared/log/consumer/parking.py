"""Rows beside the log: keys that wait behind an event that fails, and events that a group gave up on."""

import re
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog

from shared.db.appending import decode_headers, encode_headers
from shared.db.together import Rows
from shared.db.transaction import Transaction
from shared.errors import Rejected
from shared.events import envelope
from shared.events.envelope import Event, Headers
from shared.ids import Ids
from shared.telemetry.metrics import Metrics

_LOG: Final = structlog.get_logger()

NO_WORKSPACE: Final = "_unknown"
"""Where records lie that do not say, in a way we understand, whose they are."""

_WORKSPACE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LONGEST_MESSAGE: Final = 500


class KeysParked(Exception):
    """A batch went ahead as if none of its keys were parked, and one is."""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A record, from the log or from a key's queue, on its way to the handler."""

    topic: str
    partition: int
    position: int
    key: str
    headers: Headers
    value: bytes
    workspace_id: str
    event: Event | None
    fault: Rejected | None
    """Why there is no event."""
    row: int = 0
    """Its row in the key's queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedKey:
    """A key whose head fails."""

    attempts: int
    failed_since: datetime


def waiting(
    *, topic: str, partition: int, position: int, key: str, headers: Headers, value: bytes, row: int = 0
) -> Waiting:
    """The record, decoded if it can be."""
    event, fault = _decoded(headers, value)
    workspace = event.workspace_id if event else envelope.header(headers, "ce_workspaceid") or ""
    return Waiting(
        topic=topic,
        partition=partition,
        position=position,
        key=key,
        headers=headers,
        value=value,
        workspace_id=workspace if _WORKSPACE.fullmatch(workspace) else NO_WORKSPACE,
        event=event,
        fault=fault,
        row=row,
    )


def _decoded(headers: Headers, value: bytes) -> tuple[Event | None, Rejected | None]:
    try:
        event = envelope.decode(headers, value)
    except Rejected as error:
        return None, error
    if not _WORKSPACE.fullmatch(event.workspace_id):
        return None, Rejected("not a known event: its workspace is not an id")
    return event, None


def reason(error: BaseException) -> tuple[str, str]:
    """Class and message of an error, with where it was raised, without the row values that databases add."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno})" if frames else ""
    message = str(error.args[0]) if error.args else ""
    return type(error).__name__, message[:_LONGEST_MESSAGE] + place


class Parking:
    """The parked keys and dead letters of one group in one service's schema; every call belongs to a transaction.

    Whoever appends to a key's queue or drains it holds the lock of the key's row: so nothing is left behind in a
    queue whose row was just removed, and nothing overtakes it.
    """

    def __init__(self, schema: str, group: str, *, ids: Ids, metrics: Metrics) -> None:
        self._group = group
        self._ids = ids
        self._buried = metrics.counter("baton_dead_letters_total", group=group)
        key = "consumer_group = $1 AND key = $2"
        self._find = f"SELECT key FROM {schema}.parked WHERE consumer_group = $1 AND key = ANY ($2)"
        self._lock_known = f"{self._find} ORDER BY key FOR UPDATE"
        self._lock_due = (
            f"SELECT attempts, parked_at FROM {schema}.parked WHERE {key} AND next_at <= now() FOR UPDATE SKIP LOCKED"
        )
        self._park = (
            f"INSERT INTO {schema}.parked AS p (consumer_group, key, workspace_id, attempts, reason, next_at) "
            "VALUES ($1, $2, $3, 1, $4, now() + $5) "
            # Somebody re-drove a dead letter of this key meanwhile: that one is its head now.
            "ON CONFLICT (consumer_group, key) DO UPDATE SET reason = p.reason"
        )
        self._postpone = f"UPDATE {schema}.parked SET next_at = now() + $3 WHERE {key}"
        self._fail = (
            f"UPDATE {schema}.parked SET attempts = $3, reason = $4, next_at = now() + $5, "
            f"parked_at = CASE WHEN $3 = 1 THEN now() ELSE parked_at END WHERE {key}"
        )
        self._renew = f"UPDATE {schema}.parked SET attempts = 0, next_at = now() WHERE {key}"
        self._unpark = f"DELETE FROM {schema}.parked WHERE {key}"
        self._append = (
            f"INSERT INTO {schema}.parked_event "
            "(consumer_group, key, workspace_id, topic, partition, position, headers, value) "
            "SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::int[], $6::bigint[], $7::bytea[], "
            "$8::bytea[])"
        )
        self._head = (
            f"SELECT id, topic, partition, position, key, headers, value FROM {schema}.parked_event "
            f"WHERE {key} ORDER BY id LIMIT $3"
        )
        self._remove = f"DELETE FROM {schema}.parked_event WHERE id = ANY ($1)"
        self._bury = (
            f"INSERT INTO {schema}.dead_letter (id, workspace_id, consumer_group, topic, partition, position, key, "
            "event_type, headers, value, error_class, error_message, attempts, first_failed_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, coalesce($14, now()))"
        )
        self.due = (
            f"SELECT key, workspace_id FROM {schema}.parked WHERE consumer_group = $1 AND next_at <= now() "
            "ORDER BY next_at LIMIT $2"
        )
        self.count = f"SELECT count(*) FROM {schema}.parked WHERE consumer_group = $1"

    async def lock_known(self, tx: Transaction, keys: Iterable[str]) -> set[str]:
        """Those of `keys` that are parked, with their rows locked."""
        return {row["key"] for row in await tx.fetch(self._lock_known, self._group, list(keys))}

    def expect_none(self, tx: Transaction, keys: Iterable[str]) -> None:
        """Looks with the next write whether one of `keys` is parked, and raises KeysParked if so: most never are."""
        rows = Rows(0, lambda: KeysParked("a key of the batch is parked"))
        tx.defer(self._find, self._group, list(keys), rows=rows)

    async def lock_due(self, tx: Transaction, key: str) -> ParkedKey | None:
        """The key with its row locked, if it is still due and nobody else is at it."""
        row = await tx.fetchrow(self._lock_due, self._group, key)
        return row and ParkedKey(attempts=row["attempts"], failed_since=row["parked_at"])

    async def park(self, tx: Transaction, items: Sequence[Waiting], error: BaseException, wait: timedelta) -> None:
        """Parks the key of `items`, whose first failed for the first time."""
        head = items[0]
        why = ": ".join(reason(error))
        await tx.execute(self._park, self._group, head.key, head.workspace_id, why, wait)
        await self.append(tx, items)
        _LOG.error("key_parked", group=self._group, key=head.key, workspace_id=head.workspace_id, reason=why)

    async def append(self, tx: Transaction, items: Sequence[Waiting]) -> None:
        """Puts events behind those that wait already; the caller holds the rows of their keys."""
        if items:
            await tx.execute(
                self._append,
                self._group,
                [item.key for item in items],
                [item.workspace_id for item in items],
                [item.topic for item in items],
                [item.partition for item in items],
                [item.position for item in items],
                [encode_headers(item.headers) for item in items],
                [item.value for item in items],
            )

    async def head(self, tx: Transaction, key: str, limit: int) -> list[Waiting]:
        """The first events of a key's queue."""
        return [
            waiting(
                topic=row["topic"],
                partition=row["partition"],
                position=row["position"],
                key=row["key"],
                headers=decode_headers(row["headers"]),
                value=row["value"],
                row=row["id"],
            )
            for row in await tx.fetch(self._head, self._group, key, limit)
        ]

    async def remove(self, tx: Transaction, items: Iterable[Waiting]) -> None:
        """Takes events out of their key's queue."""
        await tx.execute(self._remove, [item.row for item in items])

    async def fail(self, tx: Transaction, key: str, attempts: int, error: BaseException, wait: timedelta) -> None:
        """The head failed for the n-th time."""
        await tx.execute(self._fail, self._group, key, attempts, ": ".join(reason(error)), wait)

    async def postpone(self, tx: Transaction, key: str, wait: timedelta) -> None:
        """Not a failure of the head: it is tried again later."""
        await tx.execute(self._postpone, self._group, key, wait)

    async def renew(self, tx: Transaction, key: str) -> None:
        """All that was looked at is gone, and more may wait: due again at once, with a head that never failed."""
        await tx.execute(self._renew, self._group, key)

    async def unpark(self, tx: Transaction, key: str) -> None:
        """The queue is empty: the next event of this key is handled where it is read."""
        await tx.execute(self._unpark, self._group, key)

    async def bury(
        self,
        tx: Transaction,
        item: Waiting,
        error: BaseException,
        *,
        attempts: int = 1,
        since: datetime | None = None,
    ) -> None:
        """Gives up on an event: keeps it, with the reason, where people can see it."""
        letter = self._ids.new("dl")
        error_class, message = reason(error)
        await tx.execute(
            self._bury,
            letter,
            item.workspace_id,
            self._group,
            item.topic,
            item.partition,
            item.position,
            item.key,
            envelope.header(item.headers, "ce_type"),
            encode_headers(item.headers),
            item.value,
            error_class,
            message,
            attempts,
            since,
        )
        _LOG.error(
            "event_dead_lettered",
            group=self._group,
            dead_letter=letter,
            workspace_id=item.workspace_id,
            reason=f"{error_class}: {message}",
        )
        tx.after_commit(self._buried.inc)
