"""Shards of the inbox have one owner at a time, whoever dies, sleeps or leaves."""

import asyncio

import pytest

from services.ingest.store import shards
from shared.db.pool import Database
from shared.db.scope import Batch, Scan
from shared.errors import Retryable
from tests.support import ingest
from tests.support.consuming import channel
from tests.support.ingest import Door, page
from tests.support.networks.facebook import facebook_comment, facebook_message
from tests.support.waiting import answer


async def test_two_normalizers_on_one_channel_keep_its_order_and_double_nothing(door: Door):
    path = (await door.connect())["webhook_path"]
    for number in range(60):
        await door.post(path, page(facebook_message(number)))
    workers = [door.worker(f"nrm_{number}", normalizer_batch=4) for number in range(3)]
    start = asyncio.Barrier(len(workers))

    async def work(worker):
        await start.wait()
        for _ in range(40):
            await worker.share()
            await worker.step()
        # Or what it took in its last round would wait for its lease to end.
        await worker.leave()

    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(work(worker))
    await door.normalize()

    assert [event.data.message.text for event in await door.events()] == [f"Hello {number}" for number in range(60)]


async def test_shards_are_shared_among_those_who_live(door: Door):
    first, second = door.worker("nrm_1"), door.worker("nrm_2")

    await first.share()
    alone = await _owned(door)
    await second.share()
    await first.share()
    await second.share()
    together = await _owned(door)
    await second.leave()
    await first.share()

    assert alone == {"nrm_1": 64}
    assert together == {"nrm_1": 32, "nrm_2": 32}
    assert await _owned(door) == {"nrm_1": 64}


async def test_the_channels_of_a_normalizer_that_died_move_when_its_time_is_over(door: Door):
    path = (await door.connect())["webhook_path"]
    await door.post(path, page(facebook_message(1)))
    dead = door.worker("nrm_dead", normalizer_ttl_ms=400, normalizer_heartbeat_ms=100)
    await dead.share()
    heir = door.worker("nrm_heir")
    await heir.share()
    before = await heir.step()

    async def inherited() -> int:
        await heir.share()
        return await heir.step()

    await answer(inherited)

    assert before == 0
    assert len(await door.events()) == 1
    assert await dead.step() == 0


async def test_a_normalizer_that_lost_its_shards_in_its_sleep_writes_nothing(door: Door):
    path = (await door.connect())["webhook_path"]
    sleeper, heir = (
        door.worker("nrm_sleeper", normalizer_ttl_ms=50, normalizer_heartbeat_ms=20),
        door.worker("nrm_heir"),
    )
    await sleeper.share()
    await asyncio.sleep(0.1)
    await heir.share()
    await door.post(path, page(facebook_message(1)))

    assert await sleeper.step() == 0
    assert await heir.step() == 1


@pytest.mark.parametrize("is_back", [False, True], ids=["gone", "gone and back"])
async def test_a_batch_whose_shard_changed_hands_after_the_look_is_not_written(door: Door, is_back):
    path = (await door.connect())["webhook_path"]
    await door.post(path, page(facebook_comment(1)))
    late = door.worker("nrm_late")
    await late.share()
    waiting = await shards.Queue(door.database, "nrm_late").waiting(10)
    await late.leave()
    await door.normalize()
    if is_back:
        await late.share()

    async def write() -> None:
        async with door.database.transaction(Batch(frozenset({"w1"})), schema="ingest") as tx:
            tx.emit(channel("of the late one"), key="k")
            shards.done(tx, waiting, member="nrm_late")

    with pytest.raises(Retryable):
        await write()

    assert len(waiting) == 1
    assert "of the late one" not in [event.data.name for event in await door.events("channel.")]


async def test_shards_in_use_are_not_taken_over(door: Door):
    path = (await door.connect())["webhook_path"]
    await door.post(path, page(facebook_message(1)))
    slow = door.worker("nrm_slow", normalizer_ttl_ms=50, normalizer_heartbeat_ms=20)
    await slow.share()

    async with door.database.transaction(Scan(), schema="ingest") as tx:
        locked = await tx.fetchval("SELECT shard FROM ingest.pending")
        await tx.fetch("SELECT id FROM ingest.shard WHERE id = $1 FOR UPDATE", locked)
        await asyncio.sleep(0.1)
        await door.worker("nrm_heir").share()

    assert await _owned(door) == {"nrm_slow": 1, "nrm_heir": 63}


async def test_the_worker_normalizes_as_soon_as_something_is_stored(database: Database):
    async with ingest.open_door(database, normalizer_poll_ms=60_000) as door, asyncio.TaskGroup() as group:
        path = (await door.connect())["webhook_path"]
        running = group.create_task(door.parts.worker.run())
        await answer(lambda: _owned(door))
        await door.post(path, page(facebook_message(1)))
        await answer(door.events)
        running.cancel()

    assert len(await door.events()) == 1


async def test_a_worker_that_is_stopped_leaves_its_shards_to_the_others(door: Door):
    async with asyncio.TaskGroup() as group:
        running = group.create_task(door.parts.worker.run())
        await answer(lambda: _owned(door))
        running.cancel()

    assert await _owned(door) == {}


async def _owned(door: Door) -> dict[str, int]:
    rows = await door.rows("SELECT owner, count(*) FROM ingest.shard WHERE owner IS NOT NULL GROUP BY owner")
    return {row["owner"]: row["count"] for row in rows}
