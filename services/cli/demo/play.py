"""Plays the day: sends at the chosen rate, lets two agents collide, follows the stream, and audits what is left."""

import asyncio
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from services.cli.demo.agents import Agent, meet
from services.cli.demo.audit import Auditor, Findings
from services.cli.demo.channels import System, connect
from services.cli.demo.networks.facebook import Facebook
from services.cli.demo.world import World

IN_FLIGHT: Final = 32
SETTLE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much of a day, and how fast."""

    messages: int
    rate: float
    """Webhooks per second."""
    seed: int
    customers: int


@dataclass(slots=True, kw_only=True)
class Day:
    """What happened."""

    sent: list[str] = field(default_factory=list)
    webhooks: int = 0
    duplicates: int = 0
    refused: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    """Seconds from the start of a webhook's request to its ticket's event on the stream."""
    agents: list[Agent] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)


async def play(system: System, plan: Plan, *, progress: Callable[[int], None]) -> Day:
    """Plays a plan into a running system. `progress` hears how many messages were sent so far."""
    chance = random.Random(plan.seed)
    day = Day()
    world = World(plan.seed, customers=plan.customers, now=int(time.time()))
    network = Facebook(chance=random.Random(plan.seed + 1))
    limits = httpx.Limits(max_connections=IN_FLIGHT + 8)
    async with (
        httpx.AsyncClient(base_url=system.url, timeout=15, limits=limits, trust_env=False) as client,
        network.serving(),
    ):
        channel = await connect(client, system.admin, network)
        seen: dict[str, float] = {}
        done = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            listening = asyncio.Event()
            following = group.create_task(follow(client, system.admin, seen, listening))
            async with asyncio.timeout(SETTLE_SECONDS):
                # The stream tells what happens from now on: whoever comes late misses the beginning.
                await listening.wait()
            for number, (agent_id, name, key) in enumerate(system.agents[:2]):
                agent = Agent(
                    id=agent_id,
                    name=name,
                    key=key,
                    client=client,
                    channel=channel,
                    run=world.run,
                    chance=random.Random(plan.seed + 10 + number),
                    pace=max(0.05, min(1.0, 4 / plan.rate)),
                )
                day.agents.append(agent)
                group.create_task(agent.work(done))
            started = time.perf_counter()
            begun = await send(network, world, plan=plan, chance=chance, day=day, progress=progress)
            day.seconds = time.perf_counter() - started
            await settle(begun, seen)
            done.set()
            await meet(*day.agents)
            await quiet(client, system.admin, day)
            following.cancel()
        day.latencies = [seen[item] - at for item, at in begun.items() if item in seen]
        accepted = [reply for agent in day.agents for reply in agent.accepted]
        day.findings = await Auditor(client, system.admin).examine(
            sent=day.sent, accepted=accepted, network=network, channel=channel, run=world.run
        )
        if missed := [item for item in day.sent if item not in seen]:
            day.findings.problems.append(f"{len(missed)} messages were not on the stream, such as {missed[0]}")
    return day


async def send(
    network: Facebook,
    world: World,
    *,
    plan: Plan,
    chance: random.Random,
    day: Day,
    progress: Callable[[int], None],
) -> dict[str, float]:
    """Sends all webhooks at the plan's rate; returns when each message's request began."""
    begun: dict[str, float] = {}
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def one(payload: dict[str, Any], items: tuple[str, ...]) -> None:
        try:
            for item in items:
                begun[item] = time.perf_counter()
            status = await network.post(payload)
            if status == 200:
                day.sent.extend(items)
                progress(len(items))
            else:
                day.refused += 1
        finally:
            gate.release()

    next_at = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for delivery in world.deliveries(plan.messages):
            await gate.acquire()
            next_at += chance.expovariate(plan.rate)
            await asyncio.sleep(max(0.0, next_at - time.perf_counter()))
            group.create_task(one(delivery.payload, delivery.items))
            day.webhooks += 1
            day.duplicates += delivery.duplicate
    return begun


async def follow(client: httpx.AsyncClient, key: str, seen: dict[str, float], listening: asyncio.Event) -> None:
    """Follows the live stream as a screen would; notes when each message first showed."""
    last = None
    while True:
        headers = {"Authorization": f"Bearer {key}"} | ({"Last-Event-ID": last} if last else {})
        try:
            async with client.stream(
                "GET", "/v1/stream", headers=headers, timeout=httpx.Timeout(15, read=60)
            ) as stream:
                async for line in stream.aiter_lines():
                    listening.set()
                    if line.startswith("id:"):
                        last = line[3:].strip()
                    elif line.startswith("data:"):
                        message = json.loads(line[5:]).get("data", {}).get("message") or {}
                        if (item := message.get("external_id")) and item not in seen:
                            seen[item] = time.perf_counter()
        except httpx.HTTPError:
            await asyncio.sleep(0.2)


async def settle(begun: dict[str, float], seen: dict[str, float]) -> None:
    """Waits until every message was seen, or gives up: the audit then says what is missing."""
    until = time.perf_counter() + SETTLE_SECONDS
    while any(item not in seen for item in begun) and time.perf_counter() < until:
        await asyncio.sleep(0.05)


async def quiet(client: httpx.AsyncClient, key: str, day: Day) -> None:
    """Waits until every accepted reply is finished."""
    headers = {"Authorization": f"Bearer {key}"}
    until = time.perf_counter() + SETTLE_SECONDS
    waiting = {reply for agent in day.agents for reply in agent.accepted}
    while waiting and time.perf_counter() < until:
        waiting = {reply for agent in day.agents for reply in agent.accepted}
        for reply in list(waiting):
            state = (await client.get(f"/v1/replies/{reply}", headers=headers)).json()["state"]
            if state not in {"queued", "sending"}:
                waiting.discard(reply)
        await asyncio.sleep(0.2)
