"""The database is away, or its disk is full, under a Baton that lives on: what was acknowledged is there, once."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Iterator

import pytest

from shared.db.embedded import EmbeddedPostgres
from shared.sealing import new_key
from tests.support import disk
from tests.support.burst import Clerk, Round, burst, check
from tests.support.callers import Api, connected, until
from tests.support.database import PATIENCE, ForeignOutage, FullDisk, Outage
from tests.support.disk import WITHOUT, Disk
from tests.support.forks import Forks
from tests.support.page import Page, connected_page, deliver, unique
from tests.support.system import LOOSE, System

SOAK = bool(os.environ.get("BATON_SOAK"))
BURST = 5_000 if SOAK else 200
pytestmark = [pytest.mark.timeout(900 if SOAK else 240), pytest.mark.slow]


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk | None]:
    """What the database lies on; None where nothing can be mounted."""
    if disk.missing():
        yield None
        return
    with disk.mounted(tmp_path_factory.mktemp("disk") / "small", megabytes=192) as small:
        yield small


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, small_disk: Disk | None) -> Iterator[EmbeddedPostgres]:
    """A Postgres that Baton knows by its URL alone: nobody but a test starts it again."""
    place = small_disk.place if small_disk else tmp_path_factory.mktemp("server")
    with asyncio.Runner() as runner:
        starting = EmbeddedPostgres.start(place / "server")
        server = runner.run(starting.__aenter__())
        yield server
        runner.run(starting.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, server: EmbeddedPostgres, forks: Forks) -> Iterator[System]:
    """A system on that Postgres."""
    settings = LOOSE | {"BATON_DATABASE_URL": server.dsn, "BATON_SEALING_KEYS": new_key()}
    system = System(tmp_path_factory.mktemp("system"), forks, settings=settings)
    try:
        yield system.start()
    finally:
        system.end()


@pytest.fixture
def system(home: System) -> Iterator[System]:
    """The system; what it says during a test is shown when the test fails."""
    before = home.said_bytes
    yield home
    home.show(before)


async def test_while_the_database_is_away_nothing_is_acknowledged_and_then_nothing_is_missing(
    system: System, server: EmbeddedPostgres
):
    async with connected(system) as http, connected_page(Api(http, system.admin)) as page:
        story = Round()
        outage = ForeignOutage(system=system, dsn=server.dsn, server=server, meanwhile=looking_at(page, story))
        await played(outage, page, story)


async def test_while_the_disk_is_full_nothing_is_acknowledged_and_then_nothing_is_missing(
    system: System, server: EmbeddedPostgres, small_disk: Disk | None
):
    if small_disk is None:
        pytest.skip(f"{WITHOUT}: {disk.missing()}")
    async with connected(system) as http, connected_page(Api(http, system.admin)) as page:
        story = Round()
        looks = looking_at(page, story)
        outage = FullDisk(
            system=system, dsn=server.dsn, server=server, disk=small_disk, page=page, story=story, meanwhile=looks
        )
        await played(outage, page, story)


async def played(outage: Outage, page: Page, story: Round) -> None:
    """A burst with the outage in its middle, and the audit."""
    chance = random.Random(1)
    system = outage.system
    clerks = [Clerk(Api(page.admin.http, agent.key, agent=agent), page, chance) for agent in system.agents]
    await burst(outage, page, clerks, story, chance, size=BURST, people=BURST // 5)
    await check(page, clerks, story)
    assert await system.problems() == []
    print(f"{len(story.items)} messages; moving {outage.recovered_after:.1f} s after the database was back")  # noqa: T201
    assert outage.recovered_after < PATIENCE
    assert system.process.poll() is None


def looking_at(page: Page, story: Round) -> Callable[[], Awaitable[None]]:
    """What everybody hears while the database is away."""
    http = page.admin.http

    async def not_ready() -> bool:
        ready = await http.get("/readyz")
        assert ready.status_code in {200, 503}, ready.text
        return ready.status_code == 503 and "database" in ready.json()["waiting_for"]

    async def all_refused() -> bool:
        author, item = unique(), f"{page.post}_{unique()}"
        answers = [
            await deliver(http, page, page.comment(author, "Anyone there?", item=item)),
            await http.get("/v1/tickets", headers=page.admin.headers()),
            await page.admin.post("/v1/agents", {"name": f"Nobody {item}"}),
        ]
        if answers[0].status_code == 200:
            # A database on a full disk may come back for a moment.
            story.items[item] = author
        refused = [answer for answer in answers if answer.status_code == 503]
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        return len(refused) == len(answers)

    async def look() -> None:
        await until(not_ready)
        await until(all_refused)
        assert (await http.get("/livez")).status_code == 200

    return look
