"""One running system per worker, and callers that know nothing but its URL and keys."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.support.callers import Api, connected
from tests.support.contract import Contract
from tests.support.forks import Forks
from tests.support.page import Page, connected_page
from tests.support.possessions import possessions
from tests.support.system import System


@pytest.fixture(scope="session", params=["postgres", "kafka"])
def event_log(request: pytest.FixtureRequest) -> str:
    """For BATON_EVENT_LOG: what holds from outside holds on both."""
    return "postgres" if request.param == "postgres" else f"kafka://{request.getfixturevalue('broker')}"


@pytest.fixture(scope="session")
def shared_system(tmp_path_factory: pytest.TempPathFactory, forks: Forks, event_log: str) -> Iterator[System]:
    """A system that runs for as long as the worker does."""
    system = System(tmp_path_factory.mktemp("system"), forks, event_log=event_log)
    try:
        yield system.start()
    finally:
        system.end()


@pytest.fixture
def system(shared_system: System) -> Iterator[System]:
    """The worker's system; what it says during a test is shown when the test fails."""
    before = shared_system.said_bytes
    yield shared_system
    shared_system.show(before)


@pytest.fixture
async def http(system: System) -> AsyncIterator[httpx.AsyncClient]:
    """Connections to it."""
    async with connected(system) as http:
        yield http


@pytest.fixture
def admin(http: httpx.AsyncClient, system: System) -> Api:
    """The demo workspace's admin."""
    return Api(http, system.admin)


@pytest.fixture
def alice(http: httpx.AsyncClient, system: System) -> Api:
    """An agent."""
    agent = system.agents[0]
    return Api(http, agent.key, agent=agent)


@pytest.fixture
def bob(http: httpx.AsyncClient, system: System) -> Api:
    """Another agent."""
    agent = system.agents[1]
    return Api(http, agent.key, agent=agent)


@pytest.fixture
async def page(admin: Api) -> AsyncIterator[Page]:
    """A connected Page of the test's own."""
    async with connected_page(admin) as page:
        yield page


@pytest.fixture
async def contract(http: httpx.AsyncClient) -> Contract:
    """What the running system declares."""
    return Contract((await http.get("/openapi.json")).json())


@pytest.fixture
async def belongings(page: Page, alice: Api) -> dict[str, str]:
    """One of everything that has an id, in the demo workspace."""
    return await possessions(page, alice)
