"""Leaving and coming back: nothing that was acknowledged is missing, and the next start finds a clean house."""

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.callers import Api, connected, until
from tests.support.forks import Forks
from tests.support.page import CREDENTIALS, Page, connected_page, deliver, unique
from tests.support.system import LOOSE, System
from tests.support.waiting import eventually

CALLERS = 16


@pytest.fixture
def private(tmp_path: Path, forks: Forks, event_log: str) -> Iterator[System]:
    """A system whose data lie where only their owner can look."""
    tmp_path.chmod(0o700)
    system = System(tmp_path / "home", forks, event_log=event_log)
    system.home.chmod(0o700)
    yield system
    system.show()
    system.end()


class Load:
    """Callers who go on until nobody listens any more, and remember what they were promised."""

    def __init__(self, page: Page, http: httpx.AsyncClient) -> None:
        self.page = page
        self.http = http
        self.acknowledged: list[tuple[int, str]] = []
        self.torn: list[str] = []

    async def write(self) -> None:
        """Webhook after webhook."""
        while True:
            author, item = unique(), f"{self.page.post}_{unique()}"
            try:
                answer = await deliver(self.http, self.page, self.page.comment(author, "Hello", item=item))
            except httpx.ConnectError:
                return
            except httpx.TransportError as error:
                self.torn.append(repr(error))
                continue
            if answer.status_code == 200:
                self.acknowledged.append((author, item))
            else:
                assert answer.status_code == 503, answer.text

    async def read(self, caller: Api) -> None:
        """List after list: whatever is answered is answered whole."""
        while True:
            try:
                answer = await caller.call("GET", "/v1/tickets?limit=50")
            except httpx.ConnectError:
                return
            except httpx.TransportError as error:
                self.torn.append(repr(error))
                continue
            assert answer.status_code in {200, 503}, answer.text
            assert answer.json()


@pytest.mark.timeout(120)
async def test_a_stop_under_load_fails_nobody_and_the_next_start_has_everything(private: System):
    system = private.start()
    async with connected(system) as http, connected_page(Api(http, system.admin)) as page:
        alice = Api(http, system.agents[0].key)
        _, target, ticket = await page.asked()
        load = Load(page, http)
        page.network.delay = 0.5
        async with alice.stream() as told, asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(load.write())
            group.create_task(load.read(alice))
            await eventually(lambda: len(load.acknowledged) > CALLERS)
            reply = await alice.made(
                f"/v1/tickets/{ticket['id']}/replies", {"text": "Bye", "seen_seq": ticket["last_seq"]}
            )
            await until(lambda: _reached(page, target))
            code = await asyncio.to_thread(system.stop)
            # The live stream ends like a file, not like an accident.
            async with asyncio.timeout(30):
                assert [one async for one in told]
    assert code == 0
    # A kept-alive connection may close while a request is on its way to it: at most one for each caller.
    assert len(load.torn) <= CALLERS + 1
    assert not [line for line in system.said().splitlines() if '"level": "error"' in line]
    assert not (system.data_dir / "postgres" / "postmaster.pid").exists()
    assert "database system is shut down" in (system.data_dir / "postgres.log").read_text()
    await _comes_back(system, load, reply["id"])


async def _reached(page: Page, target: str) -> bool:
    return bool(page.received(target))


async def _comes_back(system: System, load: Load, reply_id: str) -> None:
    before, log = system.access, system.data_dir / "postgres.log"
    said = log.stat().st_size
    del system.settings["BATON_ALLOW_PRIVATE_EGRESS"]
    system.start()
    assert system.access == before
    assert "not properly shut down" not in log.read_text()[said:]
    async with connected(system) as http:
        admin = Api(http, system.admin)
        assert (await admin.settled(reply_id))["state"] == "sent"

        async def arrived() -> bool:
            tickets = await admin.every("/v1/tickets", network="facebook", state="any")
            names = {ticket["customer"]["name"] for ticket in tickets}
            return {f"Customer {author}" for author, _ in load.acknowledged} <= names

        await until(arrived, every=0.2)
        body = {"network": "facebook", "name": "Page", "external_id": "1", "credentials": CREDENTIALS}
        refused = await admin.post("/v1/channels", body | {"api_base_url": "http://127.0.0.1:9999"})
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
        await _keeps_to_itself(system)
    assert system.stop() == 0


async def _keeps_to_itself(system: System) -> None:
    """One line on standard output, nothing that others can read, and no second Baton on the same data."""
    for name in ("access.json", "demo.json"):
        assert stat.S_IMODE((system.data_dir / name).stat().st_mode) == 0o600
    code, out, err = await system.process_of("up", "--json", "--port", "0")
    assert (code, out) == (1, "")
    assert "is in use by another Baton" in err
    taken = await system.process_of("up", "--json", "--port", str(system.port))
    assert taken[0] == 1
    assert len(taken[2].splitlines()) == 1, taken[2]


def can_import(prefix: list[str]) -> bool:
    """Whether another account can read this checkout and its interpreter."""
    command = [*prefix, sys.executable, "-c", "import services.cli.main"]
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0


@pytest.mark.timeout(120)
@pytest.mark.skipif(os.geteuid() != 0, reason="whoever is not root runs all tests as themselves")
async def test_it_runs_as_anybody(tmp_path: Path, forks: Forks):
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root" and not folder.stat().st_mode & stat.S_IXOTH:
            folder.chmod(0o711)
    home = tmp_path / "home"
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if not can_import(prefix):
        pytest.skip("this checkout lies where others may not read: nobody else can run it")
    system = System(home, forks, settings=LOOSE | {"HOME": str(home)}, prefix=prefix)
    os.chown(home, 65534, 65534)
    try:
        system.start()
        async with connected(system) as http, connected_page(Api(http, system.admin)) as page:
            alice = Api(http, system.agents[0].key)
            _, item, ticket = await page.asked()
            reply = (await alice.reply(ticket, "Hello")).json()
            assert (await alice.settled(reply["id"]))["state"] == "sent"
            assert len(page.received(item)) == 1
        assert (system.data_dir / "postgres").stat().st_uid == 65534
        assert system.stop() == 0
    finally:
        system.show()
        system.end()
