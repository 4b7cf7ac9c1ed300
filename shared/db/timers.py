"""Timers: rows that are due by the database's clock, claimed by any replica, checked again when they take effect."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from shared.db.pool import Database
from shared.db.scope import Batch, Scan
from shared.db.transaction import Transaction
from shared.errors import Retryable
from shared.ids import Ids
from shared.retry import Backoff

CLAIM: Final = timedelta(seconds=30)
"""How long a claimed timer is left alone by others; two effects are excluded anyway, this only saves the effort."""

AT_ONCE: Final = 100
WORKERS: Final = 4

_AWAY: Final = Backoff(cap=timedelta(seconds=5))
_AGAIN: Final = Backoff(base=timedelta(seconds=1), cap=timedelta(minutes=5))
_LOG: Final = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """One timer. `version` is what its setter knew of the subject; `attempts` counts effects that failed."""

    id: str
    workspace_id: str
    kind: str
    subject: str
    version: int
    due_at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 0


Handler = Callable[[Transaction, Timer], Awaitable[None]]


async def set_timer(
    tx: Transaction,
    ids: Ids,
    *,
    workspace_id: str,
    kind: str,
    subject: str,
    due: datetime | timedelta,
    version: int = 0,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Sets the one timer of this kind and subject, in place of an earlier one unless that knew a later version.

    A `timedelta` counts from the transaction's beginning, by the database's clock. The caller holds the lock of
    the subject.
    """
    # A new id: whoever has claimed the earlier one finds that it is gone.
    await tx.execute(
        f"INSERT INTO {tx.schema}.timer AS t (id, workspace_id, kind, subject, version, due_at, data) "
        "VALUES ($1, $2, $3, $4, $5, coalesce($6, now() + $7), $8) "
        "ON CONFLICT (workspace_id, kind, subject) DO UPDATE SET id = EXCLUDED.id, version = EXCLUDED.version, "
        "due_at = EXCLUDED.due_at, data = EXCLUDED.data, claimed_until = NULL, attempts = 0 "
        "WHERE t.version <= EXCLUDED.version",
        ids.new("tmr"),
        workspace_id,
        kind,
        subject,
        version,
        due if isinstance(due, datetime) else None,
        due if isinstance(due, timedelta) else None,
        dict(data or {}),
    )


async def cancel_timer(
    tx: Transaction, *, workspace_id: str, kind: str, subject: str, version: int | None = None
) -> bool:
    """Removes a timer; with `version`, only one that knew no later version. The caller holds the subject's lock."""
    return bool(
        await tx.execute(
            f"DELETE FROM {tx.schema}.timer WHERE workspace_id = $1 AND kind = $2 AND subject = $3 "
            "AND ($4::bigint IS NULL OR version <= $4)",
            workspace_id,
            kind,
            subject,
            version,
        )
    )


class Timers:
    """The loop that gives due timers their effects. Run one in every replica.

    An effect is one transaction: `lock` takes the lock of the timer's subject, then the timer is removed if it is
    still the one that was claimed, then the handler of its kind acts. In this order, because whoever sets or cancels
    a timer holds the subject's lock too: so nobody waits for each other crosswise, and a timer that was replaced
    while we waited has no effect. A handler may set the same timer again.

    An effect that fails is undone, counted, and tried again later and later; it is never given up.
    """

    def __init__(
        self,
        database: Database,
        schema: str,
        handlers: Mapping[str, Handler],
        *,
        lock: Handler | None = None,
        poll: timedelta = timedelta(milliseconds=250),
        backoff: Backoff = _AGAIN,
        on_failure: Callable[[Timer, Exception], None] | None = None,
    ) -> None:
        self._database = database
        self._schema = schema
        self._handlers = dict(handlers)
        self._lock = lock
        self._poll = poll
        self._backoff = backoff
        self._on_failure = on_failure
        self._claim = (
            f"UPDATE {schema}.timer SET claimed_until = clock_timestamp() + $2 WHERE id = ANY (ARRAY("
            f"SELECT id FROM {schema}.timer WHERE due_at <= clock_timestamp() AND kind = ANY ($3) "
            "AND (claimed_until IS NULL OR claimed_until <= clock_timestamp()) "
            "ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)) "
            "RETURNING id, workspace_id, kind, subject, version, due_at, data, attempts"
        )
        # Ids and versions may come back when a timer is removed and set anew; then it is due at another time.
        same = "id = $1 AND version = $2 AND due_at = $3"
        self._take = f"DELETE FROM {schema}.timer WHERE {same}"
        self._postpone = (
            f"UPDATE {schema}.timer SET attempts = attempts + $4, claimed_until = clock_timestamp() + $5 WHERE {same}"
        )

    async def run(self) -> None:
        """Until cancelled; waits while the database is away."""
        failures = 0
        while True:
            try:
                count = await self.step()
            except Retryable:
                await asyncio.sleep(_AWAY.delay(failures).total_seconds())
                failures += 1
                continue
            failures = 0
            if count < AT_ONCE:
                await asyncio.sleep(self._poll.total_seconds())

    async def step(self) -> int:
        """Claims what is due and gives it its effect; returns how many were claimed."""
        async with self._database.transaction(Scan(), schema=self._schema) as tx:
            rows = await tx.fetch(self._claim, AT_ONCE, CLAIM, list(self._handlers))
        timers = sorted((Timer(**dict(row)) for row in rows), key=lambda timer: timer.due_at)
        async with asyncio.TaskGroup() as group:
            for worker in range(WORKERS):
                group.create_task(self._work(timers[worker::WORKERS]))
        return len(timers)

    async def _work(self, timers: Sequence[Timer]) -> None:
        for timer in timers:
            try:
                await self._effect(timer)
            except Retryable as error:
                await self._fail(timer, error, counts=False)
            except Exception as error:  # noqa: BLE001 - one timer's bug must not stop the clock of all others
                await self._fail(timer, error, counts=True)

    async def _effect(self, timer: Timer) -> None:
        scope = Batch(frozenset((timer.workspace_id,)))
        async with self._database.transaction(scope, schema=self._schema) as tx:
            if self._lock:
                await self._lock(tx, timer)
            if await tx.execute(self._take, timer.id, timer.version, timer.due_at):
                await self._handlers[timer.kind](tx, timer)

    async def _fail(self, timer: Timer, error: Exception, *, counts: bool) -> None:
        log = _LOG.error if counts else _LOG.warning
        log(
            "timer_failed",
            kind=timer.kind,
            subject=timer.subject,
            workspace_id=timer.workspace_id,
            attempts=timer.attempts + counts,
            reason=type(error).__name__,
        )
        if counts and self._on_failure:
            self._on_failure(timer, error)
        wait = self._backoff.delay(timer.attempts)
        # If this cannot be written either, the claim ends by itself.
        with suppress(Retryable):
            async with self._database.transaction(Scan(), schema=self._schema) as tx:
                await tx.execute(self._postpone, timer.id, timer.version, timer.due_at, int(counts), wait)
