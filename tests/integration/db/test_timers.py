"""Timers take effect once, when the database's clock says so, and only while they are still meant."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest

from shared.db.pool import Database
from shared.db.scope import Batch, Scan, Workspace
from shared.db.timers import Timer, Timers, cancel_timer, set_timer
from shared.db.transaction import Transaction
from shared.errors import Retryable
from shared.ids import TimeOrderedIds
from shared.retry import Backoff
from tests.support.postgres import cut_connections, open_database
from tests.support.waiting import answer

IDS = TimeOrderedIds()
NOW = timedelta(0)
LATER = timedelta(hours=1)
AT_ONCE = Backoff(base=timedelta(0), cap=timedelta(0))


class Rings:
    """What rang, in a table, so that a rollback takes it back."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.again: timedelta | None = None
        self.attempts: list[int] = []

    async def __call__(self, tx: Transaction, timer: Timer) -> None:
        self.attempts.append(timer.attempts)
        await tx.execute(
            "INSERT INTO demo.seen (workspace_id, key, name) VALUES ($1, $2, $3)",
            timer.workspace_id,
            timer.subject,
            timer.data.get("say", str(timer.version)),
        )
        if self.again is not None:
            await put(tx, timer.subject, self.again, version=timer.version)
        if self.fault:
            raise self.fault


async def put(tx: Transaction, subject: str, due: timedelta | datetime, *, version: int = 0, **data: str) -> None:
    workspace = tx.scope.id if isinstance(tx.scope, Workspace) else "w1"
    await set_timer(tx, IDS, workspace_id=workspace, kind="ring", subject=subject, due=due, version=version, data=data)


@asynccontextmanager
async def acting(database: Database, workspace: str = "w1") -> AsyncIterator[Transaction]:
    async with database.transaction(Workspace(workspace), schema="demo") as tx:
        yield tx


async def rung(database: Database) -> list[tuple[str, str]]:
    async with database.transaction(Batch(frozenset({"w1", "w2"}))) as tx:
        return [tuple(row) for row in await tx.fetch("SELECT key, name FROM demo.seen ORDER BY id")]


async def waiting(database: Database) -> list[str]:
    async with database.transaction(Scan()) as tx:
        return [row["subject"] for row in await tx.fetch("SELECT subject FROM demo.timer ORDER BY subject")]


@pytest.fixture
def rings() -> Rings:
    return Rings()


@pytest.fixture
def timers(database: Database, rings: Rings) -> Timers:
    return Timers(database, "demo", {"ring": rings}, backoff=AT_ONCE)


async def test_only_what_is_due_rings_and_then_it_is_gone(database: Database, timers: Timers) -> None:
    async with acting(database) as tx:
        await put(tx, "due", NOW, say="now")
        await put(tx, "later", LATER)
        await put(tx, "past", datetime(2020, 1, 1, tzinfo=UTC), say="long ago")
    assert await timers.step() == 2
    assert await timers.step() == 0
    assert sorted(await rung(database)) == [("due", "now"), ("past", "long ago")]
    assert await waiting(database) == ["later"]


async def test_timers_of_several_workspaces_ring_in_their_own(database: Database, timers: Timers) -> None:
    for workspace in ("w1", "w2"):
        async with acting(database, workspace) as tx:
            await put(tx, workspace, NOW)
    await timers.step()
    async with acting(database, "w2") as tx:
        assert [row["key"] for row in await tx.fetch("SELECT key FROM demo.seen")] == ["w2"]


async def test_setting_again_moves_the_timer_and_an_older_version_does_not(database: Database, timers: Timers) -> None:
    async with acting(database) as tx:
        await put(tx, "t", LATER, version=1)
        await put(tx, "t", NOW, version=2)
        await put(tx, "t", LATER, version=1)
    assert await timers.step() == 1
    assert await rung(database) == [("t", "2")]


async def test_a_cancelled_timer_does_not_ring(database: Database, timers: Timers) -> None:
    async with acting(database) as tx:
        await put(tx, "a", NOW, version=3)
        await put(tx, "b", NOW, version=3)
        assert await cancel_timer(tx, workspace_id="w1", kind="ring", subject="a")
        assert not await cancel_timer(tx, workspace_id="w1", kind="ring", subject="b", version=2)
        assert not await cancel_timer(tx, workspace_id="w1", kind="ring", subject="none")
    await timers.step()
    assert await rung(database) == [("b", "3")]


async def test_a_timer_that_rolled_back_was_never_set(database: Database, timers: Timers) -> None:
    with suppress(ZeroDivisionError):
        async with acting(database) as tx:
            await put(tx, "t", NOW)
            raise ZeroDivisionError
    assert await timers.step() == 0


async def test_many_replicas_ring_each_timer_once(database: Database, dsn: str, rings: Rings) -> None:
    async with acting(database) as tx:
        for number in range(150):
            await put(tx, f"{number:03}", NOW)
    async with open_database(dsn) as second, asyncio.TaskGroup() as group:
        for place in (database, second, database):
            replica = Timers(place, "demo", {"ring": rings})
            group.create_task(replica.step())
            group.create_task(replica.step())
    assert sorted(key for key, _ in await rung(database)) == [f"{number:03}" for number in range(150)]
    assert await waiting(database) == []


