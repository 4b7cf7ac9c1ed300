"""Writes that wait for the next statement or the commit: seen in order, checked, and undone with the rest."""

from contextlib import suppress

import asyncpg
import pytest

from shared.db.pool import Database
from shared.db.transaction import Scan
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


async def test_the_check_of_a_deferred_write_gets_its_rows_and_may_refuse_them(database: Database) -> None:
    counts: list[int] = []
    unnested = "INSERT INTO demo.seen (workspace_id, key, name) SELECT 'w1', 'k', n FROM unnest($1::text[]) AS n"

    def refuse(count: int) -> None:
        raise Retryable(f"{count} rows")

    async with database.transaction(W1) as tx:
        tx.defer(unnested, ["a", "b"], check=counts.append)
        defer_note(tx, "c")
        tx.defer(unnested, [], check=counts.append)
    with pytest.raises(Retryable, match="1 rows"):
        async with database.transaction(W1) as tx:
            tx.defer(unnested, ["d"], check=refuse)
    assert (counts, sorted(await notes(database))) == ([2, 0], ["a", "b", "c"])


async def test_what_was_deferred_in_one_role_is_written_in_it(database: Database) -> None:
    async with database.transaction(Scan()) as tx:
        defer_note(tx, "a")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await tx.admit({"w1"})
        await tx.rollback()
        tx.begin()
    assert await notes(database) == []
