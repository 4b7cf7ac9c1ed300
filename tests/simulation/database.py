"""Postgres as one of the things outside: its real SQL, one statement at a time, at the virtual time."""

import asyncio
import contextvars
import os
import random
import re
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from shared.db import pool as product
from shared.db.scope import SCAN_ROLE
from shared.db.session import Asked, Session
from tests.simulation.clock import SEARCH_PATH
from tests.simulation.loop import EPOCH, VirtualLoop
from tests.simulation.statements import Chance, Real, Statement
from tests.simulation.wire import Loop, Work, closed, done, wire_of

if TYPE_CHECKING:
    from tests.simulation.connections import Connection


LOCK_TIMEOUT: Final = 3.0
IDLE_TIMEOUT: Final = 5.0
"""Seconds of virtual time: what the product asks of Postgres (shared/db/pool.py), kept here instead."""

_SESSION: Final = {
    **product.SESSION,
    "search_path": SEARCH_PATH,
    "statement_timeout": "0",
    "lock_timeout": "0",
    "plan_cache_mode": "force_generic_plan",
    "idle_in_transaction_session_timeout": "0",
}
_WAITS: Final = "SELECT pid FROM unnest($1::int[]) AS w(pid) WHERE cardinality(pg_blocking_pids(pid)) > 0"
_TOO_LATE: Final = 0.5
_GRAIN: Final = 0.002
"""Seconds for which the server's clock may stand still: telling it the time is a statement, too."""
_ROLLBACK: Final = re.compile(r"ROLLBACK\b")
"""What may follow a statement that failed, when the server takes nothing else."""


_NOBODY: Final = contextvars.Context()
"""What happens outside belongs to no process."""