@pytest.mark.parametrize("change", ["moved", "cancelled"])
async def test_a_timer_that_changes_while_its_effect_waits_for_the_subject_has_none(
    database: Database, rings: Rings, change: str
) -> None:
    """The API holds the ticket and changes the timer; the effect was claimed before and waits for the ticket."""
    is_waiting = asyncio.Event()

    async def lock_subject(tx: Transaction, timer: Timer) -> None:
        is_waiting.set()
        await tx.execute("SELECT FROM demo.seen WHERE key = 'subject' FOR UPDATE")

    timers = Timers(database, "demo", {"ring": rings}, lock=lock_subject)
    async with acting(database) as tx:
        await tx.execute("INSERT INTO demo.seen (workspace_id, key, name) VALUES ('w1', 'subject', '')")
        await put(tx, "t", NOW, version=1)
    async with asyncio.TaskGroup() as group, acting(database) as tx:
        await tx.execute("SELECT FROM demo.seen WHERE key = 'subject' FOR UPDATE")
        group.create_task(timers.step())
        await is_waiting.wait()
        if change == "moved":
            await put(tx, "t", LATER, version=1)
        else:
            await cancel_timer(tx, workspace_id="w1", kind="ring", subject="t")
    assert await rung(database) == [("subject", "")]
    assert await waiting(database) == (["t"] if change == "moved" else [])


async def test_a_timer_that_came_back_under_its_old_id_rings_only_when_it_is_due(
    database: Database, rings: Rings
) -> None:
    async def swap(_: Transaction, timer: Timer) -> None:
        async with acting(database) as tx:
            await tx.execute("DELETE FROM demo.timer")
            await tx.execute(
                "INSERT INTO demo.timer (id, workspace_id, kind, subject, due_at) "
                "VALUES ($1, 'w1', 'ring', 't', now() + interval '1 hour')",
                timer.id,
            )

    async with acting(database) as tx:
        await put(tx, "t", NOW)
    await Timers(database, "demo", {"ring": rings}, lock=swap).step()
    assert await rung(database) == []
    assert await waiting(database) == ["t"]


async def test_a_handler_may_set_its_timer_again(database: Database, timers: Timers, rings: Rings) -> None:
    async with acting(database) as tx:
        await put(tx, "t", NOW)
    rings.again = NOW
    await timers.step()
    rings.again = LATER
    await timers.step()
    assert await timers.step() == 0
    assert await rung(database) == [("t", "0"), ("t", "0")]
    assert await waiting(database) == ["t"]


async def test_an_effect_that_fails_is_undone_counted_and_tried_again(database: Database, rings: Rings) -> None:
    failures: list[tuple[str, str]] = []
    timers = Timers(
        database,
        "demo",
        {"ring": rings},
        backoff=AT_ONCE,
        on_failure=lambda timer, error: failures.append((timer.subject, str(error))),
    )
    rings.fault = ValueError("bug")
    async with acting(database) as tx:
        await put(tx, "t", NOW)
    for _ in range(3):
        await timers.step()
    assert await rung(database) == []
    rings.fault = None
    await timers.step()
    assert await rung(database) == [("t", "0")]
    assert rings.attempts == [0, 1, 2, 3]
    assert failures == [("t", "bug")] * 3


async def test_a_dependency_that_is_away_does_not_count(database: Database, timers: Timers, rings: Rings) -> None:
    rings.fault = Retryable("away")
    async with acting(database) as tx:
        await put(tx, "t", NOW)
    await timers.step()
    rings.fault = None
    await timers.step()
    assert rings.attempts == [0, 0]


async def test_one_failing_timer_does_not_hold_up_the_others(database: Database, rings: Rings) -> None:
    async def fails(tx: Transaction, timer: Timer) -> None:
        raise ValueError

    timers = Timers(database, "demo", {"ring": rings, "bad": fails}, backoff=Backoff(base=LATER, cap=LATER))
    async with acting(database) as tx:
        for number in range(9):
            await set_timer(tx, IDS, workspace_id="w1", kind="bad", subject=f"{number}", due=NOW)
            await put(tx, f"{number}", NOW)
    await timers.step()
    assert len(await rung(database)) == 9
    assert await timers.step() == 0


async def test_a_failing_timer_waits_before_it_is_tried_again(database: Database, rings: Rings) -> None:
    timers = Timers(database, "demo", {"ring": rings}, backoff=Backoff(base=LATER, cap=LATER))
    rings.fault = ValueError("bug")
    async with acting(database) as tx:
        await put(tx, "t", NOW)
    await timers.step()
    assert await timers.step() == 0


async def test_a_claim_of_a_replica_that_died_ends(database: Database, timers: Timers) -> None:
    async with acting(database) as tx:
        await put(tx, "t", NOW)
    async with database.transaction(Scan()) as tx:
        await tx.execute("UPDATE demo.timer SET claimed_until = clock_timestamp() + interval '150 milliseconds'")
    assert await timers.step() == 0
    await asyncio.sleep(0.2)
    assert await timers.step() == 1


async def test_kinds_without_a_handler_are_left_to_others(database: Database, timers: Timers) -> None:
    async with acting(database) as tx:
        await set_timer(tx, IDS, workspace_id="w1", kind="new", subject="t", due=NOW)
    assert await timers.step() == 0
    assert await waiting(database) == ["t"]


async def test_the_loop_rings_and_survives_a_lost_database(database: Database, rings: Rings) -> None:
    timers = Timers(database, "demo", {"ring": rings}, poll=timedelta(milliseconds=10))
    async with asyncio.TaskGroup() as group:
        loop = group.create_task(timers.run())
        await answer(lambda: _put(database, "one"))
        await answer(lambda: _rang(database, 1))
        cut_connections(database)
        await answer(lambda: _put(database, "two"))
        await answer(lambda: _rang(database, 2))
        loop.cancel()
    assert [key for key, _ in await rung(database)] == ["one", "two"]


async def _put(database: Database, subject: str) -> bool:
    """False while a lost connection is still in the pool."""
    with suppress(Retryable):
        async with acting(database) as tx:
            await put(tx, subject, NOW)
        return True
    return False


async def _rang(database: Database, count: int) -> bool:
    return len(await rung(database)) >= count
