"""How many connections there may be, who gets the next one, and where new ones lead."""

import asyncio
from datetime import timedelta

import pytest

from shared.egress import Egress, NotSent, OutcomeUnknown, dialling
from tests.integration.egress.conftest import LOCAL, NAME, NO_AUTHORITIES, deliver
from tests.support.peers import OK, Peer, closing_after, serving, unused_port

LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"


async def test_who_waits_for_a_connection_gets_the_one_that_is_free_next() -> None:
    async with (
        serving() as server,
        Egress(LOCAL, tls=NO_AUTHORITIES, connections=2) as egress,
        asyncio.TaskGroup() as group,
    ):
        calls = [group.create_task(deliver(egress, server.port)) for _ in range(20)]

    assert [task.result().status for task in calls] == [200] * 20
    assert server.connections == 2


async def test_an_idle_connection_makes_room_for_one_to_somebody_else() -> None:
    async with serving() as one, serving() as other, Egress(LOCAL, tls=NO_AUTHORITIES, connections=1) as egress:
        for server in (one, other, one, other):
            assert (await deliver(egress, server.port)).status == 200
            assert len(egress._pool._idle) == 1

    assert (one.connections, other.connections) == (2, 2)


async def test_who_finds_none_free_in_time_was_not_sent_and_takes_nobodys_place() -> None:
    async def silent_once(peer: Peer) -> None:
        await peer.read_request()
        connected.set()
        await over.wait()
        await peer.send(OK)
        await peer.read_request()
        await peer.send(OK)

    connected, over = asyncio.Event(), asyncio.Event()
    async with (
        serving(silent_once) as server,
        Egress(LOCAL, tls=NO_AUTHORITIES, connections=1) as egress,
        asyncio.TaskGroup() as group,
    ):
        first = group.create_task(deliver(egress, server.port))
        await connected.wait()
        patient = group.create_task(deliver(egress, server.port))
        with pytest.raises(NotSent, match="in time"):
            await deliver(egress, server.port, seconds=0.05)
        over.set()

    assert [first.result().status, patient.result().status] == [200, 200]
    assert server.connections == 1


async def test_a_name_is_asked_once_by_all_who_want_it_at_the_same_time() -> None:
    async def slow(name: str) -> list[str]:
        asked.append(name)
        await asyncio.sleep(0.01)
        return ["127.0.0.1"]

    asked: list[str] = []
    async with serving() as server, Egress(LOCAL, tls=NO_AUTHORITIES, resolve=slow) as egress:
        url = f"http://{NAME}:{server.port}/"
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(egress.deliver("POST", url, headers={}, timeout=timedelta(seconds=20)))

    assert asked == [NAME]


async def test_a_name_is_asked_for_again_once_it_is_forgotten() -> None:
    async def resolve(name: str) -> list[str]:
        asked.append(name)
        return ["127.0.0.1"]

    asked: list[str] = []
    async with serving(closing_after(LAST)) as server, Egress(LOCAL, tls=NO_AUTHORITIES, resolve=resolve) as egress:
        url = f"http://{NAME}:{server.port}/"
        for _ in range(2):
            await egress.deliver("POST", url, headers={}, timeout=timedelta(seconds=20))
        assert asked == [NAME]
        egress._pool._dialler._names[NAME].until = 0.0
        await egress.deliver("POST", url, headers={}, timeout=timedelta(seconds=20))

    assert asked == [NAME, NAME]


async def test_names_that_lead_nowhere_are_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nowhere(_name: str) -> list[str]:
        return []

    monkeypatch.setattr(dialling, "_MOST_NAMES", 3)
    async with Egress(LOCAL, tls=NO_AUTHORITIES, resolve=nowhere) as egress:
        for number in range(10):
            with pytest.raises(NotSent, match="does not resolve"):
                await egress.deliver("POST", f"http://{number}.{NAME}/", headers={}, timeout=timedelta(seconds=20))

        assert len(egress._pool._dialler._names) <= 3


async def test_who_still_waits_when_the_way_out_closes_was_not_sent() -> None:
    async def silent(peer: Peer) -> None:
        await peer.read_request()
        connected.set()
        await peer.gone()

    async def ends(kind: type[Exception], words: str) -> None:
        with pytest.raises(kind, match=words):
            await deliver(egress, server.port)

    connected = asyncio.Event()
    async with (
        serving(silent) as server,
        asyncio.TaskGroup() as group,
        Egress(LOCAL, tls=NO_AUTHORITIES, connections=1) as egress,
    ):
        group.create_task(ends(OutcomeUnknown, "ended early"))
        await connected.wait()
        group.create_task(ends(NotSent, "closed"))
        await asyncio.sleep(0)


async def test_nobody_at_any_address_was_not_sent() -> None:
    async def two(_name: str) -> list[str]:
        return ["::1", "127.0.0.1"]

    async with Egress(LOCAL, tls=NO_AUTHORITIES, resolve=two) as egress:
        with pytest.raises(NotSent, match="refused"):
            await egress.deliver("POST", f"http://{NAME}:{unused_port()}/", headers={}, timeout=timedelta(seconds=20))
