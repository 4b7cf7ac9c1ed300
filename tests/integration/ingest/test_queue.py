"""What waits in the inbox is found: all of it, in order, and without reading over what is gone."""

import asyncio

from services.ingest.domain.deliveries import Arrival
from services.ingest.store import intake
from services.ingest.store.shards import Queue, Waiting
from shared.db.pool import Database
from shared.db.scope import Batch, Owner, Scan
from shared.db.transaction import Transaction
from tests.support.postgres import backup, entries_read
from tests.support.waiting import PATIENCE

WORKSPACE = Batch(frozenset({"w1"}))
MEMBER = "nrm_1"
MANY = 1_000


def store(tx: Transaction, *numbers: int, shard: int = 0) -> None:
    """Deliveries with these numbers, as the intake stores them."""
    arrivals = [
        Arrival(
            workspace_id="w1",
            channel_id="chn_1",
            network="api",
            shard=shard,
            delivery_key=f"key {number}",
            headers={},
            body=b"{}",
        )
        for number in numbers
    ]
    intake.store(tx, arrivals, [f"inb_{number:05}" for number in numbers])


async def put(database: Database, *numbers: int, shard: int = 0) -> None:
    async with database.transaction(WORKSPACE, schema="ingest") as tx:
        store(tx, *numbers, shard=shard)


async def done(database: Database, waiting: list[Waiting]) -> None:
    async with database.transaction(WORKSPACE, schema="ingest") as tx:
        await tx.execute("DELETE FROM ingest.pending WHERE number = ANY ($1)", [entry.number for entry in waiting])


async def own(database: Database, *shards: int) -> None:
    async with database.transaction(Scan(), schema="ingest") as tx:
        await tx.execute("UPDATE ingest.shard SET owner = CASE WHEN id = ANY ($2) THEN $1 END", MEMBER, list(shards))


def numbers(waiting: list[Waiting]) -> list[int]:
    return [int(entry.inbox_id.removeprefix("inb_")) for entry in waiting]


async def past(database: Database, queue: Queue, number: int, *, shard: int = 0) -> None:
    """Until it knows that nothing waits up to this place: other transactions of the server end."""
    async with asyncio.timeout(PATIENCE):
        extra = 50_000
        while queue._horizon.after < number:
            extra += 1
            await put(database, extra, shard=shard)
            await done(database, await queue.waiting(100))


async def test_what_a_long_transaction_keeps_in_the_index_is_not_read_again(database: Database) -> None:
    await own(database, 0)
    queue = Queue(database, MEMBER)
    async with backup(database, "ingest.pending"):
        for start in range(0, MANY, 100):
            await put(database, *range(start, start + 100))
            await done(database, await queue.waiting(200))
        await past(database, queue, MANY)
        before = await entries_read(database, "pk_pending")
        assert await queue.waiting(200) == []
        assert await entries_read(database, "pk_pending") - before < MANY / 10


async def test_who_had_a_place_before_and_commits_after_many_looks_is_found(database: Database) -> None:
    await own(database, 0)
    queue = Queue(database, MEMBER)
    await put(database, 1)
    await past(database, queue, 1)
    async with database.transaction(WORKSPACE, schema="ingest") as late:
        store(late, 77)
        await late.flush()
        for number in range(100, 110):
            await put(database, number)
            await done(database, await queue.waiting(100))
    assert numbers(await queue.waiting(100)) == [77]


async def test_a_shard_that_is_taken_over_is_read_from_its_front(database: Database) -> None:
    await own(database, 0)
    queue = Queue(database, MEMBER)
    await put(database, 1, shard=1)
    await put(database, 2)
    await past(database, queue, 2)
    await put(database, 3, shard=1)
    await own(database, 0, 1)
    assert numbers(await queue.waiting(100)) == [1, 3]


async def test_places_that_a_crashed_server_gives_again_are_found(database: Database) -> None:
    await own(database, 0)
    queue = Queue(database, MEMBER)
    await put(database, 1)
    await past(database, queue, 1)
    async with database.transaction(Owner()) as tx:
        # As after a failover that lost the end of the log: the first places are given once more.
        await tx.execute("TRUNCATE log.life")
        await tx.execute("SELECT setval(pg_get_serial_sequence('ingest.pending', 'number'), 1, false)")
    await put(database, 2, 3)
    assert numbers(await queue.waiting(100)) == [2, 3]


async def test_places_are_in_the_order_of_ids(database: Database) -> None:
    await own(database, 0)
    await put(database, 3, 1, 2)
    waiting = await Queue(database, MEMBER).waiting(100)
    assert (numbers(waiting), [entry.number for entry in waiting]) == ([1, 2, 3], [1, 2, 3])


async def test_a_delivery_gets_its_place_from_who_has_a_number(database: Database) -> None:
    async with database.transaction(Owner()) as tx:
        columns = ["a", "b", "1", "1", "1", b"x", ["w"], ["c"], ["n"], [0], [b""]]
        plan = [row[0].strip() for row in await tx.fetch(f"EXPLAIN (VERBOSE) {intake._STORE}", *columns)]
    (gives,) = [number for number, line in enumerate(plan) if "nextval" in line]
    # Its rows come from what was stored before it, and that gives the transaction its number.
    assert any("CTE Scan on stored" in line for line in plan[gives:])
