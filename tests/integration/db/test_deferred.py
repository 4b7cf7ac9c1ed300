"""Writes that wait for the next statement or the commit: seen in order, checked, and undone with the rest."""

from contextlib import suppress

import asyncpg
import pytest

from shared.db.pool import Database
from shared.db.scope import Scan
from shared.db.together import Rows
from shared.errors import Retryable
from tests.support.consuming import channel
from tests.support.notes import NOTE, W1, defer_note, names, notes


async def test_deferred_writes_come_with_the_commit(database: Database) -> None:
    async with database.transaction(W1) as tx:
        defer_note(tx, "a")
        defer_note(tx, "b")
    assert sorted(await notes(database)) == ["a", "b"]


async def test_a_statement_sees_what_was_deferred_before_it(database: Database) -> None:
    async with database.transaction(W1) as tx:
        defer_note(tx, "a")
        assert await tx.fetchval("SELECT count(*) FROM demo.seen") == 1
        defer_note(tx, "b")
        assert await tx.execute("UPDATE demo.seen SET name = name || '!'") == 2
    assert sorted(await notes(database)) == ["a!", "b!"]


async def test_deferred_writes_and_events_go_together(database: Database) -> None:
    async with database.transaction(W1) as tx:
        defer_note(tx, "a")
        tx.emit(channel("x"), key="k")
    assert (await notes(database), await names(database)) == (["a"], ["x"])


async def test_a_deferred_write_that_breaks_a_rule_undoes_all(database: Database) -> None:
    with suppress(asyncpg.InsufficientPrivilegeError):
        async with database.transaction(W1) as tx:
            defer_note(tx, "a")
            tx.defer(NOTE, "w2", "stranger")
    assert await notes(database) == []


UNNESTED = "INSERT INTO demo.seen (workspace_id, key, name) SELECT 'w1', 'k', n FROM unnest($1::text[]) AS n"


async def refused(database: Database, then: str = "") -> None:
    async with database.transaction(W1) as tx:
        tx.defer(UNNESTED, ["e", "f"], rows=Rows(2, lambda: Retryable("not two of ef")))
        tx.defer(UNNESTED, ["d"], rows=Rows(2, lambda: Retryable("not two of d")))
        tx.emit(channel("x"), key="k")
        if then:
            await tx.fetchval(then)


@pytest.mark.parametrize("then", ["", "SELECT 1"], ids=["with the commit", "before another statement"])
async def test_a_deferred_write_that_wrote_another_number_of_rows_is_refused(database: Database, then: str) -> None:
    async with database.transaction(W1) as tx:
        tx.defer(UNNESTED, ["a", "b"], rows=Rows(2, RuntimeError))
        defer_note(tx, "c")
        tx.defer(UNNESTED, [], rows=Rows(0, RuntimeError))
    with pytest.raises(Retryable, match="not two of d"):
        await refused(database, then)
    assert sorted(await notes(database)) == ["a", "b", "c"]
    assert await names(database) == []


async def test_what_was_deferred_in_one_role_is_written_in_it(database: Database) -> None:
    async with database.transaction(Scan()) as tx:
        defer_note(tx, "a")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await tx.admit({"w1"})
        await tx.rollback()
        tx.begin()
    assert await notes(database) == []
