"""The transaction object: the only committer, and the only publisher."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, Final, Protocol

import asyncpg

from shared.clock import Clock
from shared.db import columns
from shared.db.appending import OnAppend, Passed, Shards, append
from shared.db.scope import Batch, Scope, bind
from shared.db.together import Rows, Together, Told
from shared.events import envelope
from shared.events.envelope import Encoded
from shared.events.payload import Payload
from shared.ids import Ids

_BEGIN: Final = ("BEGIN READ WRITE",)
_LAZY: Final = {"synchronous_commit": "off"}


class Home(Protocol):
    """What a transaction needs of the database that opened it."""

    @property
    def clock(self) -> Clock: ...
    @property
    def ids(self) -> Ids: ...
    @property
    def topology(self) -> Shards: ...
    @property
    def passed(self) -> Passed: ...
    @property
    def on_append(self) -> Sequence[OnAppend]: ...


class Transaction:
    """One connection between BEGIN and COMMIT, under one role. Statements, events and effects commit together."""

    __slots__ = (
        "_after",
        "_begun",
        "_connection",
        "_database",
        "_deferred",
        "_events",
        "_is_lazy",
        "_now",
        "schema",
        "scope",
        "traceparent",
    )

    def __init__(
        self,
        connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
        database: Home,
        scope: Scope,
        *,
        schema: str,
        traceparent: str | None,
        is_lazy: bool = False,
    ) -> None:
        self._connection = connection
        self._database = database
        self._events: list[Encoded] = []
        self._deferred = Together()
        self._after: list[Callable[[], None]] = []
        self._begun = False
        self._is_lazy = is_lazy
        self._now: datetime | None = None
        self.scope = scope
        self.schema = schema
        self.traceparent = traceparent

    # -- statements ---------------------------------------------------------------------------------------------

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """All rows."""
        await self._write_deferred()
        rows: list[asyncpg.Record] = await self._connection.fetch(*columns.packed(sql, arguments))
        return rows

    async def fetchrow(self, sql: str, *arguments: Any) -> asyncpg.Record | None:
        """The first row, or None."""
        await self._write_deferred()
        return await self._connection.fetchrow(sql, *arguments)

    async def fetchval(self, sql: str, *arguments: Any) -> Any:
        """The first column of the first row, or None."""
        await self._write_deferred()
        return await self._connection.fetchval(sql, *arguments)

    async def execute(self, sql: str, *arguments: Any) -> int:
        """The number of rows that the statement touched."""
        await self._write_deferred()
        tag = await self._connection.execute(*columns.packed(sql, arguments))
        count = tag.rsplit(" ", 1)[-1]
        return int(count) if count.isdigit() else 0

    def defer(
        self, sql: str, *arguments: Any, rows: Rows | None = None, asked: str = "", told: Told | None = None
    ) -> None:
        """Writes with the next statement or the commit, in one round trip with what else is deferred by then.

        For an INSERT, UPDATE or DELETE whose rows nobody needs and no other deferred one touches. Where it does not
        write the number of `rows` that it must, that statement fails with all of it. A SELECT with `rows` says how many
        it must find before all of them. An aggregate that is `asked` of the rows that it gives goes to `told`.
        """
        self._deferred.add(sql, *arguments, rows=rows, asked=asked, told=told)

    async def _write_deferred(self, *, commits: bool = False) -> None:
        if not self._deferred:
            return
        deferred, self._deferred = self._deferred, Together()
        sql, *arguments = columns.packed(*deferred.statement())
        try:
            if commits:
                row = await self._connection.fetchrow_and_end(sql, *arguments)
                self._begun = False
            else:
                row = await self._connection.fetchrow(sql, *arguments)
        except asyncpg.PostgresError as error:
            if refusal := deferred.refusal(error):
                raise refusal from error
            raise
        deferred.tell(tuple(row or ()))

    async def now(self) -> datetime:
        """The database's time at which this transaction began."""
        if self._now is None:
            self._now = await self._connection.fetchval("SELECT now()")
        return self._now

    # -- effects ------------------------------------------------------------------------------------------------

    def emit(self, data: Payload, *, key: str, event_id: str | None = None) -> str:
        """Publishes an event with this commit, and returns its id.

        The caller holds the row lock that orders `key`: else two transactions could swap its events.
        """
        event = envelope.new(
            data,
            event_id=event_id or self._database.ids.new("evt"),
            key=key,
            time=self._database.clock.now(),
            traceparent=self.traceparent,
        )
        self._events.append(envelope.encode(event))
        return event.id

    def append(self, record: Encoded) -> None:
        """Publishes bytes as they are: for the log's own tests and tools."""
        self._events.append(record)

    async def once(self, scope: str, keys: Sequence[str], *, day: datetime, workspace_id: str) -> set[str]:
        """Those of `keys` that are here for the first time in `scope`. `day`: the event's own time, so that a
        redelivery lands on the same day; for effects that have no natural id."""
        rows = await self.fetch(
            f"INSERT INTO {self.schema}.dedupe (day, scope, key, workspace_id) "
            "SELECT $1::date, $2, k, $4 FROM unnest($3::text[]) AS k ON CONFLICT DO NOTHING RETURNING key",
            day.date(),
            scope,
            list(dict.fromkeys(keys)),
            workspace_id,
        )
        return {row["key"] for row in rows}

    def after_commit(self, effect: Callable[[], None]) -> None:
        """Runs `effect` once the commit is certain; for wake-ups and metrics only."""
        self._after.append(effect)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """A part that may fail alone: its rows, events and effects go, the rest of the transaction stays."""
        await self._write_deferred()
        # A flush inside the part writes, and so would lose with it, what was pending before.
        events, after = list(self._events), len(self._after)
        await self._connection.execute("SAVEPOINT part")
        try:
            yield
            await self._write_deferred()
        except BaseException:
            self._deferred = Together()
            self._events = events
            del self._after[after:]
            if not self._connection.is_closed():
                # Released as well: else it would stand before the one of the same name around it, and be undone for it.
                await self._connection.execute("ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part")
            raise
        await self._connection.execute("RELEASE SAVEPOINT part")

    async def admit(self, workspaces: Iterable[str]) -> None:
        """From scanning to working: names the workspaces of the batch and takes the role that is bound to them."""
        await self._write_deferred()
        self.scope = Batch(frozenset(workspaces))
        await self._connection.fetch(*bind(self.scope))

    # -- life ---------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """BEGIN, role and workspaces, in one round trip with the first statement."""
        self._begun = True
        # Should this fail, the first statement does, too: outside of a transaction no session of the pool can write.
        self._connection.send_ahead(_BEGIN, bind(self.scope, **(_LAZY if self._is_lazy else {})), end="COMMIT")

    async def flush(self) -> None:
        """Writes the pending events, and what is deferred, now: for callers that must see them before the commit."""
        if self._events:
            self._append_events(is_last=False)
        await self._write_deferred()

    def _append_events(self, *, is_last: bool) -> None:
        events, self._events = self._events, []
        database = self._database
        # Not where something follows: a shard is held no longer than a commit takes that waits for nothing.
        passed = database.passed if self._is_lazy and is_last else None
        appended = append(self._deferred, events, database.topology, passed=passed)
        for notify in database.on_append:
            self._after.append(lambda notify=notify: notify(appended))  # type: ignore[misc]

    async def commit(self) -> None:
        """What is deferred, events, and COMMIT, in one round trip."""
        if self._events:
            self._append_events(is_last=True)
        # A connection that is lost says so when it is asked.
        if self._deferred and not self._connection.is_closed():
            await self._write_deferred(commits=True)
            return
        tag = await self._connection.execute("COMMIT")
        self._begun = False
        if tag != "COMMIT":
            # Somebody swallowed a statement's error: Postgres then rolls back and calls it a success.
            raise RuntimeError("the transaction was already failed: nothing of it was committed")

    async def rollback(self) -> None:
        """Undoes everything; harmless when nothing began or the connection is gone."""
        self._after.clear()
        if self._begun:
            try:
                if not self._connection.is_closed():
                    await self._connection.execute("ROLLBACK")
            except Exception:  # noqa: BLE001 - why it is undone is what callers must hear, a cancellation above all
                # Without us the server undoes it as well; a connection that was lost is the pool's again already.
                with suppress(asyncpg.InterfaceError):
                    self._connection.terminate()
        self._begun = False

    def run_after_commit(self) -> None:
        """Runs what was registered, after the connection went back to the pool."""
        for effect in self._after:
            effect()