class Postgres:
    """The real server: it is waited for inside of a step, so that no real I/O is ever outstanding."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._io = Loop()
        self._reals: list[Real] = []
        self._monitor = self._connect(lookout=False)
        self._set_at = -1.0
        self._loop: VirtualLoop | None = None
        self._chance: Chance | None = None
        self._order = random.Random(0)
        self._due: list[Statement] = []
        self._blocked: list[Statement] = []
        self._has_let_go = False
        """Whether a lock may be free that was not when we last looked."""
        self.count = 0

    # -- a seed -------------------------------------------------------------------------------------------------

    def begin(self, loop: VirtualLoop, chance: Chance, seed: int) -> None:
        """A new seed on empty tables."""
        self._loop, self._chance, self._order = loop, chance, random.Random(seed)
        self._set_at = -1.0
        self.count = 0

    def end(self) -> None:
        """Whatever is open is undone."""
        for statement in [*self._due, *self._blocked]:
            if statement.work is not None:
                self._cancel(statement)
        self._due.clear()
        self._blocked.clear()
        for real in self._reals:
            self._free(real)

    def rows(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """For the harness itself: at once, seen by the owner."""
        self._keep_time(self._monitor)
        rows: list[asyncpg.Record] = self._ask(self._monitor.fetch(sql, *arguments))
        return rows

    def script(self, sql: str) -> None:
        """Likewise, several statements."""
        self._ask(self._monitor.execute(sql))

    def close(self) -> None:
        """Ends all connections."""
        for each in [self._monitor, *(real.connection for real in self._reals)]:
            closed(each)
        self._io.close()

    # -- statements ---------------------------------------------------------------------------------------------

    def begin_with(self, connection: "Connection", asked: Iterable[Asked], end: str) -> None:
        """Goes with the connection's next statement, as it does on the wire."""
        assert self._loop
        assert connection.real
        begun = (EPOCH + timedelta(seconds=self._loop.time())).isoformat()
        connection.real.connection.send_ahead(*asked, ("SELECT set_config('sim.begun', $1, true)", begun), end=end)
        connection.real.has_begun = True

    async def perform(self, connection: "Connection", method: str, arguments: tuple[Any, ...]) -> Any:
        """One statement of the product: it waits until the seed lets it run."""
        assert self._loop
        assert self._chance
        answer: asyncio.Future[Any] = self._loop.create_future()
        commits = method == "fetchrow_and_end" or arguments[0] == "COMMIT"
        fate = self._chance.fate(connection, arguments[0], commits=commits)
        statement = Statement(connection, method, arguments, answer, fate)
        connection.running = statement
        if fate.delay:
            self._loop.call_later(fate.delay, self._arrive, statement, context=_NOBODY)
        else:
            self._due.append(statement)
        try:
            return await answer
        except asyncio.CancelledError:
            self._withdraw(statement)
            raise
        finally:
            connection.running = None

    def step(self) -> bool:
        """Runs one of the statements that wait; says whether there was one."""
        if not self._due:
            return False
        statement = self._due.pop(self._order.randrange(len(self._due)))
        if statement.connection.is_gone:
            return True
        fate = statement.fate
        if fate.before:
            fate.before()
        if statement.connection.is_gone:
            return True
        if fate.cut == "before":
            statement.connection.cut(statement)
            return True
        self._execute(statement)
        return True

    def abandon(self, connection: "Connection") -> None:
        """The client is gone: what it had not committed is undone, as Postgres does when it notices."""
        self._due = [each for each in self._due if each.connection is not connection]
        for statement in [each for each in self._blocked if each.connection is connection]:
            self._cancel(statement)
            self._blocked.remove(statement)
        if connection.real is not None:
            self._free(connection.real)
            connection.real = None
        self._look_at_blocked()

    def take(self, *, lookout: bool) -> Real:
        """A real connection: the first that is free, so that few are enough."""
        for real in self._reals:
            if real.is_free and real.is_lookout == lookout:
                real.is_free = False
                return real
        made = self._connect(lookout=lookout)
        real = Real(made, made.get_server_pid(), lookout, is_free=False)
        self._reals.append(real)
        return real

    def give(self, real: Real) -> None:
        """Back, outside of any transaction."""
        self._free(real)

    # -- inside -------------------------------------------------------------------------------------------------

    def _arrive(self, statement: Statement) -> None:
        if not statement.answer.done():
            self._due.append(statement)

    def _withdraw(self, statement: Statement) -> None:
        """Cancelled: whether it had its effect before the server heard of that is up to the seed."""
        if statement in self._due:
            self._due.remove(statement)
            if not statement.connection.is_gone and self._order.random() < _TOO_LATE:
                self._execute(statement)
        if statement in self._blocked:
            self._blocked.remove(statement)
            self._cancel(statement)

    def _execute(self, statement: Statement) -> None:
        real = statement.connection.real
        assert real is not None
        assert self._loop
        self.count += 1
        method, (sql, *rest) = statement.method, statement.arguments
        if not _ROLLBACK.match(sql):
            self._keep_time(real.connection)
        real.has_begun = False
        statement.work = Work(real.connection, getattr(real.connection, method)(sql, *rest))
        if self._finished(statement):
            may_hold = real.connection.is_in_transaction() and not statement.work.error and "SAVEPOINT" not in sql
            self._has_let_go = self._has_let_go or not may_hold
            self._conclude(statement, statement.work.error, statement.work.result)
        else:
            self._put_aside(statement)
        if self._has_let_go:
            self._look_at_blocked()

    def _finished(self, statement: Statement) -> bool:
        """Until the statement is done (True) or waits for a lock (False)."""
        assert statement.work
        assert statement.connection.real
        pid = statement.connection.real.pid
        while True:
            if statement.work.wait():
                return True
            if self._ask(self._monitor.fetch(_WAITS, [pid])):
                return False

    def _put_aside(self, statement: Statement) -> None:
        assert self._loop
        assert self._chance
        if self._is_circle(statement):
            self._chance.blame(f"deadlock: {' '.join(statement.arguments[0].split())}")
            self._cancel(statement)
            statement.answer.set_exception(asyncpg.DeadlockDetectedError("deadlock detected"))
            return
        statement.timer = self._loop.call_later(LOCK_TIMEOUT, self._give_up, statement, context=_NOBODY)
        self._blocked.append(statement)

    def _is_circle(self, statement: Statement) -> bool:
        pids = {each.connection.real.pid for each in [*self._blocked, statement] if each.connection.real}
        rows = self._ask(
            self._monitor.fetch("SELECT pid, pg_blocking_pids(pid) AS by FROM unnest($1::int[]) AS w(pid)", list(pids))
        )
        behind = {row["pid"]: set(row["by"]) for row in rows}
        assert statement.connection.real
        start = statement.connection.real.pid
        seen: set[int] = set()
        pending = set(behind.get(start, ()))
        while pending:
            pid = pending.pop()
            if pid == start:
                return True
            if pid not in seen:
                seen.add(pid)
                pending |= behind.get(pid, set())
        return False

    def _give_up(self, statement: Statement) -> None:
        if statement not in self._blocked:
            return
        self._blocked.remove(statement)
        self._cancel(statement)
        if not statement.answer.done():
            statement.answer.set_exception(asyncpg.LockNotAvailableError("canceling statement due to lock timeout"))

    def _look_at_blocked(self) -> None:
        """Some may go on, now that somebody has let go: each until it is done or waits again."""
        again, self._has_let_go = True, False
        while again and self._blocked:
            again = False
            pids = [each.connection.real.pid for each in self._blocked if each.connection.real]
            waiting = {row["pid"] for row in self._ask(self._monitor.fetch(_WAITS, pids))}
            for statement in list(self._blocked):
                # What one of them leads to may be the death of the others.
                if statement not in self._blocked:
                    continue
                assert statement.work
                assert statement.connection.real
                if statement.connection.real.pid not in waiting and self._finished(statement):
                    self._blocked.remove(statement)
                    if statement.timer:
                        statement.timer.cancel()
                    self._conclude(statement, statement.work.error, statement.work.result)
                    again = True

    def _conclude(self, statement: Statement, error: Exception | None, result: Any) -> None:
        """The answer goes back, unless the seed has something else in mind."""
        fate, connection = statement.fate, statement.connection
        if fate.after:
            fate.after()
        if connection.is_gone:
            return
        if fate.cut == "after":
            connection.cut(statement)
        elif not statement.answer.done():
            if error:
                statement.answer.set_exception(error)
            else:
                statement.answer.set_result(result)

    def _cancel(self, statement: Statement) -> None:
        assert statement.work
        assert statement.connection.real
        while not statement.work.is_done:
            self._ask(self._monitor.execute(f"SELECT pg_cancel_backend({statement.connection.real.pid})"))
            statement.work.wait()
        self._has_let_go = True

    def _free(self, real: Real) -> None:
        if real.is_in_transaction:
            done(real.connection, real.connection.execute("ROLLBACK"))
            self._has_let_go = True
            real.has_begun = False
        real.is_free = True

    def _keep_time(self, connection: Session) -> None:
        """Tells the server the time, together with what it is asked next."""
        if self._loop is None or 0 <= self._loop.time() - self._set_at < _GRAIN:
            return
        self._set_at = self._loop.time()
        at = (EPOCH + timedelta(seconds=self._set_at)).timestamp()
        connection.send_ahead(("SELECT setval('sim.clock', $1)", str(round(at * 1e6))))

    def _ask(self, work: Any) -> Any:
        return done(self._monitor, work)

    def _connect(self, *, lookout: bool) -> Session:
        return self._io.complete(self._connected({**_SESSION, **({"role": SCAN_ROLE} if lookout else {})}))

    async def _connected(self, session: Any) -> Session:
        # What is prepared stays so: if it were forgotten after some minutes, it would be planned anew in whatever seed then.
        connection = await asyncpg.connect(
            self._dsn,
            connection_class=Session,
            server_settings=session,
            statement_cache_size=1024,
            max_cached_statement_lifetime=0,
        )
        await product._prepare(connection)
        # By the clock of a machine that may have other work: time in here is virtual.
        await connection.execute(
            "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout'"
        )
        wire_of(connection).by_hand()
        # On our core, for we never work at the same time.
        os.sched_setaffinity(connection.get_server_pid(), os.sched_getaffinity(0))
        return connection
