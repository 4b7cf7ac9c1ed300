"""What goes ahead of a statement is answered with it, and whatever becomes of it, nothing is written outside."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from shared.db.pool import AWAY, Database
from shared.db.scope import Owner
from shared.db.session import Session

BEGIN = ("BEGIN READ WRITE",)
NOTE = "INSERT INTO demo.seen (workspace_id, key, name) VALUES ('w1', 'k', $1)"


@pytest.fixture
async def session(database: Database) -> AsyncIterator[Session]:
    async with database.pool.acquire() as proxy:
        yield proxy._con  # type: ignore[misc]


async def notes(database: Database) -> list[str]:
    async with database.transaction(Owner()) as tx:
        return [row["name"] for row in await tx.fetch("SELECT name FROM demo.seen ORDER BY id")]


async def test_a_statement_sees_what_went_ahead_of_it(session: Session) -> None:
    session.send_ahead(("BEGIN",), ("SELECT set_config('baton.workspace', $1, true)", "w7"))
    assert await session.fetchval("SELECT current_setting('baton.workspace')") == "w7"
    assert session.is_in_transaction()
    session.send_ahead(("SAVEPOINT one",), ("SELECT generate_series(1, 1000)",))
    rows = await session.fetch("SELECT repeat('x', 1000) AS text FROM generate_series(1, $1)", 2_000)
    assert {row["text"] for row in rows} == {"x" * 1_000}
    await session.execute("ROLLBACK")
    assert not session.is_in_transaction()


async def test_what_goes_ahead_goes_with_any_statement(session: Session) -> None:
    for ask in (session.execute, session.fetchrow, session.prepare):
        session.send_ahead(("BEGIN",))
        assert not session.is_in_transaction()
        await ask("SELECT 1")
        # What is only prepared does not say in what state the session is.
        assert await session.fetchval("SELECT 1") == 1
        assert session.is_in_transaction()
        await session.execute("ROLLBACK")
    session.send_ahead(("BEGIN READ WRITE",))
    await session.executemany(NOTE, [("one",), ("two",)])
    await session.execute("ROLLBACK")


async def test_notifications_and_settings_still_arrive(session: Session) -> None:
    heard: list[object] = []

    def hear(*event: object) -> None:
        heard.append(event[-1])

    await session.add_listener("there", hear)
    session.send_ahead(("SELECT pg_notify('there', 'one')",))
    assert await session.fetchval("SELECT 1") == 1
    session.send_ahead(("BEGIN",), ("SET LOCAL TimeZone = 'Asia/Tokyo'",))
    assert await session.fetchval("SHOW TimeZone") == "Asia/Tokyo"
    assert session.get_settings().TimeZone == "Asia/Tokyo"
    await session.execute("ROLLBACK")
    await session.remove_listener("there", hear)
    assert heard == ["one"]


@pytest.mark.parametrize(("sql", "arguments"), [(NOTE, ["lost"]), (NOTE.replace("$1", "'lost'"), [])])
@pytest.mark.parametrize("ahead", [["BEGIN READ WRITE", "SELECT 1/0"], ["SELECT 1/0", "BEGIN READ WRITE"], ["BEGINN"]])
async def test_where_it_fails_the_next_statement_writes_nothing(
    database: Database, session: Session, ahead: list[str], sql: str, arguments: list[str]
) -> None:
    session.send_ahead(*((each,) for each in ahead))
    with pytest.raises(AWAY):
        await session.execute(sql, *arguments)
    assert await notes(database) == []
    assert session.is_closed()


async def test_nothing_is_written_outside_of_a_transaction(database: Database, session: Session) -> None:
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await session.execute(NOTE, "lost")
    assert await notes(database) == []


async def test_a_transaction_that_asks_for_nothing_leaves_nothing_behind(database: Database) -> None:
    async with database.transaction(Owner()):
        pass
    async with database.pool.acquire() as connection:
        assert not connection.is_in_transaction()
        assert await connection.fetchval("SELECT 1") == 1
    assert await notes(database) == []


async def test_a_connection_that_was_lost_says_so_with_the_next_statement(session: Session) -> None:
    session._transport.abort()
    session.send_ahead(BEGIN, end="COMMIT")
    with pytest.raises(AWAY):
        await session.fetchval("SELECT 1")


async def test_a_statement_and_its_commit_take_one_round_trip(database: Database, session: Session) -> None:
    for name in ("one", "two"):
        session.send_ahead(BEGIN, end="COMMIT")
        row = await session.fetchrow_and_end(f"{NOTE} RETURNING name", name)
        assert (row and row["name"], session.is_in_transaction()) == (name, False)
    assert await notes(database) == ["one", "two"]


async def test_a_type_that_asyncpg_has_to_ask_for_commits_nothing(database: Database, session: Session) -> None:
    async with database.transaction(Owner()) as tx:
        await tx.execute("CREATE TYPE demo.mood AS ENUM ('good', 'bad')")
    session.send_ahead(BEGIN, end="COMMIT")
    row = await session.fetchrow_and_end(f"{NOTE} RETURNING 'good'::demo.mood AS mood", "one")
    assert [row and row["mood"]] == ["good"]
    assert await notes(database) == ["one"]


async def test_a_statement_that_fails_commits_nothing_that_was_before_it(database: Database, session: Session) -> None:
    session.send_ahead(BEGIN, end="COMMIT")
    await session.execute(NOTE, "before")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await session.fetchrow_and_end("SELECT 1 / $1::int", 0)
    assert session.is_in_transaction()
    await session.execute("ROLLBACK")
    assert await session.fetchval("SELECT 1") == 1
    assert await notes(database) == []


@pytest.mark.parametrize(
    ("sql", "error"), [("SELECT $1::int", asyncpg.DataError), ("SELEKT $1", asyncpg.PostgresSyntaxError)]
)
async def test_nothing_is_committed_with_what_could_not_be_sent(
    database: Database, session: Session, sql: str, error: type[Exception]
) -> None:
    session.send_ahead(BEGIN, end="COMMIT")
    await session.execute(NOTE, "before")
    with pytest.raises(error):
        await session.fetchrow_and_end(sql, "no number")
    assert session.is_in_transaction()
    await session.execute("ROLLBACK")
    assert await notes(database) == []


async def test_what_the_commit_refuses_is_an_error_of_the_statement(database: Database, session: Session) -> None:
    session.send_ahead(BEGIN, end="COMMIT")
    await session.execute(
        "CREATE TABLE demo.late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO demo.late VALUES (1)"
    )
    with pytest.raises(asyncpg.UniqueViolationError):
        await session.fetchrow_and_end("INSERT INTO demo.late VALUES ($1) RETURNING id", 1)
    assert not session.is_in_transaction()
    assert await session.fetchval("SELECT to_regclass('demo.late')") is None


async def test_who_is_cancelled_while_it_commits_leaves_a_good_connection(database: Database) -> None:
    async def noted() -> None:
        async with database.transaction(Owner()) as tx:
            await tx.execute(NOTE, "before")
            tx.defer("SELECT pg_sleep($1::int)", 8)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(noted(), 0.2)
    async with database.pool.acquire() as connection:
        assert await connection.fetchval("SELECT 1") == 1
        assert not connection.is_in_transaction()
    assert await notes(database) == []


async def test_a_connection_that_is_lost_meanwhile_says_so(session: Session) -> None:
    session.send_ahead(BEGIN, end="COMMIT")
    asyncio.get_running_loop().call_later(0.05, session._transport.abort)
    with pytest.raises(AWAY):
        await session.fetchrow_and_end("SELECT pg_sleep($1::int)", 8)
