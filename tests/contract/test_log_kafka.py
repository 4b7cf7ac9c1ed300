"""The event log on a real Apache Kafka keeps the contract, and what only it promises."""

import asyncio
import logging
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.errors import Misconfigured, Retryable
from shared.events.catalogue import MESSAGES, TOPICS
from shared.ids import TimeOrderedIds
from shared.log.kafka import Topic, ensure_topics
from shared.log.kafka.admin import LARGEST_EVENT
from shared.log.kafka.noise import Noise
from shared.log.kafka.producer import Producer
from shared.log.kafka.subscription import KafkaSubscription, Stalled
from shared.log.port import StaleMember
from shared.log.relay import Outgoing
from shared.telemetry.metrics import Metrics
from tests.contract.log_contract import LogContract
from tests.support.kafka.member import Member
from tests.support.kafka.rig import PARTITIONS, KafkaRig, relayed
from tests.support.logs import Process, append, by_key, commit, encoded, fetch, read
from tests.support.postgres import open_database
from tests.support.waiting import PATIENCE, answer
from tests.support.writing import writing

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
async def rig(broker: str, dsn: str) -> KafkaRig:
    rig = KafkaRig(broker, f"{TimeOrderedIds().new('t')}-", lambda: open_database(dsn, size=44))
    await rig.create_topics()
    return rig


@pytest.fixture
async def process(rig: KafkaRig) -> AsyncIterator[Process]:
    async with rig.process() as process:
        yield process


class TestKafkaLog(LogContract):
    """The contract."""


# --- members


async def handled_by(*members: Member) -> dict[tuple[int, int], tuple[str, int]]:
    found: dict[tuple[int, int], tuple[str, int]] = {}
    for member in members:
        found |= member.handled()
    return found


async def all_handled(written: Mapping[str, list[int]], *members: Member, within: float = 100) -> None:
    """Everything that was written was committed by one of them, in the order of its key."""

    async def is_so() -> bool:
        # A relay that dies between acknowledgment and delete sends twice: another offset, the same event.
        return sum(map(len, written.values())) <= len(set((await handled_by(*members)).values()))

    await answer(is_so, within=within)
    numbers: dict[str, list[int]] = defaultdict(list)
    for _, (key, number) in sorted((await handled_by(*members)).items()):
        numbers[key].append(number)
    assert {key: list(dict.fromkeys(found)) for key, found in numbers.items()} == written


@pytest.fixture
async def members(rig: KafkaRig, dsn: str, tmp_path: Path) -> AsyncIterator[list[Member]]:
    members = [Member(rig, dsn, tmp_path / f"member-{number}") for number in range(3)]
    try:
        yield members
    finally:
        for member in members:
            await member.end()


async def test_nothing_is_lost_while_members_join_leave_die_and_sleep(process: Process, members: list[Member]) -> None:
    first, second, third = members
    async with writing(process) as writer:
        await first.start()
        await second.start()
        await third.start()
        await third.end()
        second.signal(signal.SIGKILL)
        first.signal(signal.SIGSTOP)
        # Longer than its session: its partitions are somebody else's when it wakes.
        await third.start()
        await asyncio.sleep(4)
        first.signal(signal.SIGCONT)
        await asyncio.sleep(1)
    await all_handled(writer.written, first, second, third)


async def test_a_static_member_comes_back_to_its_partitions(rig: KafkaRig) -> None:
    named = replace(rig.cluster, member="replica-0", pace=replace(rig.cluster.pace, session=timedelta(seconds=10)))
    async with rig.process(cluster=named) as one:
        async with one.log.subscribe("g", [MESSAGES]) as subscription:
            await append(one, encoded("k", 1))
            assert by_key(await read(one, subscription, 1)) == {"k": [1]}
        await append(one, encoded("k", 2))
        async with one.log.subscribe("g", [MESSAGES]) as again:
            assert by_key(await read(one, again, 1)) == {"k": [2]}


async def test_static_members_of_one_process_do_not_put_each_other_out(rig: KafkaRig) -> None:
    named = replace(rig.cluster, member="replica-0")
    readers: dict[str, set[str]] = defaultdict(set)
    async with rig.process(cluster=named) as one:

        async def consume(member: str) -> None:
            async with one.log.subscribe("g", [MESSAGES], member=member) as subscription:
                while len(readers) < 2:
                    await append(one, *(encoded(f"k{number}", number) for number in range(PARTITIONS * 4)))
                    batch, records = await fetch(subscription)
                    if records:
                        readers[member] |= {record.key for record in records}
                        await commit(one, subscription, batch)

        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            for member in ("g", "g-2"):
                group.create_task(consume(member))
    assert readers.keys() == {"g", "g-2"}


def _gets_nothing(subscription: KafkaSubscription) -> None:
    subscription._consumer.pause(*subscription._consumer.assignment())


def _has_lost_its_place(subscription: KafkaSubscription) -> None:
    _gets_nothing(subscription)
    subscription._consumer.position = lambda _: asyncio.Event().wait()


async def _waits_for_its_group(subscription: KafkaSubscription) -> None:
    _gets_nothing(subscription)
    await subscription.on_partitions_revoked(subscription._consumer.assignment())


@pytest.mark.parametrize("fault", [_gets_nothing, _has_lost_its_place, _waits_for_its_group])
async def test_a_member_that_gets_nothing_is_replaced_and_then_the_process_ends(rig: KafkaRig, fault: Any) -> None:
    impatient = replace(rig.cluster, pace=replace(rig.cluster.pace, stall=timedelta(milliseconds=600)))

    async def be_deaf(process: Process) -> None:
        async with process.log.subscribe("g", [MESSAGES]) as deaf, asyncio.timeout(20):
            assert isinstance(deaf, KafkaSubscription)
            if (waiting := fault(deaf)) is not None:
                await waiting
            while True:
                assert (await fetch(deaf, max_wait=timedelta(milliseconds=100)))[1] == []

    async with rig.process(cluster=impatient) as process:
        await append(process, encoded("k", 1))
        for expected in (Stalled, Misconfigured):
            with pytest.raises(expected):
                await be_deaf(process)


