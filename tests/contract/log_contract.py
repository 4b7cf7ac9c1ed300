"""What every event log promises, as tests that each adapter's suite inherits; the adapter brings the `rig` fixture."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

import pytest

from shared.db.scope import Batch
from shared.events.catalogue import MESSAGES, ROUTING, TICKETS
from shared.log.port import Gap, Record, StaleMember, Subscription
from tests.support.logs import (
    AT_ONCE,
    WORKSPACE,
    Process,
    Rig,
    append,
    by_key,
    commit,
    encoded,
    fetch,
    fetched,
    lag_becomes,
    places,
    read,
)
from tests.support.waiting import eventually


class LogContract:
    """Inherit it in a test class of a module with a fixture `rig`."""

    @pytest.fixture
    async def process(self, rig: Rig) -> AsyncIterator[Process]:
        async with rig.process() as process:
            yield process

    # -- order and content --------------------------------------------------------------------------------------

    async def test_events_of_a_key_come_in_the_order_in_which_they_were_written(self, process: Process) -> None:
        for number in range(20):
            await append(process, *(encoded(f"key-{k}", number) for k in range(10)))
        async with process.log.subscribe("g", [MESSAGES]) as subscription:
            found = by_key(await read(process, subscription, 200, max_records=7))
        assert found == {f"key-{k}": list(range(20)) for k in range(10)}

    async def test_a_key_stays_in_one_partition_and_keys_spread(self, process: Process) -> None:
        await append(process, *(encoded(f"key-{n % 40}", n) for n in range(120)))
        async with process.log.subscribe("g", [MESSAGES]) as subscription:
            records = await read(process, subscription, 120)
        partitions = defaultdict(set)
        for record in records:
            partitions[record.key].add(record.partition)
        assert {len(found) for found in partitions.values()} == {1}
        assert len(set().union(*partitions.values())) > 1

    async def test_bytes_headers_and_their_order_arrive_unchanged(self, process: Process) -> None:
        headers = (("ce_id", b"1"), ("x", b""), ("x", bytes(range(256))), ("naïve", "ü".encode()))
        value = bytes(range(256)) * 100
        await append(process, encoded("schlüssel/🙂", value, headers=headers))
        async with process.log.subscribe("g", [MESSAGES]) as subscription:
            (record,) = await read(process, subscription, 1)
        assert (record.topic, record.key, record.headers, record.value) == (MESSAGES, "schlüssel/🙂", headers, value)

    async def test_only_the_topics_asked_for_are_read(self, process: Process) -> None:
        await append(process, *(encoded("k", n, topic=topic) for n, topic in enumerate((MESSAGES, TICKETS, ROUTING))))
        async with process.log.subscribe("g", [MESSAGES, ROUTING]) as subscription:
            records = await read(process, subscription, 2)
            assert (await fetch(subscription, max_wait=timedelta(milliseconds=200)))[1] == []
        assert {record.topic for record in records} == {MESSAGES, ROUTING}

    async def test_what_a_transaction_took_back_never_appears(self, process: Process) -> None:
        with suppress(ZeroDivisionError):
            async with process.database.transaction(Batch(WORKSPACE)) as tx:
                tx.append(encoded("k", 1))
                await tx.flush()
                raise ZeroDivisionError
        await append(process, encoded("k", 2))
        async with process.log.subscribe("g", [MESSAGES]) as subscription:
            assert by_key(await read(process, subscription, 1)) == {"k": [2]}

    # -- positions ----------------------------------------------------------------------------------------------

    async def test_groups_do_not_know_of_each_other(self, process: Process) -> None:
        await append(process, *(encoded("k", n) for n in range(5)))
        async with process.log.subscribe("one", [MESSAGES]) as one, process.log.subscribe("two", [MESSAGES]) as two:
            assert len(await read(process, one, 5)) == 5
            assert len(await read(process, two, 5)) == 5

    async def test_a_new_group_begins_with_the_oldest_record(self, process: Process) -> None:
        await append(process, encoded("k", 1))
        async with process.log.subscribe("old", [MESSAGES]) as old:
            await read(process, old, 1)
        async with process.log.subscribe("new", [MESSAGES]) as new:
            assert by_key(await read(process, new, 1)) == {"k": [1]}

    async def test_a_group_goes_on_behind_what_it_committed(self, process: Process) -> None:
        await append(process, *(encoded("k", n) for n in range(10)))
        async with process.log.subscribe("g", [MESSAGES]) as subscription:
            first = await read(process, subscription, 4, max_records=4)
        async with process.log.subscribe("g", [MESSAGES]) as subscription:
            second = await read(process, subscription, 6)
        assert by_key([*first, *second]) == {"k": list(range(10))}

    async def test_what_was_not_committed_comes_again(self, process: Process) -> None:
        await append(process, *(encoded("k", n) for n in range(3)))
        async with process.log.subscribe("g", [MESSAGES]) as subscription:
            assert len(await fetched(subscription, 3)) == 3
        async with process.log.subscribe("g", [MESSAGES]) as subscription:
            assert by_key(await read(process, subscription, 3)) == {"k": [0, 1, 2]}

    async def test_a_rewound_batch_comes_again_in_order(self, process: Process) -> None:
        await append(process, *(encoded("k", n) for n in range(6)))
        async with process.log.subscribe("g", [MESSAGES]) as subscription:
            kept = await read(process, subscription, 2, max_records=2)
            batch, _ = await fetch(subscription, max_records=2)
            subscription.rewind(batch)
            rest = await read(process, subscription, 4)
        assert by_key([*kept, *rest]) == {"k": list(range(6))}

    async def test_a_position_rolls_back_with_the_effects_of_its_batch(self, process: Process) -> None:
        await append(process, encoded("k", 1))
        async with process.log.subscribe("g", [MESSAGES]) as subscription:
            batch, _ = await fetch(subscription)
            with suppress(ZeroDivisionError):
                async with process.database.transaction(Batch(WORKSPACE)) as tx:
                    await subscription.commit_with(tx, batch)
                    raise ZeroDivisionError
            subscription.rewind(batch)
            assert by_key(await read(process, subscription, 1)) == {"k": [1]}

    async def test_batches_may_be_fetched_ahead_of_the_commit(self, process: Process) -> None:
        await append(process, *(encoded("k", n) for n in range(6)))
        async with process.log.subscribe("g", [MESSAGES]) as subscription:
            batches = [await fetch(subscription, max_records=2) for _ in range(3)]
            for batch, _ in batches:
                await commit(process, subscription, batch)
        assert by_key([record for _, records in batches for record in records]) == {"k": list(range(6))}
        await lag_becomes(process, 0)

    async def test_committing_twice_is_harmless_and_never_goes_back(self, process: Process) -> None:
        await append(process, *(encoded("k", n) for n in range(4)))
        async with process.log.subscribe("g", [MESSAGES]) as subscription:
            first, _ = await fetch(subscription, max_records=2)
            second, _ = await fetch(subscription, max_records=2)
            for batch in (first, first, second, first):
                await commit(process, subscription, batch)
        await append(process, encoded("k", 4))
        async with process.log.subscribe("g", [MESSAGES]) as subscription:
            assert by_key(await read(process, subscription, 1)) == {"k": [4]}

    async def test_lag_counts_what_is_not_committed(self, process: Process) -> None:
        async with process.log.subscribe("g", [MESSAGES]) as subscription:
            await append(process, *(encoded("k", n) for n in range(10)))
            await lag_becomes(process, 10)
            batch, records = await fetch(subscription, max_records=4)
            await lag_becomes(process, 10)
            await commit(process, subscription, batch)
            lag = await process.log.lag("g", [MESSAGES])
            assert lag[MESSAGES, records[0].partition] == 6
            await read(process, subscription, 6)
            await lag_becomes(process, 0)

    # -- waiting ------------------------------------------------------------------------------------------------

    async def test_a_batch_is_bounded(self, process: Process) -> None:
        await append(process, *(encoded(f"key-{n}", n) for n in range(50)))
        async with process.log.subscribe("g", [MESSAGES]) as subscription:
            sizes = [
                len((await fetch(subscription, max_records=20, max_wait=timedelta(milliseconds=200)))[1])
                for _ in range(5)
            ]
        assert max(sizes) <= 20
        assert sum(sizes) == 50

    async def test_fetch_returns_in_time_when_there_is_nothing(self, process: Process) -> None:
        async with process.log.subscribe("g", [MESSAGES]) as subscription:
            started = asyncio.get_running_loop().time()
            _, records = await fetch(subscription, max_wait=timedelta(milliseconds=300))
            taken = asyncio.get_running_loop().time() - started
        assert records == []
        assert 0.25 <= taken < 1.5

    async def test_fetch_returns_early_when_something_is_appended(self, process: Process) -> None:
        async with process.log.subscribe("g", [MESSAGES]) as subscription, asyncio.TaskGroup() as group:
            waiting = group.create_task(subscription.fetch(max_records=10, max_wait=timedelta(seconds=10)))
            await asyncio.sleep(0.2)
            started = asyncio.get_running_loop().time()
            await append(process, encoded("k", 1))
            assert len((await waiting).records) == 1
            assert asyncio.get_running_loop().time() - started < 2

    async def test_a_cancelled_fetch_takes_nothing(self, process: Process) -> None:
        await append(process, *(encoded("k", n) for n in range(200)))
        records: list[Record] = []
        async with process.log.subscribe("g", [MESSAGES]) as subscription:
            for steps in range(60):
                async with asyncio.TaskGroup() as group:
                    task = group.create_task(subscription.fetch(max_records=1, max_wait=AT_ONCE))
                    for _ in range(steps):
                        await asyncio.sleep(0 if steps % 2 else 0.0002)
                    task.cancel()
                if not task.cancelled():
                    records += task.result().records
            records += await fetched(subscription, 200 - len(records))
        assert by_key(records) == {"k": list(range(200))}

    # -- members ------------------------------------------------------------------------------------------------

    async def test_no_partition_has_two_members_and_all_have_one(self, rig: Rig, process: Process) -> None:
        keys = [f"key-{n}" for n in range(40)]
        handled: list[tuple[str, int, int]] = []
        last: dict[str, set[int]] = {}

        async def work(name: str, worker: Process, subscription: Subscription) -> None:
            batch, records = await fetch(subscription, max_wait=timedelta(milliseconds=300))
            last[name] = {record.partition for record in records}
            with suppress(StaleMember):
                await commit(worker, subscription, batch)
                handled.extend(places(records))

        async with (
            rig.process() as other,
            process.log.subscribe("g", [MESSAGES]) as one,
            other.log.subscribe("g", [MESSAGES]) as two,
            asyncio.timeout(15),
        ):
            while not (last.get("one") and last.get("two")):
                await append(process, *(encoded(key, 0) for key in keys))
                async with asyncio.TaskGroup() as group:
                    group.create_task(work("one", process, one))
                    group.create_task(work("two", other, two))
        assert not last["one"] & last["two"]
        assert len(handled) == len(set(handled))

    async def test_partitions_of_a_member_that_left_move_on(self, rig: Rig, process: Process) -> None:
        async with process.log.subscribe("g", [MESSAGES]) as stays:
            async with rig.process() as other, other.log.subscribe("g", [MESSAGES]):
                await asyncio.sleep(0.3)
            await append(process, *(encoded(f"key-{n}", n) for n in range(40)))
            assert len(await read(process, stays, 40)) == 40

    async def test_partitions_of_a_crashed_member_move_on(self, rig: Rig, process: Process) -> None:
        await append(process, *(encoded(f"key-{n}", n) for n in range(40)))
        async with rig.process(silent=True) as dead, dead.log.subscribe("g", [MESSAGES]) as crashed:
            await fetched(crashed, 40)
            async with process.log.subscribe("g", [MESSAGES]) as survivor:
                assert len(await read(process, survivor, 40)) == 40

    async def test_a_stale_member_cannot_commit(self, rig: Rig, process: Process) -> None:
        await append(process, *(encoded("k", n) for n in range(4)))
        async with rig.process(silent=True) as paused, paused.log.subscribe("g", [MESSAGES]) as stale:
            batch, _ = await fetch(stale, max_records=4)
            async with process.log.subscribe("g", [MESSAGES]) as current:
                assert len(await read(process, current, 4)) == 4
                await append(process, encoded("k", 4))
                with pytest.raises(StaleMember):
                    await commit(paused, stale, batch)
                assert by_key(await read(process, current, 1)) == {"k": [4]}

    # -- appenders ----------------------------------------------------------------------------------------------

    async def test_forty_appenders_skip_and_double_nothing(self, rig: Rig, process: Process) -> None:
        """Real connections, pauses between insert and commit, rollbacks; read while they write."""
        chance = random.Random(7)
        written: list[int] = []

        async def write(name: str) -> None:
            for number in range(12):
                pause, fails, flushes = chance.random() * 0.02, chance.random() < 0.25, chance.random() < 0.5
                with suppress(ZeroDivisionError):
                    async with process.database.transaction(Batch(WORKSPACE), lazy=number % 3 > 0) as tx:
                        tx.append(encoded(name, number))
                        if flushes:
                            await tx.flush()
                        await asyncio.sleep(pause)
                        if fails:
                            raise ZeroDivisionError
                    written.append(number)

        records: list[Record] = []

        async def consume(reader: Process, done: asyncio.Event) -> None:
            async with reader.log.subscribe("g", [MESSAGES]) as subscription:
                while not done.is_set():
                    batch, new = await fetch(subscription, max_records=25, max_wait=timedelta(milliseconds=50))
                    with suppress(StaleMember):
                        await commit(reader, subscription, batch)
                        records.extend(new)
                        continue
                    subscription.rewind(batch)

        finished = asyncio.Event()
        async with rig.process() as other, asyncio.TaskGroup() as readers, asyncio.timeout(40):
            readers.create_task(consume(process, finished))
            readers.create_task(consume(other, finished))
            async with asyncio.TaskGroup() as writers:
                for n in range(40):
                    writers.create_task(write(f"writer-{n}"))
            await eventually(lambda: len(records) >= len(written), within=20)
            await asyncio.sleep(0.2)
            finished.set()
        assert len(records) == len(written)
        assert len(set(places(records))) == len(records)
        ordered = sorted(records, key=lambda record: (record.partition, record.position))
        assert all(numbers == sorted(set(numbers)) for numbers in by_key(ordered).values())

    # -- tails --------------------------------------------------------------------------------------------------

    async def test_every_tail_sees_everything_from_now_on(self, rig: Rig, process: Process) -> None:
        await append(process, encoded("k", 0))
        async with process.log.subscribe("g", [MESSAGES]) as subscription:
            await read(process, subscription, 1)
        async with (
            rig.process() as other,
            process.log.tail([MESSAGES]) as here,
            other.log.tail([MESSAGES]) as there,
            asyncio.timeout(30),
        ):
            await append(process, *(encoded("k", n) for n in (1, 2, 3)))
            seen = [[await anext(tail) for _ in range(3)] for tail in (here, there)]
        for found in seen:
            assert by_key([record for record in found if not isinstance(record, Gap)]) == {"k": [1, 2, 3]}

    async def test_a_cancelled_tail_misses_nothing(self, process: Process) -> None:
        async with process.log.tail([MESSAGES]) as tail:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await anext(tail)
            await append(process, encoded("k", 1))
            async with asyncio.timeout(30):
                record = await anext(tail)
        assert isinstance(record, Record)
        assert record.value == b"1"
