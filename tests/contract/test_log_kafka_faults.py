"""Faults of a real broker: paused, killed and started again under load, and what speaking to it safely takes."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shared.errors import Misconfigured, Retryable
from shared.events.catalogue import MESSAGES
from shared.log.kafka import from_settings
from shared.settings import KernelSettings
from tests.support.kafka import Broker
from tests.support.kafka.certificates import write_certificates
from tests.support.kafka.rig import KafkaRig, relayed
from tests.support.logs import Process, append, by_key, encoded, read
from tests.support.postgres import open_database
from tests.support.waiting import answer
from tests.support.writing import Reader, writing

pytestmark = [pytest.mark.timeout(240), pytest.mark.slow, pytest.mark.usefixtures("kafka_is_here")]


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path / "broker")
    try:
        yield broker.start()
    finally:
        broker.stop()


@pytest.fixture
async def process(own_broker: Broker, dsn: str) -> AsyncIterator[Process]:
    rig = KafkaRig(own_broker.servers, "", lambda: open_database(dsn))
    await rig.create_topics()
    async with rig.process() as process:
        yield process


async def test_a_broker_that_pauses_and_dies_three_times_costs_nothing_but_time(
    own_broker: Broker, process: Process
) -> None:
    loop = asyncio.get_running_loop()
    recoveries = []
    async with writing(process, pause=0.005) as writer, Reader(process).running() as reader:
        await reader.has(writer.count + 100)
        own_broker.signal(signal.SIGSTOP)
        await asyncio.sleep(5)
        own_broker.signal(signal.SIGCONT)
        await reader.has(writer.count)
        for _ in range(3):
            own_broker.kill()
            await asyncio.sleep(1)
            own_broker.spawn()
            await asyncio.to_thread(own_broker.wait_ready)
            back = loop.time()
            await reader.has(writer.count)
            recoveries.append(loop.time() - back)
        await writer.stop()
        await reader.has(writer.count)
    # In order and complete; what the broker had taken without being able to say so may have come twice.
    assert reader.first_deliveries() == writer.written
    assert max(recoveries) < 30, recoveries


async def test_what_is_appended_while_the_broker_is_away_waits_and_a_process_may_start_meanwhile(
    own_broker: Broker, dsn: str
) -> None:
    rig = KafkaRig(own_broker.servers, "", lambda: open_database(dsn))
    await rig.create_topics()
    own_broker.kill()
    async with rig.process() as process:
        await append(process, *(encoded("k", n) for n in range(5)))
        own_broker.spawn()
        await asyncio.to_thread(own_broker.wait_ready)
        await relayed(process)

        async def found() -> dict[str, list[int]] | None:
            async with process.log.subscribe("g", [MESSAGES]) as subscription:
                return by_key(await read(process, subscription, 5))

        assert await answer(found, within=30) == {"k": [0, 1, 2, 3, 4]}


async def test_a_process_that_stops_while_the_broker_is_away_leaves_at_once(own_broker: Broker, dsn: str) -> None:
    rig = KafkaRig(own_broker.servers, "", lambda: open_database(dsn))
    await rig.create_topics()
    loop = asyncio.get_running_loop()
    async with rig.process() as process, process.log.subscribe("g", [MESSAGES]):
        await append(process, encoded("k", 1))
        await relayed(process)
        own_broker.kill()
        await append(process, encoded("k", 2))
        await asyncio.sleep(0.5)
        leaving = loop.time()
    assert loop.time() - leaving < 20


async def test_tls_and_a_password_are_enough_and_needed(
    tmp_path: Path, dsn: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    certificates = write_certificates(tmp_path)
    broker = Broker(tmp_path / "broker", certificates=certificates, password="s3cret")
    try:
        broker.start()
        for name, value in {
            "EVENT_LOG": f"kafka://{broker.secure_servers}",
            "KAFKA_SECURITY": "sasl_ssl",
            "KAFKA_CA_FILE": str(certificates.authority),
            "KAFKA_SASL_MECHANISM": "plain",
            "KAFKA_USERNAME": "baton",
            "KAFKA_PASSWORD": "s3cret",
            "KAFKA_PREFIX": "safe-",
        }.items():
            monkeypatch.setenv(f"BATON_{name}", value)
        rig = KafkaRig(broker.servers, "safe-", lambda: open_database(dsn))
        await rig.create_topics()
        cluster = from_settings(KernelSettings.load())
        assert "s3cret" not in repr(cluster)
        async with rig.process(cluster=cluster) as process:
            await append(process, encoded("k", 1))
            async with process.log.subscribe("g", [MESSAGES]) as subscription:
                assert by_key(await read(process, subscription, 1)) == {"k": [1]}
        monkeypatch.setenv("BATON_KAFKA_PASSWORD", "wrong")
        wrong = from_settings(KernelSettings.load())
        async with rig.process(cluster=wrong) as process:
            with pytest.raises(Retryable):
                async with process.log.subscribe("g", [MESSAGES]):
                    pass
        # The client itself calls it an unreachable broker; its line says why.
        assert "SaslAuthenticationFailed" in "".join(capsys.readouterr())
    finally:
        broker.stop()


async def test_security_that_does_not_fit_together_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BATON_EVENT_LOG", "kafka://127.0.0.1:1")
    monkeypatch.setenv("BATON_KAFKA_SECURITY", "sasl_ssl")
    with pytest.raises(Misconfigured, match="BATON_KAFKA_USERNAME"):
        from_settings(KernelSettings.load())
    monkeypatch.setenv("BATON_KAFKA_CA_FILE", str(tmp_path / "nowhere.pem"))
    with pytest.raises(Misconfigured, match=r"nowhere\.pem"):
        from_settings(KernelSettings.load())
