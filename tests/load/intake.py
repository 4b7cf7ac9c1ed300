"""Webhook intake on one core: verified and decoded, and acknowledged once durable."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

import msgspec

from tests.load import channels, process
from tests.load.client import Answer, Asked, Order
from tests.load.process import CLIENT_CORE, SERVER_CORE, Child
from tests.load.report import Check, Kind, Part, Row
from tests.load.stage import Stage

ROUNDS: Final = 3
"""Each way is measured so often, in turn with the others: neighbours disturb all of them alike."""

CYCLED: Final = 2_000
MOST_PER_SECOND: Final = 25_000
"""Distinct deliveries are signed beforehand for this rate; when they run out, the figure ends there."""


@dataclass(slots=True, kw_only=True)
class Way:
    """One way of doing it: its server and its client."""

    name: str
    kind: Kind
    server: Child
    answers: list[Answer] = field(default_factory=list)
    used: float = 0.0
    """Seconds of its core that the server has used."""

    @property
    def best(self) -> Answer:
        """The round that neighbours disturbed least."""
        return max(self.answers, key=lambda answer: answer.per_second)

    @property
    def per_core_second(self) -> float:
        """Requests per second that the server itself was on its core: neighbours take time, but not this."""
        served = sum(sum(answer.statuses.values()) for answer in self.answers)
        return served / self.used if self.used else float("nan")


async def run_decoded(lab: Stage) -> Part:
    """No database: the signature and a typed decode of about 2 kB."""
    part = Part(name="intake", title="Webhook intake: verify and decode, one core")
    order = Order(port=0, path=channels.PATH, distinct=CYCLED)
    async with AsyncExitStack() as stack:
        client = await _client(stack)
        ways = [
            Way(name="asyncio.Protocol + httptools", kind="limit", server=await _server(stack, "servers", "floor")),
            Way(name="uvicorn, raw ASGI", kind="limit", server=await _server(stack, "servers", "raw")),
            Way(name="FastAPI + pydantic", kind="alternative", server=await _server(stack, "servers", "idiom")),
            Way(name="webhook path", kind="ours", server=await _server(stack, "ours", "decoding")),
            Way(name="webhook path as it is", kind="ours", server=await _server(stack, "ours", "forgetting")),
        ]
        await _rounds(ways, client, dict.fromkeys([way.name for way in ways], order), seconds=lab.seconds)
    floor, raw, usual, ours, _ = ways
    _fill(part, ways, floor)
    for what, way, target in (
        ("of the floor", floor, 0.60),
        ("of raw ASGI", raw, None),
        ("times FastAPI", usual, None),
    ):
        value = ours.per_core_second / way.per_core_second
        part.checks.append(Check(what=f"{what}, per second on the core", value=value, target=target))
    part.notes.append(
        "as it is, the webhook path leaves decoding to the normalizer: the floor's decode was added to it"
    )
    return part


async def run_durable(lab: Stage) -> Part:
    """Acknowledged after the commit; every body is another one."""
    part = Part(name="durable", title="Webhook intake: acknowledged once durable, one core beside Postgres")
    distinct = round((lab.seconds + ROUNDS * _warm_up(lab.seconds)) * MOST_PER_SECOND)
    cycled = Order(port=0, path=channels.PATH, distinct=CYCLED)
    fresh = Order(port=0, path=channels.PATH, distinct=distinct, once=True)
    async with lab.database() as (dsn, database), AsyncExitStack() as stack:
        await channels.create(database)
        client = await _client(stack)
        floor, rows, ours = ways = [
            Way(name="asyncio.Protocol, not stored", kind="limit", server=await _server(stack, "servers", "floor")),
            Way(
                name="one INSERT per request",
                kind="alternative",
                server=await _server(stack, "servers", "row-per-request", dsn),
            ),
            Way(name="the inbox", kind="ours", server=await _server(stack, "ours", "durable", dsn)),
        ]
        orders = {floor.name: cycled, rows.name: fresh, ours.name: fresh}
        await _rounds(ways, client, orders, seconds=lab.seconds)
        async with database.pool.acquire() as connection:
            stored = await connection.fetchval("SELECT count(*) FROM ingest.inbox")
    _fill(part, ways, floor)
    acknowledged = sum(answer.statuses.get("200", 0) for answer in ours.answers)
    rate = ours.best.per_second
    part.checks += [
        Check(what="of the floor", value=rate / floor.best.per_second, target=0.35),
        Check(what="times one INSERT per request", value=rate / rows.best.per_second, target=2.4),
        Check(what="acknowledged and not stored", value=max(0, acknowledged - stored), target=0, at_least=False),
    ]
    part.notes.append(f"{acknowledged:,} acknowledged, {stored:,} in the inbox")
    return part


async def _server(stack: AsyncExitStack, module: str, *arguments: str) -> Child:
    name, *rest = arguments
    return await stack.enter_async_context(process.child(f"tests.load.{module}", name, str(SERVER_CORE), *rest))


async def _client(stack: AsyncExitStack) -> Child:
    return await stack.enter_async_context(process.child("tests.load.client", str(CLIENT_CORE)))


async def _rounds(ways: Sequence[Way], client: Child, orders: Mapping[str, Order], *, seconds: float) -> None:
    # The servers have started side by side meanwhile.
    for way in ways:
        order = msgspec.structs.replace(orders[way.name], port=(await way.server.line())["port"])
        await client.say(msgspec.to_builtins(Asked(name=way.name, order=order)))
        await client.line()
    asked = Asked(name="", warm_up=_warm_up(seconds), seconds=seconds / ROUNDS)
    for _ in range(ROUNDS):
        for way in ways:
            before = process.cpu_seconds([way.server.process.pid])
            await client.say(msgspec.to_builtins(msgspec.structs.replace(asked, name=way.name)))
            way.answers.append(msgspec.convert(await client.line(), Answer))
            way.used += process.cpu_seconds([way.server.process.pid]) - before


def _warm_up(seconds: float) -> float:
    return min(0.5, seconds / ROUNDS / 2)


def _fill(part: Part, ways: Sequence[Way], floor: Way) -> None:
    for way in ways:
        best = way.best
        figures: dict[str, float | str] = {
            "requests/s": best.per_second,
            "of floor": best.per_second / floor.best.per_second,
            "p50 ms": best.p50_ms,
            "p99 ms": best.p99_ms,
            "per s on the core": way.per_core_second,
            "client busy": best.busy,
        }
        part.rows.append(Row(name=way.name, kind=way.kind, figures=figures))
        refused = {
            status: count for answer in way.answers for status, count in answer.statuses.items() if status != "200"
        }
        if refused:
            part.notes.append(f"{way.name}: not answered 200: {refused}")
    if SERVER_CORE == CLIENT_CORE:
        part.notes.append("client and server share the only core: nothing here says what either can do")
