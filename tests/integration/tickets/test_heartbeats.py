"""Heartbeats that go out together: each keeps its own lease, and none waits for, or fails with, another."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from services.tickets.domain.lease import FencedOff
from services.tickets.store import leases
from services.tickets.store.leases import Heartbeat
from shared.db.scope import Workspace
from shared.web.auth import Principal
from tests.support.answers import HOME, Answers, agent
from tests.support.floor import AT, OTHER, Floor, at_once, message, routed

CROWD = [agent(f"agt_{n:02}") for n in range(12)]
ANN, BEN = CROWD[:2]


@pytest.fixture
async def answers(wide_floor: Floor) -> Answers:
    return await Answers(wide_floor).open_both()


async def held(answers: Answers) -> dict[str, tuple[Principal, int]]:
    """A ticket of their own for each of the crowd, with its lease."""
    for number, _ in enumerate(CROWD):
        item = message(f"n{number}", channel=f"chn_{HOME}", author=f"p{number}", network="api", occurred_at=AT)
        await answers.floor.deliver(routed(item))
    rows = await answers.floor.rows("SELECT id FROM tickets.ticket WHERE id <> $1 ORDER BY id", answers.ticket_id)
    return {
        row["id"]: (who, (await answers.lease(who, ticket=row["id"]))["fence"])
        for row, who in zip(rows, CROWD, strict=True)
    }


def beats(answers: Answers, crowd: dict[str, tuple[Principal, int]]) -> list[Callable[[], Awaitable[Any]]]:
    return [
        lambda ticket=ticket, who=who, fence=fence: answers.heart.beat(who, ticket, fence=fence, active=True)
        for ticket, (who, fence) in crowd.items()
    ]


async def test_each_of_many_keeps_its_own_lease_and_fence(answers: Answers) -> None:
    crowd = await held(answers)
    await answers.age(20)
    kept = await at_once(beats(answers, crowd))
    for (who, fence), shown in zip(crowd.values(), kept, strict=True):
        assert (shown["fence"], shown["holder"].id) == (fence, who.id)
        assert shown["expires_in_ms"] > 29_000


async def test_a_lease_that_somebody_has_locked_makes_no_other_wait(answers: Answers) -> None:
    crowd = await held(answers)
    [first, *_] = crowd
    async with answers.floor.database.transaction(Workspace(HOME), schema="tickets") as tx:
        await tx.fetch(
            "SELECT FROM tickets.lease l JOIN tickets.ticket t ON l.scope = t.customer_id WHERE t.id = $1 "
            "FOR UPDATE OF l",
            first,
        )
        async with asyncio.timeout(2):
            kept = await at_once(beats(answers, crowd))
    assert [shown is None for shown in kept] == [ticket == first for ticket in crowd]


async def test_whoever_lost_the_lease_is_told_alone_and_no_other_loses_it(answers: Answers) -> None:
    crowd = await held(answers)
    [first, second, *_] = crowd
    await answers.take_over(agent("agt_lea", role="lead"), mode="force", ticket=first)
    await answers.floor.rows(
        "UPDATE tickets.lease SET expires_at = now() WHERE scope = (SELECT customer_id FROM tickets.ticket WHERE id = $1)",
        second,
    )
    kept = await at_once(beats(answers, crowd))
    assert [shown is None for shown in kept] == [ticket in (first, second) for ticket in crowd]


async def test_what_no_database_takes_fails_nobody_else(answers: Answers) -> None:
    crowd = await held(answers)
    mixed = [*beats(answers, crowd), lambda: answers.heart.beat(ANN, "tkt_\0", fence=1, active=False)]
    given = await at_once(mixed)
    assert given == [None] * len(mixed)
    assert None not in await at_once(beats(answers, crowd))


async def test_of_one_lease_all_at_once_are_one_sign_of_life_and_activity_counts(answers: Answers) -> None:
    mine = await answers.lease(ANN)
    await answers.age(20)
    fence = mine["fence"]
    both = await at_once(
        [
            lambda: answers.heart.beat(ANN, answers.ticket_id, fence=fence, active=True),
            lambda: answers.heart.beat(ANN, answers.ticket_id, fence=fence, active=False),
        ]
    )
    assert both[0] == both[1]
    assert both[0]["fence"] == fence
    [row] = await answers.floor.rows("SELECT clock_timestamp() - active_at AS idle FROM tickets.lease")
    assert row["idle"].total_seconds() < 10


async def test_two_tickets_of_one_customer_share_a_lease(answers: Answers) -> None:
    await answers.write(ANN)
    await answers.floor.rows("UPDATE tickets.ticket SET state = 'resolved', resolved_at = now() - interval '1 year'")
    await answers.says("m2", conversation_id="cnv_new")
    [newer] = await answers.floor.rows("SELECT id FROM tickets.ticket WHERE id <> $1", answers.ticket_id)
    [row] = await answers.floor.rows("SELECT fence FROM tickets.lease")
    asked = [Heartbeat(ticket, ANN.id, row["fence"], False) for ticket in (answers.ticket_id, newer["id"])]
    async with answers.floor.database.transaction(Workspace(HOME), schema="tickets") as tx:
        given = await leases.beat_many(tx, asked)
    assert sorted(beat is None for beat in given) == [False, True]


async def test_nobody_keeps_a_lease_of_another_workspace(answers: Answers) -> None:
    mine = await answers.lease(ANN)
    stranger = agent(ANN.id, workspace=OTHER)
    assert await answers.heart.beat(stranger, answers.ticket_id, fence=mine["fence"], active=True) is None
    assert isinstance(await answers.beat(stranger, mine["fence"]), Exception)
    assert (await answers.beat(ANN, mine["fence"]))["fence"] == mine["fence"]


async def test_fenced_off_is_what_comes_of_a_heartbeat_that_waited_for_the_takeover(answers: Answers) -> None:
    mine = await answers.lease(ANN)
    lea = agent("agt_lea", role="lead")
    for _ in range(8):
        taken, beat = await at_once(
            [
                lambda: answers.take_over(lea, mode="force"),
                lambda fence=mine["fence"]: answers.beat(ANN, fence),
            ]
        )
        assert isinstance(beat, FencedOff) or beat["fence"] < taken["fence"]
        assert isinstance(await answers.beat(ANN, mine["fence"]), FencedOff)
        await answers.release(lea, fence=taken["fence"])
        mine = await answers.lease(ANN)
