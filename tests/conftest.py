"""Fixtures that every test may ask for: a server per session, a database per test."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.contract", "tests.support")

from shared.db.pool import Database  # noqa: E402 - assertions of helpers are rewritten only before their import
from tests.support import disk, kafka  # noqa: E402
from tests.support.forks import Forks  # noqa: E402
from tests.support.kafka import SharedBroker  # noqa: E402
from tests.support.postgres import Server, open_database  # noqa: E402

_SERVER: Final = pytest.StashKey[Server]()
_BROKER: Final = pytest.StashKey[SharedBroker]()
_FORKS: Final = pytest.StashKey[Forks]()
_WITHOUT: Final = "without Apache Kafka"
_MEMORY: Final = Path("/dev/shm")
_ROOM: Final = 4 << 30
"""Bytes: what all of the tests at once need, twice."""

# How long an example takes says what else the machine does.
settings.register_profile("baton", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("baton")


def pytest_configure(config: pytest.Config) -> None:
    """One object per process for each server; it does nothing until a test wants it."""
    if "TMPDIR" not in os.environ and _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM:
        # A test's database is 750 files: a copy takes 20 ms there, and 400 on many a disk.
        os.environ["TMPDIR"] = str(_MEMORY)
        tempfile.tempdir = None
    session = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    config.stash[_SERVER] = Server(session)
    config.stash[_BROKER] = SharedBroker(session)
    config.stash[_FORKS] = Forks(session)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long tests first, so that none of them is what everybody waits for: each worker begins with its share of them."""
    workers = int(getattr(config, "workerinput", {}).get("workercount", 1))
    long: dict[Path, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("slow"):
            # A module's stay together: they share what takes long to make.
            long.setdefault(item.path, []).append(item)
    short = iter([item for item in items if not item.get_closest_marker("slow")])
    ordered: list[pytest.Item] = []
    for worker in range(workers):
        share = (len(items) - len(ordered)) // (workers - worker)
        first = [item for module in list(long.values())[worker::workers] for item in module]
        ordered += [*first, *islice(short, max(0, share - len(first)))]
    items[:] = [*ordered, *short]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Starts servers before the first test, whose time limit they would otherwise eat."""
    if session.config.option.collectonly:
        return
    if any(_wants(item, "forks") for item in session.items):
        session.config.stash[_FORKS].start()
    if any(_wants(item, "server_dsn") for item in session.items):
        session.config.stash[_SERVER].start()
    wanted = ("broker", "event_log")
    if any(_wants(item, fixture) for item in session.items for fixture in wanted) and not kafka.missing():
        _ = session.config.stash[_BROKER].servers


def pytest_unconfigure(config: pytest.Config) -> None:
    """After all tests, outside of their time limits: other workers may still be busy."""
    config.stash[_SERVER].stop()
    config.stash[_BROKER].stop()
    config.stash[_FORKS].stop()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What could not be tried for want of Kafka or of the right to mount is said last, for all to see."""
    left_out = [report for report in terminalreporter.getreports("skipped") if _WITHOUT in str(report.longrepr)]
    if left_out:
        terminalreporter.write_line("")
        terminalreporter.write_line(
            f"{len(left_out)} tests were left out {_WITHOUT} ({kafka.missing()}): install a JDK (17 or newer) and Maven",
            red=True,
        )
    if any(disk.WITHOUT in str(report.longrepr) for report in terminalreporter.getreports("skipped")):
        terminalreporter.write_line("")
        terminalreporter.write_line(f"Nothing was tried on a full disk: {disk.missing()}", red=True)


def _wants(item: pytest.Item, fixture: str) -> bool:
    return fixture in getattr(item, "fixturenames", ())


def _needs_kafka() -> None:
    if why := kafka.missing():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{_WITHOUT}: {why}")
        pytest.skip(f"{_WITHOUT}: {why}")


@pytest.fixture(scope="session")
def kafka_is_here() -> None:
    """For tests that start brokers of their own."""
    _needs_kafka()


@pytest.fixture(scope="session")
def broker(pytestconfig: pytest.Config, kafka_is_here: None) -> str:
    """The session's Kafka, as `host:port`; nobody stops it. Tests use prefixes of their own."""
    return pytestconfig.stash[_BROKER].servers


@pytest.fixture(scope="session")
def forks(pytestconfig: pytest.Config) -> Forks:
    """Where processes of Baton come from, without each of them loading it."""
    return pytestconfig.stash[_FORKS]


@pytest.fixture(scope="session")
def server(pytestconfig: pytest.Config) -> Server:
    """The session's server, for tests that need more than one database."""
    return pytestconfig.stash[_SERVER]


@pytest.fixture(scope="session")
def server_dsn(server: Server) -> str:
    """The maintenance database of the session's server: what tests of migrations start from."""
    return server.dsn


@pytest.fixture
def dsn(server: Server, server_dsn: str) -> Iterator[str]:
    """A fresh, migrated database."""
    with server.database() as dsn:
        yield dsn


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """A fresh, migrated database, opened."""
    async with open_database(dsn) as database:
        yield database
