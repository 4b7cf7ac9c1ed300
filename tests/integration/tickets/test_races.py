"""Fifty at once in each of two workspaces, on fifty connections: one holder, one answer, and no text lost."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from services.tickets.domain.lease import FencedOff, LeaseHeld
from services.tickets.domain.reply import ThreadMoved, TurnTaken
from services.tickets.handlers import joining
from services.tickets.handlers.joining import Evidence
from shared.db.scope import Owner
from shared.errors import Refusal
from tests.support.answers import Answers, agent, bot
from tests.support.both import check_apart, in_both_workspaces
from tests.support.floor import AT, Floor, at_once, routed

CROWD = [agent(f"agt_{n:02}") for n in range(50)]
ANN, BEN = CROWD[:2]
LEA = agent("agt_lea", role="lead")

ROUNDS = 8
"""In each workspace."""


@pytest.fixture
async def answers(wide_floor: Floor) -> Answers:
    return await Answers(wide_floor).open_both()


async def both(first: Callable[[], Awaitable[Any]], second: Callable[[], Awaitable[Any]]) -> tuple[Any, Any]:
    """Two things at the same moment, either of which may come first."""
    one, two = await at_once([first, second])
    return one, two


@in_both_workspaces
async def test_of_fifty_who_want_the_lease_one_gets_it_and_fences_only_grow(answers: Answers) -> None:
    fences = []
    for _ in range(4):
        results = await at_once([lambda who=who: answers.lease(who) for who in CROWD])
        won = [result for result in results if isinstance(result, dict)]
        assert len(won) == 1
        assert sum(isinstance(result, LeaseHeld) for result in results) == 49
        fences.append(won[0]["fence"])
        await answers.age(31)
    assert fences == sorted(set(fences))
    acquired = [event.data.lease.fence for event in await answers.heard() if event.type == "lease.acquired.v1"]
    assert acquired == fences


@in_both_workspaces
async def test_of_fifty_who_answer_one_is_queued_and_every_other_text_is_kept(answers: Answers) -> None:
    seen = await answers.last_seq()
    results = await at_once([lambda who=who: answers.write(who, f"By {who.id}", seen=seen) for who in CROWD])
    queued = [result for result in results if isinstance(result, dict)]
    refused = [result for result in results if isinstance(result, Refusal)]
    assert (len(queued), len(refused)) == (1, 49)
    assert all(isinstance(refusal, LeaseHeld) for refusal in refused)
    [winner] = await answers.floor.rows("SELECT text FROM tickets.reply")
    kept = {draft["text"] for draft in await answers.drafts()}
    assert kept | {winner["text"]} == {f"By {who.id}" for who in CROWD}
    assert len(kept) == 49
    assert (await answers.told()).count("reply.queued") == 1
    assert await answers.ledger() == [("prevented", "lease-held")] * 49


@in_both_workspaces
async def test_of_fifty_who_answer_without_any_lease_one_is_queued(answers: Answers) -> None:
    first = await answers.write(ANN, "First")
    await answers.release(ANN)
    results = await at_once([lambda who=who: answers.write(who, f"By {who.id}") for who in CROWD[1:]])
    assert all(isinstance(result, TurnTaken) for result in results)
    await answers.failed(first["id"])
    results = await at_once([lambda who=who: answers.write(who, f"By {who.id}") for who in CROWD])
    assert sum(isinstance(result, dict) for result in results) == 1


@in_both_workspaces
async def test_a_lease_is_either_renewed_or_taken_at_its_end_never_both(answers: Answers) -> None:
    await answers.choose(lease_ttl=40)
    outcomes = set()
    for delay in range(ROUNDS):
        mine = await answers.lease(ANN)
        await asyncio.sleep(0.03 + delay / 500)
        beat, taken = await both(lambda mine=mine: answers.beat(ANN, mine["fence"]), lambda: answers.lease(BEN))
        assert isinstance(beat, dict) != isinstance(taken, dict) or isinstance(beat, FencedOff)
        if isinstance(taken, dict):
            assert isinstance(beat, FencedOff)
            assert taken["fence"] > mine["fence"]
        outcomes.add(type(beat).__name__)
        await answers.age(60)
    assert outcomes


@in_both_workspaces
async def test_what_was_queued_before_a_takeover_precedes_it_in_the_tickets_order(answers: Answers) -> None:
    outcomes = set()
    for number in range(ROUNDS):
        mine = await answers.lease(ANN)
        await answers.mark()
        wrote, taken = await both(
            lambda mine=mine, number=number: answers.write(ANN, f"Text {number}", fence=mine["fence"]),
            lambda: answers.take_over(LEA, mode="force"),
        )
        assert taken["fence"] > mine["fence"]
        told = await answers.told()
        outcomes.add(type(wrote).__name__)
        if isinstance(wrote, dict):
            assert told.index("reply.queued") < told.index("lease.revoked")
            assert wrote["fence"] == mine["fence"]
            await answers.held(wrote["id"], "takeover")
        else:
            assert isinstance(wrote, FencedOff)
            assert "reply.queued" not in told
        await answers.release(LEA)
    assert len(await answers.drafts()) == ROUNDS
    assert outcomes <= {"dict", "FencedOff"}


@in_both_workspaces
async def test_an_answer_is_either_queued_before_a_customers_message_or_refused(answers: Answers) -> None:
    for number in range(ROUNDS):
        seen = await answers.last_seq()
        wrote, _ = await both(
            lambda seen=seen, number=number: answers.write(ANN, f"Text {number}", seen=seen),
            lambda number=number: answers.says(f"n{number}"),
        )
        [arrived] = await answers.floor.rows("SELECT seq FROM tickets.message WHERE external_id = $1", f"n{number}")
        if isinstance(wrote, dict):
            assert wrote["seq"] < arrived["seq"]
            await answers.sent(wrote["id"], f"x{number}")
        else:
            assert isinstance(wrote, ThreadMoved)
            assert [missed["seq"] for missed in wrote.fields["missed"]] == [arrived["seq"]]


@in_both_workspaces
async def test_an_answer_is_either_queued_before_a_native_one_or_refused(answers: Answers) -> None:
    for number in range(ROUNDS):
        await answers.says(f"n{number}", text=f"Question {number}")
        seen = await answers.last_seq()
        native = answers.shows(f"e{number}", text=f"Native {number}")
        await answers.mark()
        wrote, _ = await both(
            lambda seen=seen, number=number: answers.write(ANN, f"Ours {number}", seen=seen),
            lambda native=native: answers.floor.deliver(native),
        )
        assert (await answers.turns())[f"Question {number}"] == native.data.message.id
        if isinstance(wrote, dict):
            told = await answers.told()
            assert told.index("reply.queued") < told.index("answer.detected") < told.index("reply.cancelled")
            await answers.held(wrote["id"], "turn-taken")
        else:
            assert isinstance(wrote, ThreadMoved)
    assert len(await answers.drafts()) == ROUNDS


@in_both_workspaces
async def test_after_a_takeover_no_heartbeat_of_the_old_holder_passes(answers: Answers) -> None:
    mine = await answers.lease(ANN)
    works: list[Callable[[], Awaitable[Any]]] = [lambda: answers.take_over(LEA, mode="force")]
    works += [lambda: answers.beat(ANN, mine["fence"], active=True)] * 30
    taken, *_ = await at_once(works)
    assert isinstance(await answers.beat(ANN, mine["fence"]), FencedOff)
    assert isinstance(await answers.lease(ANN), LeaseHeld)
    assert (await answers.beat(LEA, taken["fence"]))["fence"] == taken["fence"]


@in_both_workspaces
async def test_bots_and_humans_at_once_leave_one_answer_that_may_leave(answers: Answers) -> None:
    writers = [bot(f"bot{n}") for n in range(10)] + CROWD[:10]
    results = await at_once([lambda who=who: answers.write(who, f"By {who.id}") for who in writers])
    queued = {result["fence"]: who.id for result, who in zip(results, writers, strict=True) if isinstance(result, dict)}
    [lease] = await answers.floor.rows("SELECT holder_id, holder_kind, fence FROM tickets.lease")
    assert (lease["holder_kind"], lease["fence"]) == ("agent", max(queued))
    revoked = {event.data.lease.fence for event in await answers.heard() if event.type == "lease.revoked.v1"}
    assert set(queued) - revoked == {lease["fence"]}
    assert len(queued) <= 2
    assert len(await answers.drafts()) == 20 - len(queued)


@in_both_workspaces
async def test_linking_while_both_sides_answer_loses_no_text(answers: Answers) -> None:
    floor = answers.floor
    for number in range(4):
        name = f"twin{number}"
        given = floor.message(name, author=name, network="api", occurred_at=AT)
        await floor.deliver(routed(given))
        [second] = await floor.rows(
            "SELECT t.* FROM tickets.ticket t JOIN tickets.message m ON m.ticket_id = t.id WHERE m.external_id = $1",
            name,
        )
        seen = await answers.last_seq()

        async def link(second: dict[str, Any] = second) -> Any:
            lea, proof = answers.here(LEA), Evidence(kind="email")
            return await answers.attempt(
                lea,
                lambda tx: joining.link(
                    tx, floor.desk, lea, answers.customer_id, other=second["customer_id"], evidence=proof
                ),
            )

        ours, theirs, linked = await at_once(
            [
                lambda seen=seen: answers.write(ANN, f"Ours {seen}", seen=seen),
                lambda second=second, seen=seen: answers.write(
                    BEN, f"Theirs {seen}", ticket=second["id"], seen=second["last_seq"]
                ),
                link,
            ]
        )
        assert not isinstance(linked, Refusal)
        source = [event.type for event in await floor.events() if event.key == second["id"]]
        if isinstance(theirs, dict):
            assert source.index("reply.queued.v1") < source.index("reply.cancelled.v1")
            await answers.held(theirs["id"], "linked")
        else:
            assert isinstance(theirs, ThreadMoved)
        if isinstance(ours, dict):
            await answers.sent(ours["id"], f"x{number}")
        await answers.release(ANN)
    texts = [draft["text"] for draft in await answers.drafts()]
    assert sum(text.startswith("Theirs") for text in texts) == 4


@in_both_workspaces
async def test_of_two_who_settle_an_unknown_answer_one_is_believed(answers: Answers) -> None:
    queued = await answers.write(ANN)
    await answers.lost(queued["id"])
    one, two = await both(
        lambda: answers.settle(ANN, queued["id"], was_sent=True),
        lambda: answers.settle(LEA, queued["id"], was_sent=False),
    )
    assert isinstance(one, dict) != isinstance(two, dict)
    assert (await answers.told()).count("reply.settled") == 2


async def test_without_presence_the_second_answer_is_refused_all_the_same(answers: Answers) -> None:
    async with answers.floor.database.transaction(Owner()) as tx:
        await tx.execute("ALTER TABLE tickets.presence RENAME TO gone")
    await at_once([partial(_is_refused_all_the_same, there) for there in (answers, answers.elsewhere)])
    async with answers.floor.database.transaction(Owner()) as tx:
        await tx.execute("ALTER TABLE tickets.gone RENAME TO presence")
    await check_apart(answers.floor)


async def _is_refused_all_the_same(answers: Answers) -> None:
    first, second = await answers.write(ANN), await answers.write(BEN)
    assert first["state"] == "queued"
    assert isinstance(second, LeaseHeld)
    [draft] = await answers.drafts()
    assert draft["agent_id"] == BEN.id