async def test_a_member_that_gets_nothing_because_there_is_nothing_stays(rig: KafkaRig) -> None:
    impatient = replace(rig.cluster, pace=replace(rig.cluster.pace, stall=timedelta(seconds=1)))
    async with rig.process(cluster=impatient) as process, process.log.subscribe("g", [MESSAGES]) as subscription:
        for _ in range(20):
            await fetch(subscription, max_wait=timedelta(milliseconds=100))
        await append(process, encoded("k", 1))
        assert by_key(await read(process, subscription, 1)) == {"k": [1]}


# --- topics


async def test_partitions_may_be_added_while_everything_runs(rig: KafkaRig, process: Process) -> None:
    async with writing(process) as writer, process.log.subscribe("g", [MESSAGES]) as subscription:
        before = await read(process, subscription, 40)
        assert await rig.create_topics(PARTITIONS * 2) == [
            f"8 partitions of {rig.cluster.name(t)}" for t in sorted(TOPICS)
        ]
        found = list(before)
        async with asyncio.timeout(60):
            while not {record.partition for record in found} - set(range(PARTITIONS)):
                found += await read(process, subscription, 1)
        await writer.stop()
        await relayed(process)
        while (lag := await process.log.lag("g", [MESSAGES])) and sum(lag.values()):
            found += await read(process, subscription, 1)
    # Keys may move while partitions are added: nothing is lost, and what is late comes late.
    assert {key: sorted(numbers) for key, numbers in by_key(found).items()} == writer.written


async def test_topics_are_prepared_once_and_only_changed_where_asked(rig: KafkaRig) -> None:
    assert await rig.create_topics() == []
    week = Topic(partitions=PARTITIONS, retention_ms=7 * 86_400_000)
    name = rig.cluster.name(MESSAGES)
    assert await ensure_topics(rig.cluster, {MESSAGES: week}) == [f"retention of {name}"]
    admin = AIOKafkaAdminClient(**rig.cluster.options())
    await admin.start()

    async def says(setting: str, value: str) -> bool:
        (described,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        (found,) = described.to_object()["resources"]
        return {entry["config_names"]: entry["config_value"] for entry in found["config_entries"]}[setting] == value

    try:
        await answer(lambda: says("retention.ms", str(7 * 86_400_000)))
        assert await says("max.message.bytes", str(LARGEST_EVENT))
        assert await says("min.insync.replicas", "1")
    finally:
        await admin.close()


async def test_two_systems_on_one_prefix_are_told_apart(rig: KafkaRig) -> None:
    ours, theirs = (replace(rig.cluster, system=name) for name in ("ours", "theirs"))
    wanted = {MESSAGES: Topic(partitions=PARTITIONS, retention_ms=86_400_000)}
    for _ in range(2):
        await ensure_topics(ours, wanted)
    refused = partial(pytest.raises, Misconfigured, match="belong to another system.*ours.*BATON_KAFKA_PREFIX")
    with refused():
        await ensure_topics(theirs, wanted)
    # The rig's database is a third one.
    async with rig.process() as process:
        with refused():
            async with process.log.subscribe("g", [MESSAGES]):
                pass
        with refused():
            async with process.log.tail([MESSAGES]):
                pass
    with refused():
        async with Producer.open(theirs) as producer:
            await producer.send([Outgoing(0, 1, MESSAGES, "k", (), b"{}", datetime(2026, 1, 1, tzinfo=UTC))])


async def test_a_topic_that_is_missing_names_the_remedy(broker: str, dsn: str) -> None:
    bare = KafkaRig(broker, "nobody-made-these-", lambda: open_database(dsn))
    impatient = replace(bare.cluster, pace=replace(bare.cluster.pace, request=timedelta(seconds=2)))
    async with bare.process(cluster=impatient) as process:
        with pytest.raises(Retryable, match="baton migrate"):
            async with process.log.subscribe("g", [MESSAGES]):
                pass


async def test_an_event_of_a_megabyte_gets_through(process: Process) -> None:
    await append(process, encoded("k", b"1" * 1_000_000), encoded("k", 2))
    async with process.log.subscribe("g", [MESSAGES]) as subscription:
        records = await read(process, subscription, 2)
    assert [len(record.value) for record in records] == [1_000_000, 1]


async def test_a_batch_cannot_be_committed_over_an_earlier_one_that_was_not(process: Process) -> None:
    await append(process, *(encoded("k", n) for n in range(4)))
    await relayed(process)
    async with process.log.subscribe("g", [MESSAGES]) as subscription:
        first, _ = await fetch(subscription, max_records=2)
        second, _ = await fetch(subscription, max_records=2)
        with pytest.raises(StaleMember):
            await commit(process, subscription, second)
        subscription.rewind(first)
        subscription.rewind(second)
        assert by_key(await read(process, subscription, 4)) == {"k": [0, 1, 2, 3]}


async def test_the_clients_own_lines_are_counted_and_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = Metrics()
    logger = logging.getLogger("aiokafka.cluster")
    with Noise(metrics).caught(logging.getLogger("aiokafka")):
        for number in range(100):
            logger.error("Unable to connect to node %s", number)
    text, _ = metrics.exposition()
    assert b'baton_kafka_client_lines_total{level="error"} 100.0' in text
    assert capsys.readouterr().err.count("Unable to connect") + capsys.readouterr().out.count("Unable") <= 1
