"""Pushing events to webhook endpoints: how many beside clients alone, and how soon, with and without a dead neighbour."""

import asyncio
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Final

import httpx
import msgspec

from tests.load import process
from tests.load.journey import Road, road
from tests.load.process import CLIENT_CORE, CORES, SERVER_CORE, Child
from tests.load.report import Check, Part, Row
from tests.load.rider import Leg
from tests.load.sink import Tally
from tests.load.stage import Stage

IN_FLIGHT: Final = 64
RATE: Final = 200
EXPECTED: Final = 10_000
"""Deliveries a second that are asked for; the flood is what that rate would take as long for as a figure is measured."""

PATIENCE: Final = 30.0
SVIX: Final = {"deliveries/s": "640 to 850", "p50 ms": 3.4, "p99 ms": 7.9}
"""svix-server 1.100, webhook created → arrived at 200/s, on two cores (LIMITS)."""

_FILL: Final = """
WITH counter AS (
    INSERT INTO notifier.feed_counter (workspace_id) SELECT workspace_id FROM platform.workspace
    ON CONFLICT (workspace_id) DO UPDATE SET first = notifier.feed_counter.first
    RETURNING workspace_id, notifier.last_number(workspace_id) + $1 AS last
)
INSERT INTO notifier.feed (workspace_id, number, event_id, type, ticket_id, team, owner, at, data)
SELECT workspace_id, last - $1 + n, 'evt_fill_' || (last - $1 + n), 'ticket.updated.v1', 'tkt_1', 'care', 'agt_1', now(),
    convert_to('{"workspace_id":"' || workspace_id || '","changes":["' || repeat('x', 850) || '"]}', 'UTF8')
FROM counter, generate_series(1, $1::bigint) n
"""


async def run(lab: Stage) -> Part:
    """All of it on one running system."""
    part = Part(name="deliveries", title=f"Webhook deliveries, {IN_FLIGHT} in flight")
    async with AsyncExitStack() as stack:
        sink = await stack.enter_async_context(process.child("tests.load.sink", str(CLIENT_CORE)))
        port = (await sink.line())["port"]
        bare = await _client("bare", sink, port, seconds=lab.seconds)
        usual = await _client("aiohttp", sink, port, seconds=lab.seconds)
        environment = {"BATON_ENDPOINT_CONCURRENCY": str(IN_FLIGHT)}
        on = await stack.enter_async_context(road(round(RATE * (2 * lab.seconds + 10) * 2), environment))
        client = await stack.enter_async_context(on.system.client())
        await _subscribe(client, f"http://127.0.0.1:{port}/", ["ticket.created", "ticket.updated", "ticket.reopened"])
        ours = await _flood(on, sink, count=round(lab.seconds * EXPECTED))
        alone = await _paced(on, sink, seconds=lab.seconds * 2)
        await _subscribe(client, f"http://127.0.0.1:{port}/hang", ["ticket.created", "ticket.updated"])
        beside = await _paced(on, sink, seconds=lab.seconds * 2)
    part.rows += [
        Row(name="bare client, one core", kind="limit", figures=bare),
        Row(name="aiohttp alone, one core", kind="alternative", figures=usual),
        Row(name="feed → endpoint, one core", kind="ours", figures=ours),
        Row(name=f"event → arrived, {RATE}/s", kind="ours", figures=_latency(alone)),
        Row(name=f"event → arrived, {RATE}/s, a dead one beside it", kind="ours", figures=_latency(beside)),
        Row(name="svix-server", kind="published", figures=SVIX),
    ]
    part.checks += [
        Check(what="deliveries per second", value=ours["deliveries/s"], target=EXPECTED),
        _of("a bare client", ours, bare, target=0.16),
        _of("aiohttp alone", ours, usual, target=None),
        Check(what="p99 alone", value=alone.p99_ms, target=8, at_least=False, unit=" ms"),
        Check(what="p99 beside a dead one", value=beside.p99_ms, target=10, at_least=False, unit=" ms"),
    ]
    part.notes.append("a sink that is busy all the time bounds the deliveries, but not those per second on the core")
    part.notes.append(
        "an event's time is when its transaction began: the way to the log, the feed and the socket counts"
    )
    part.notes.append(f"{beside.hanging:,} pushes were taken and never answered by the dead endpoint")
    return part


async def _client(kind: str, sink: Child, port: int, *, seconds: float) -> dict[str, float]:
    await _tally(sink)
    arguments = (kind, str(SERVER_CORE), str(port), str(IN_FLIGHT), str(seconds))
    async with process.child("tests.load.pusher", *arguments) as pusher:
        found = await pusher.line(within=seconds + 30)
    return _figures(await _tally(sink), used=found["used"])


async def _flood(on: Road, sink: Child, *, count: int) -> dict[str, float]:
    """So many events at once into the feed, as if an endpoint had been away; Baton has one core for it."""
    await _tally(sink)
    os.sched_setaffinity(on.system.pid, {SERVER_CORE})
    before = on.system.cpu_seconds()[0]
    async with on.system.connection() as connection:
        await connection.execute(_FILL, count, timeout=60)
    await _until(sink, count)
    used = on.system.cpu_seconds()[0] - before
    os.sched_setaffinity(on.system.pid, CORES)
    tally = await _tally(sink)
    return _figures(tally, used=used)


async def _paced(on: Road, sink: Child, *, seconds: float) -> Tally:
    """Real webhooks in, one delivery out for each."""
    await on.ride(Leg(rate=RATE, warm_up=0.0, seconds=2.0))
    await asyncio.sleep(1.0)
    await _tally(sink)
    report, _ = await on.ride(Leg(rate=RATE, warm_up=0.0, seconds=seconds))
    await _until(sink, report.last - report.first)
    return await _tally(sink)


async def _until(sink: Child, count: int) -> None:
    """Waits until so many came, or no more come."""
    before, quiet = -1, 0.0
    while quiet < PATIENCE / 10:
        await sink.say("count")
        came = await sink.line()
        if came >= count:
            return
        quiet = quiet + 0.1 if came == before else 0.0
        before = came
        await asyncio.sleep(0.1)


async def _tally(sink: Child) -> Tally:
    await sink.say("tally")
    return msgspec.convert(await sink.line(), Tally)


async def _subscribe(client: httpx.AsyncClient, url: str, types: list[str]) -> None:
    body: dict[str, Any] = {"url": url, "event_types": types}
    (await client.post("/v1/endpoints", json=body)).raise_for_status()
    # A process looks for new endpoints every second, unless it made them itself.
    await asyncio.sleep(1.5)


def _figures(tally: Tally, *, used: float) -> dict[str, float]:
    """`used`: seconds of its core that the sender took. Neighbours and a busy sink take time, but not that."""
    return {
        "deliveries/s": tally.per_second,
        "per s on the core": tally.count / used,
        "delivered": tally.count,
        "sink busy": tally.busy,
    }


def _of(whom: str, ours: Mapping[str, float], theirs: Mapping[str, float], *, target: float | None) -> Check:
    value = ours["per s on the core"] / theirs["per s on the core"]
    return Check(what=f"of {whom}, per second on the core", value=value, target=target)


def _latency(tally: Tally) -> dict[str, float | str]:
    return {"deliveries/s": tally.per_second, "p50 ms": tally.p50_ms, "p99 ms": tally.p99_ms, "delivered": tally.count}
