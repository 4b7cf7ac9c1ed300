"""A real Apache Kafka in KRaft mode: one node, free ports, temporary data; killed, paused and started at will."""

import base64
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from pathlib import Path
from typing import Final, Self

from tests.support.kafka.certificates import Certificates
from tests.support.session import Session

JARS: Final = Path(__file__).parents[3] / ".venv" / "kafka"
"""Where `make test` puts the broker's jars."""

START_SECONDS: Final = 60.0
_PR_SET_PDEATHSIG: Final = 1
_SMALL: Final = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

_PROPERTIES: Final = """
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
log.dirs={home}/log
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
auto.create.topics.enable=false
log.cleaner.dedupe.buffer.size=2097152
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=300
controller.quorum.election.timeout.ms=300
controller.quorum.fetch.timeout.ms=500
"""
"""The last four let a killed broker register again at once, instead of waiting for its own old session."""

_SECURE: Final = """
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SASL_SSL://127.0.0.1:{secure}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_SSL://127.0.0.1:{secure}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
    user_baton="{password}";
ssl.keystore.type=PEM
ssl.keystore.location={keys}
"""


def missing() -> str | None:
    """What a broker lacks here; None where it can run."""
    if not shutil.which("java"):
        return "there is no java"
    if not any(JARS.glob("kafka_*.jar")):
        return "Kafka's jars are not there: `make test` fetches them where there is Maven"
    return None


class Broker:
    """One node on a directory of its own."""

    def __init__(self, home: Path, *, certificates: Certificates | None = None, password: str = "") -> None:
        self.home = home
        self.port, controller, self._secure_port = _free_ports(3)
        home.mkdir(parents=True, exist_ok=True)
        self._config = home / "server.properties"
        properties = _PROPERTIES.format(port=self.port, controller=controller, home=home)
        if certificates:
            properties += _SECURE.format(
                port=self.port,
                controller=controller,
                secure=self._secure_port,
                keys=certificates.broker,
                password=password,
            )
        self._config.write_text(properties)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def servers(self) -> str:
        """For BATON_EVENT_LOG, behind `kafka://`."""
        return f"127.0.0.1:{self.port}"

    @property
    def secure_servers(self) -> str:
        """The same behind TLS and a password."""
        return f"127.0.0.1:{self._secure_port}"

    @property
    def pid(self) -> int:
        """Of the living broker."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        """Formats its directory the first time; returns once the port answers."""
        if not (self.home / "log").exists():
            cluster = base64.urlsafe_b64encode(uuid.UUID(int=1).bytes).rstrip(b"=").decode()
            command = ["kafka.tools.StorageTool", "format", "--standalone", "-t", cluster, "-c", str(self._config)]
            subprocess.run(_java("128m", *command), check=True, capture_output=True, cwd=self.home, timeout=60)
        self.spawn()
        self.wait_ready()
        return self

    def spawn(self) -> None:
        """Starts without waiting."""
        with (self.home / "output").open("ab") as output:
            self._process = subprocess.Popen(
                _java("512m", "kafka.Kafka", str(self._config)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.home,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one call, between fork and exec
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        """Until somebody listens."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self._process is not None
            assert self._process.poll() is None, (self.home / "output").read_text()[-3000:]
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError(f"the broker does not listen after {START_SECONDS} s")

    def kill(self) -> None:
        """SIGKILL."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(30)

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP and SIGCONT, mostly."""
        os.kill(self.pid, number)

    def stop(self) -> None:
        """Whatever state it is in, it is gone afterwards; nobody needs its data any more."""
        if self._process is not None and self._process.poll() is None:
            self.kill()


class SharedBroker:
    """The one broker of a test session."""

    def __init__(self, session: str) -> None:
        self._session = Session(f"{session}-kafka")
        self._broker: Broker | None = None
        self._servers = ""

    @property
    def servers(self) -> str:
        """Started by whoever asks first."""
        if not self._servers:
            self._servers = self._session.join(self._make)["servers"]
        return self._servers

    def _make(self) -> dict[str, str]:
        self._broker = Broker(self._session.home / "broker").start()
        return {"servers": self._broker.servers}

    def stop(self) -> None:
        """Leaves; the maker waits for the others first."""
        self._session.leave(self._unmake)

    def _unmake(self) -> None:
        if self._broker:
            self._broker.stop()


def _java(heap: str, *arguments: str) -> list[str]:
    return ["java", f"-Xmx{heap}", *_SMALL, "-cp", f"{JARS}/*", *arguments]


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
