"""Applying routed messages to tickets: our batches, and the same rows one message at a time through the ORM."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from services.tickets.handlers.ledger import Desk
from services.tickets.handlers.routed import on_routed
from services.tickets.settings import TicketsSettings
from shared import ids
from shared.db.pool import Database
from shared.db.scope import Batch, Workspace
from shared.events import envelope
from shared.events.envelope import Event
from shared.events.routing import Decision, MessageRouted
from shared.platform.store import agents, teams, workspaces
from shared.telemetry.metrics import Metrics
from tests.load import orm
from tests.load.report import Check, Part, Row
from tests.load.stage import Stage
from tests.support.messages import message

OURS: Final = "wsp_ours"
ORM: Final = "wsp_orm"
TEAMS: Final = ("care", "product", "community")
AGENTS: Final = 30
PER_CUSTOMER: Final = 5
BLOCK: Final = 1_000
"""Messages of one block are shuffled: a customer's come close together, but not at once."""

TASKS: Final = (1, 8)
"""The ORM's workers; the better number counts."""


async def run(lab: Stage) -> Part:
    """Every fifth message opens a ticket and is assigned; the others join one. Same tables, same events."""
    part = Part(name="apply", title="Applying routed messages to tickets")
    async with lab.database(size=8) as (dsn, database):
        for workspace in (OURS, ORM):
            await _staff(database, workspace)
        batch = TicketsSettings.load().tickets_batch
        ours = await _ours(database, batch, seconds=lab.seconds)
        part.rows.append(Row(name=f"batches of {batch}", kind="ours", figures=ours))
        async with orm.sessions(dsn, max(TASKS)) as factory:
            first = 0
            for tasks in TASKS:
                usual = await _orm(factory, database, tasks, first=first, seconds=lab.seconds / 2)
                first += int(usual["messages"])
                part.rows.append(Row(name=f"ORM, one by one, {tasks} at once", kind="alternative", figures=usual))
        wrong = [await _wrong(database, OURS, int(ours["messages"])), await _wrong(database, ORM, first)]
    best = max(float(row.figures["messages/s"]) for row in part.rows if row.kind == "alternative")
    part.checks += [
        Check(what="times the ORM", value=float(ours["messages/s"]) / best, target=10),
        Check(what="messages not on exactly one ticket", value=wrong[0], target=0, at_least=False),
        Check(what="the same of the ORM", value=wrong[1], target=0, at_least=False),
    ]
    return part


async def _staff(database: Database, workspace: str) -> None:
    async with database.transaction(Workspace(workspace)) as tx:
        await workspaces.create(tx, workspace, name=workspace)
        for number in range(AGENTS):
            agent = f"agt_{workspace}_{number}"
            await agents.create(tx, workspace, agent_id=agent, name=f"Agent {number}", capacity=1_000_000)
            await teams.add_member(tx, workspace, TEAMS[number % len(TEAMS)], agent)


def events(workspace: str) -> Iterator[Event]:
    """Routed messages without end, the same for both."""
    chance = random.Random(7)
    at = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
    block = 0
    while True:
        customers = [block * BLOCK // PER_CUSTOMER + number // PER_CUSTOMER for number in range(BLOCK)]
        chance.shuffle(customers)
        for number, customer in enumerate(customers):
            yield _event(workspace, f"{block * BLOCK + number}", customer, at)
        block += 1


def _event(workspace: str, external_id: str, customer: int, at: datetime) -> Event:
    given = message(
        external_id,
        workspace=workspace,
        channel=f"chn_{workspace}",
        author=f"c{customer}",
        text=f"Where is my order {external_id}? It has been a week and nobody answers.",
    )
    event_id = ids.digest("evt", workspace, external_id)
    decision = Decision(
        id=ids.digest("dec", event_id),
        outcome="route",
        rule="questions",
        ruleset_version=1,
        team=TEAMS[customer % len(TEAMS)],
        tags=("question",),
    )
    data = MessageRouted(workspace_id=workspace, verb="received", event_id=event_id, message=given, decision=decision)
    key = f"{workspace}:{given.channel_id}:{given.conversation_id}"
    return envelope.new(data, event_id=ids.digest("evt", "routed", event_id), key=key, time=at)


async def _ours(database: Database, size: int, *, seconds: float) -> dict[str, float | str]:
    desk = Desk(ids=database.ids, metrics=Metrics())
    source = events(OURS)
    # Prepared beforehand: the consumer decodes in any case, and that is not what is compared here.
    batches = [[next(source) for _ in range(size)] for _ in range(round(seconds * 8_000 / size))]
    applied = 0
    started, used = time.perf_counter(), time.process_time()
    for batch in batches:
        async with database.transaction(Batch(frozenset({OURS})), schema="tickets") as tx:
            await on_routed(tx, batch, desk=desk)
        applied += len(batch)
        if time.perf_counter() - started > seconds:
            break
    return _figures(applied, time.perf_counter() - started, time.process_time() - used)


async def _orm(
    factory: orm.Factory, database: Database, tasks: int, *, first: int, seconds: float
) -> dict[str, float | str]:
    source = events(ORM)
    given = [next(source) for _ in range(first + round(seconds * 1_500))][first:]
    # One customer's messages go to one worker, in order: what a queue keyed by customer gives.
    shares: list[list[Event]] = [[] for _ in range(tasks)]
    for event in given:
        assert isinstance(event.data, MessageRouted)
        author = event.data.message.author
        shares[hash(author.external_id if author else "") % tasks].append(event)
    done: list[str] = []
    started, used = time.perf_counter(), time.process_time()
    worker = _worker(factory, database, done, until=started + seconds)
    async with asyncio.TaskGroup() as group:
        for share in shares:
            group.create_task(worker(share))
    return _figures(len(done), time.perf_counter() - started, time.process_time() - used)


def _worker(
    factory: orm.Factory, database: Database, done: list[str], *, until: float
) -> Callable[[Sequence[Event]], Coroutine[None, None, None]]:
    async def work(share: Sequence[Event]) -> None:
        for event in share:
            async with factory() as session, session.begin():
                await orm.apply(session, event, topology=database.topology, new=database.ids.new)
            done.append(event.id)
            if time.perf_counter() > until:
                return

    return work


def _figures(count: int, took: float, used: float) -> dict[str, float | str]:
    return {"messages/s": count / took, "messages": count, "CPU µs/message": used / count * 1e6}


async def _wrong(database: Database, workspace: str, expected: int) -> int:
    """Messages that were applied and are not on one ticket with a line in its timeline and a turn."""
    async with database.pool.acquire() as connection:
        right = await connection.fetchval(
            "SELECT count(*) FROM tickets.message m JOIN tickets.ticket t ON t.id = m.ticket_id "
            "JOIN tickets.entry e ON e.ticket_id = t.id AND e.message_id = m.id JOIN tickets.turn u ON u.message_id = m.id "
            "WHERE m.workspace_id = $1 AND t.owner_id IS NOT NULL",
            workspace,
        )
    return abs(expected - int(right))
