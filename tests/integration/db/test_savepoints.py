"""A part of a transaction that fails takes back all that it did, and nothing else."""

from contextlib import suppress

import asyncpg
import pytest

from shared.db.pool import Database
from tests.support.consuming import channel
from tests.support.notes import NOTE, W1, defer_note, names, notes


async def test_a_savepoint_that_fails_takes_its_events_rows_and_effects(database: Database) -> None:
    effects: list[str] = []
    async with database.transaction(W1) as tx:
        tx.emit(channel("before"), key="k")
        with suppress(ZeroDivisionError):
            async with tx.savepoint():
                tx.emit(channel("inside"), key="k")
                tx.after_commit(lambda: effects.append("inside"))
                await tx.execute(NOTE, "w1", "inside")
                raise ZeroDivisionError
        async with tx.savepoint():
            tx.emit(channel("kept"), key="k")
            tx.after_commit(lambda: effects.append("kept"))
            await tx.execute(NOTE, "w1", "kept")
    assert (await names(database), await notes(database), effects) == (["before", "kept"], ["kept"], ["kept"])


async def test_a_flush_in_a_part_that_fails_does_not_lose_what_was_emitted_before_it(database: Database) -> None:
    async with database.transaction(W1) as tx:
        tx.emit(channel("before"), key="k")
        with suppress(ZeroDivisionError):
            async with tx.savepoint():
                tx.emit(channel("inside"), key="k")
                await tx.flush()
                raise ZeroDivisionError
    assert await names(database) == ["before"]


async def test_a_failed_statement_in_a_savepoint_leaves_the_rest_usable(database: Database) -> None:
    async with database.transaction(W1) as tx:
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with tx.savepoint():
                await tx.execute("SELECT 1 / 0")
        tx.emit(channel("after"), key="k")
    assert await names(database) == ["after"]


async def test_savepoints_nest(database: Database) -> None:
    async with database.transaction(W1) as tx, tx.savepoint():
        tx.emit(channel("outer"), key="k")
        with suppress(ZeroDivisionError):
            async with tx.savepoint():
                tx.emit(channel("inner"), key="k")
                raise ZeroDivisionError
    assert await names(database) == ["outer"]


async def test_a_part_that_fails_takes_what_came_before_another_one_that_failed_inside(database: Database) -> None:
    async with database.transaction(W1) as tx:
        with suppress(ZeroDivisionError):
            async with tx.savepoint():
                await tx.execute(NOTE, "w1", "outer")
                with suppress(ZeroDivisionError):
                    async with tx.savepoint():
                        raise ZeroDivisionError
                raise ZeroDivisionError
        await tx.execute(NOTE, "w1", "after")
    assert await notes(database) == ["after"]


async def test_a_part_that_fails_takes_only_its_own_deferred_writes(database: Database) -> None:
    async with database.transaction(W1) as tx:
        defer_note(tx, "before")
        with suppress(RuntimeError):
            async with tx.savepoint():
                defer_note(tx, "lost")
                raise RuntimeError
        with suppress(asyncpg.InsufficientPrivilegeError):
            async with tx.savepoint():
                tx.defer(NOTE, "w2", "stranger")
        async with tx.savepoint():
            defer_note(tx, "kept")
    assert sorted(await notes(database)) == ["before", "kept"]
