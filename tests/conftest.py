"""Fixtures that every test may ask for: a server per session, a database per test."""

import os
from collections.abc import AsyncIterator, Iterator
from typing import Final

import pytest

pytest.register_assert_rewrite("tests.contract", "tests.support")

from shared.db.pool import Database  # noqa: E402 - assertions of helpers are rewritten only before their import
from tests.support.postgres import Server, open_database  # noqa: E402

_SERVER: Final = pytest.StashKey[Server]()


def pytest_configure(config: pytest.Config) -> None:
    """One server object per process; it does nothing until a test wants it."""
    config.stash[_SERVER] = Server(os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid())))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Starts the server before the first test, whose time limit it would otherwise eat."""
    if not session.config.option.collectonly and any(_wants_server(item) for item in session.items):
        session.config.stash[_SERVER].start()


def pytest_unconfigure(config: pytest.Config) -> None:
    """After all tests, outside of their time limits: other workers may still be busy."""
    config.stash[_SERVER].stop()


def _wants_server(item: pytest.Item) -> bool:
    return "server_dsn" in getattr(item, "fixturenames", ())


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
