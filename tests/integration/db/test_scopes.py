"""What a transaction may see and touch: the workspaces and tables that its scope names."""

import asyncpg
import pytest

from shared.db.pool import Database
from shared.db.scope import Batch, Owner, Scan, Workspace
from tests.support.consuming import channel
from tests.support.notes import BOTH, NOTE, W1, fails, names, notes
from tests.support.postgres import open_database


async def test_a_workspace_reads_and_writes_only_its_own(database: Database) -> None:
    async with database.transaction(BOTH) as tx:
        await tx.execute(NOTE, "w1", "mine")
        await tx.execute(NOTE, "w2", "theirs")
    async with database.transaction(W1) as tx:
        assert [row["name"] for row in await tx.fetch("SELECT name FROM demo.seen")] == ["mine"]
        assert await tx.execute("UPDATE demo.seen SET name = 'stolen' WHERE name = 'theirs'") == 0
        assert await tx.execute("DELETE FROM demo.seen WHERE name = 'theirs'") == 0
    assert await fails(database, W1, NOTE, "w2", "x") == "InsufficientPrivilegeError"
    assert await fails(database, W1, "UPDATE demo.seen SET workspace_id = 'w2'") == "InsufficientPrivilegeError"


async def test_a_batch_writes_over_its_workspaces_in_one_statement_and_no_further(database: Database) -> None:
    insert = "INSERT INTO demo.seen (workspace_id, key, name) SELECT w, 'k', w FROM unnest($1::text[]) AS w"
    async with database.transaction(BOTH) as tx:
        assert await tx.execute(insert, ["w1", "w2"]) == 2
    assert await fails(database, BOTH, insert, ["w1", "w3"]) == "InsufficientPrivilegeError"


async def test_a_workspace_cannot_publish_for_another(database: Database) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with database.transaction(W1) as tx:
            tx.emit(channel("intruder", workspace="w2"), key="k")
    assert await names(database) == []


async def test_the_log_of_another_workspace_is_invisible(database: Database) -> None:
    async with database.transaction(Workspace("w2")) as tx:
        tx.emit(channel("theirs", workspace="w2"), key="k")
    async with database.transaction(W1) as tx:
        assert await tx.fetch("SELECT * FROM log.event") == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM demo.seen",
        "SELECT * FROM demo.dead_letter",
        "SELECT * FROM demo.idempotency",
        "INSERT INTO demo.parked (consumer_group, key, workspace_id, reason) VALUES ('g', 'k', 'w1', 'r')",
        "DELETE FROM demo.timer",
        "UPDATE log.event SET value = ''",
    ],
)
async def test_a_scan_touches_no_service(database: Database, sql: str) -> None:
    assert await fails(database, Scan(), sql) == "InsufficientPrivilegeError"


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE log.shard SET first_position = 0",
        "DELETE FROM log.event",
        "DELETE FROM log.queue",
        "DELETE FROM log.position",
        "UPDATE log.cursor SET position = 0",
        "CREATE TABLE demo.mine ()",
        "ALTER TABLE demo.seen DISABLE ROW LEVEL SECURITY",
    ],
)
async def test_a_request_cannot_touch_the_machinery(database: Database, sql: str) -> None:
    async with database.transaction(W1) as tx:
        tx.emit(channel("one"), key="k")
    if sql == "DELETE FROM log.event":
        async with database.transaction(Workspace("w2")) as tx:
            assert await tx.execute(sql) == 0
        return
    assert await fails(database, W1, sql) == "InsufficientPrivilegeError"


async def test_a_scan_admits_workspaces_and_is_bound_to_them(database: Database) -> None:
    async with database.transaction(Scan(), schema="demo") as tx:
        assert await tx.fetch("SELECT key FROM demo.parked") == []
        await tx.admit({"w1"})
        await tx.execute(NOTE, "w1", "row")
        tx.emit(channel("event"), key="k")
        assert tx.scope == Batch(frozenset({"w1"}))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with tx.savepoint():
                await tx.execute(NOTE, "w2", "row")
    assert (await names(database), await notes(database)) == (["event"], ["row"])


@pytest.mark.parametrize("workspace", ["", "w1'; RESET ROLE; --", "w1,w2", "w" * 65, "ü", "w1\n"])
async def test_a_workspace_that_is_no_id_is_refused(database: Database, workspace: str) -> None:
    for scope in (Workspace(workspace), Batch(frozenset({workspace}))):
        with pytest.raises(ValueError, match="not a workspace id"):
            async with database.transaction(scope):
                pass


async def test_an_empty_batch_sees_nothing(database: Database) -> None:
    async with database.transaction(BOTH) as tx:
        await tx.execute(NOTE, "w1", "row")
    async with database.transaction(Batch(frozenset())) as tx:
        assert await tx.fetch("SELECT * FROM demo.seen") == []


async def test_nothing_of_a_scope_is_left_on_the_connection(dsn: str) -> None:
    async with open_database(dsn, size=1) as database:
        async with database.transaction(BOTH) as tx:
            await tx.execute(NOTE, "w1", "row")
        async with database.transaction(Owner()) as tx:
            assert await tx.fetchval("SELECT current_setting('baton.workspaces', true)") in (None, "")
            assert await tx.fetchval("SELECT current_user = session_user")
        async with database.transaction(Workspace("w3")) as tx:
            assert await tx.fetch("SELECT * FROM demo.seen") == []


async def test_a_look_scans_and_does_nothing_else(database: Database) -> None:
    assert await database.look("SELECT current_user::text AS name") == [("baton_scan",)]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await database.look("SELECT name FROM demo.seen")
