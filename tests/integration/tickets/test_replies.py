"""The second answer is refused, whoever writes it and however it comes about; its text is kept."""

from datetime import datetime, timedelta

import pytest

from services.tickets.domain.lease import FencedOff, LeaseHeld
from services.tickets.domain.reply import ThreadMoved, TurnTaken
from services.tickets.domain.window import WindowClosed
from shared.clock import SystemClock
from shared.errors import Forbidden, Invalid, NotFound
from shared.events.messages import Attachment
from shared.events.payload import Actor
from shared.events.tickets import ReplyQueued, Turn
from tests.support.answers import HOME, Answers, agent, bot
from tests.support.both import in_both_workspaces
from tests.support.floor import OTHER, Floor, message

ANN = agent("agt_ann")
BEN = agent("agt_ben")
LEA = agent("agt_lea", role="lead")
BOT = bot("echo")


@pytest.fixture
async def answers(floor: Floor) -> Answers:
    return await Answers(floor).open_both()


async def test_an_answer_is_queued_with_all_that_the_notifier_needs(answers: Answers) -> None:
    queued = await answers.write(ANN, "Hi  there", attachments=(Attachment(kind="image", url="https://x/1"),))
    assert (queued["state"], queued["seq"]) == ("queued", await answers.last_seq())
    acquired, told = await answers.heard()
    assert acquired.type == "lease.acquired.v1"
    assert isinstance(told.data, ReplyQueued)
    reply = told.data.reply
    given = message("m1", channel=f"chn_{HOME}")
    assert (reply.id, reply.correlation_id, reply.fence) == (queued["id"], queued["id"], queued["fence"])
    assert reply.turns == (Turn(message_id=given.id, after=None),)
    assert (reply.in_reply_to, reply.in_reply_to_external_id, reply.recipient_external_id) == (given.id, "m1", "c1")
    assert (reply.kind, reply.message_kind, reply.network, reply.text) == ("private", "dm", "api", "Hi  there")
    assert reply.author == Actor(kind="agent", id="agt_ann", name="Ann")


async def test_an_answer_takes_all_open_turns_up_to_what_its_writer_had_seen(answers: Answers) -> None:
    await answers.says("m2", text="And?")
    seen = await answers.last_seq()
    await answers.says("x1", text="Elsewhere", conversation_id="cnv_other")
    queued = await answers.write(
        ANN, seen=await answers.last_seq(), in_reply_to=message("m1", channel=f"chn_{HOME}").id
    )
    [told] = [event.data for event in await answers.heard() if isinstance(event.data, ReplyQueued)]
    assert [turn.message_id for turn in told.reply.turns] == [
        message("m1", channel=f"chn_{HOME}").id,
        message("m2", channel=f"chn_{HOME}").id,
    ]
    assert seen < queued["seq"]


@in_both_workspaces
async def test_a_customers_message_that_the_writer_has_not_seen_refuses_with_exactly_it(answers: Answers) -> None:
    seen = await answers.last_seq()
    await answers.says("m2", text="Wait!")
    await answers.mark()
    refusal = await answers.write(ANN, "Too late", seen=seen)
    assert isinstance(refusal, ThreadMoved)
    assert refusal.status == 409
    [missed] = refusal.fields["missed"]
    assert (missed["kind"], missed["text"], missed["seq"]) == ("message", "Wait!", refusal.fields["last_seq"])
    [draft] = await answers.drafts()
    assert (draft["id"], draft["text"], draft["reason"]) == (refusal.fields["draft_id"], "Too late", "thread-moved")
    assert await answers.told() == ["collision.prevented", "draft.kept"]
    assert await answers.ledger() == [("prevented", "thread-moved")]
    assert await answers.floor.rows("SELECT 1 FROM tickets.lease") == []


async def test_an_override_does_not_lift_what_was_not_seen(answers: Answers) -> None:
    seen = await answers.last_seq()
    await answers.says("m2")
    assert isinstance(await answers.write(LEA, seen=seen, override=True), ThreadMoved)


async def test_ones_own_answer_is_not_news_to_its_writer(answers: Answers) -> None:
    seen = await answers.last_seq()
    first = await answers.write(ANN, "One", seen=seen)
    await answers.sent(first["id"])
    assert (await answers.write(ANN, "Two", seen=seen))["state"] == "queued"


async def test_a_refusal_tried_again_keeps_one_draft(answers: Answers) -> None:
    seen = await answers.last_seq()
    await answers.says("m2")
    refusals = [await answers.write(ANN, "Same", seen=seen) for _ in range(3)]
    assert len({refusal.fields["draft_id"] for refusal in refusals}) == 1
    assert len(await answers.drafts()) == 1
    assert len(await answers.ledger()) == 3


async def test_more_than_the_ticket_has_cannot_have_been_seen(answers: Answers) -> None:
    assert isinstance(await answers.write(ANN, seen=99), Invalid)


async def test_whoever_does_not_hold_the_lease_is_refused_and_told_who_does(answers: Answers) -> None:
    held = await answers.lease(BEN)
    refusal = await answers.write(ANN, "Mine")
    assert isinstance(refusal, LeaseHeld)
    assert refusal.status == 423
    assert refusal.fields["holder"]["id"] == "agt_ben"
    assert refusal.fields["expires_at"] == held["expires_at"].isoformat()
    assert [draft["text"] for draft in await answers.drafts(reason="lease-held")] == ["Mine"]
    assert await answers.ledger() == [("prevented", "lease-held")]


async def test_an_outdated_fence_is_fenced_off_and_the_text_kept(answers: Answers) -> None:
    mine = await answers.lease(ANN)
    await answers.age(600)
    theirs = await answers.lease(BEN)
    refusal = await answers.write(ANN, "Old", fence=mine["fence"])
    assert isinstance(refusal, FencedOff)
    assert refusal.fields["holder"]["id"] == "agt_ben"
    assert theirs["fence"] > mine["fence"]
    assert [draft["reason"] for draft in await answers.drafts()] == ["fenced-off"]
    assert isinstance(await answers.write(ANN, "Old", fence=theirs["fence"]), FencedOff)


async def test_a_lease_that_ended_unnoticed_is_taken_anew_by_the_answer(answers: Answers) -> None:
    mine = await answers.lease(ANN)
    await answers.age(600)
    queued = await answers.write(ANN, fence=mine["fence"])
    assert queued["fence"] > mine["fence"]
    assert (await answers.told())[-3:] == ["lease.released", "lease.acquired", "reply.queued"]


async def test_an_answer_counts_as_activity(answers: Answers) -> None:
    mine = await answers.lease(ANN)
    await answers.age(20)
    queued = await answers.write(ANN, fence=mine["fence"])
    assert queued["fence"] == mine["fence"]
    beat = await answers.beat(ANN, mine["fence"])
    assert beat["expires_in_ms"] > 25_000


@pytest.mark.parametrize(
    ("fate", "expected"),
    [
        ("queued", TurnTaken),
        ("sent", ThreadMoved),
        ("failed", dict),
        ("cancelled", dict),
        ("unknown", TurnTaken),
    ],
)
@in_both_workspaces
async def test_a_second_writer_meets_the_first_ones_fate(answers: Answers, fate: str, expected: type) -> None:
    seen = await answers.last_seq()
    first = await answers.write(ANN, "First", seen=seen)
    await answers.release(ANN)
    await _befall(answers, fate, first["id"])
    second = await answers.write(BEN, "Second", seen=seen)
    assert isinstance(second, expected)
    if isinstance(second, TurnTaken):
        assert second.fields["answer"]["id"] == first["id"]
        assert (fate == "unknown") == ("outcome" in second.fields)


async def _befall(answers: Answers, fate: str, reply_id: str) -> None:
    match fate:
        case "sent":
            await answers.sent(reply_id)
        case "failed":
            await answers.failed(reply_id)
        case "unknown":
            await answers.lost(reply_id)
        case "cancelled":
            await answers.cancel(ANN, reply_id)
            await answers.held(reply_id, "cancelled")


async def test_an_unknown_answer_refuses_even_its_own_writer(answers: Answers) -> None:
    first = await answers.write(ANN)
    await answers.lost(first["id"])
    refusal = await answers.write(ANN)
    assert isinstance(refusal, TurnTaken)
    assert refusal.fields["outcome"] == f"/v1/replies/{first['id']}/outcome"


async def test_only_the_owner_or_the_earlier_writer_may_add_to_an_answered_turn(answers: Answers) -> None:
    first = await answers.write(ANN, "First")
    await answers.sent(first["id"])
    await answers.release(ANN)
    refusal = await answers.write(BEN, "Second")
    assert isinstance(refusal, TurnTaken)
    assert (refusal.fields["answer"]["id"], refusal.fields["answer"]["actor"]["id"]) == (first["id"], "agt_ann")
    assert (await answers.write(ANN, "More"))["state"] == "queued"
    await answers.release(ANN)
    await answers.own("agt_ben")
    await answers.floor.rows("UPDATE tickets.reply SET state = 'held' WHERE state = 'queued'")
    added = await answers.write(BEN, "I own it")
    assert added["state"] == "queued"
    [last] = [event.data for event in (await answers.heard())[-1:] if isinstance(event.data, ReplyQueued)]
    assert [turn.after for turn in last.reply.turns] == [first["id"]]


async def test_a_takeover_outdates_what_waits_so_that_the_next_answer_queues_behind(answers: Answers) -> None:
    first = await answers.write(ANN, "First")
    taken = await answers.take_over(LEA, mode="force")
    assert taken["fence"] > first["fence"]
    second = await answers.write(LEA, "Second", fence=taken["fence"])
    assert second["state"] == "queued"
    assert await answers.told() == [
        "lease.acquired",
        "reply.queued",
        "lease.revoked",
        "lease.acquired",
        "reply.queued",
    ]
    await answers.held(first["id"], "takeover")
    assert await answers.state(first["id"]) == "held"
    assert await answers.ledger() == [("prevented", "held")]


async def test_an_override_takes_a_permission_and_is_written_down(answers: Answers) -> None:
    await answers.lease(BEN)
    assert isinstance(await answers.write(ANN, override=True), Forbidden)
    queued = await answers.write(LEA, override=True)
    assert queued["state"] == "queued"
    assert await answers.ledger() == [("overridden", "lease-held")]
    revoked = [event.data.reason for event in await answers.heard() if event.type == "lease.revoked.v1"]
    assert revoked == ["override"]
    [over] = [event.data for event in await answers.heard() if event.type == "collision.overridden.v1"]
    assert (over.reply_id, over.other.id) == (queued["id"], "agt_ben")


async def test_an_override_lifts_a_taken_turn(answers: Answers) -> None:
    first = await answers.write(ANN)
    await answers.sent(first["id"])
    await answers.release(ANN)
    queued = await answers.write(LEA, override=True)
    assert queued["state"] == "queued"
    assert await answers.ledger() == [("overridden", "turn-taken")]
    [told] = [event.data for event in (await answers.heard()) if isinstance(event.data, ReplyQueued)][1:]
    assert told.reply.override


async def test_humans_preempt_bots_and_bots_wait(answers: Answers) -> None:
    automatic = await answers.write(BOT, "Beep")
    human = await answers.write(ANN, "Hello, Ann here")
    assert human["fence"] > automatic["fence"]
    revoked = [event.data.reason for event in await answers.heard() if event.type == "lease.revoked.v1"]
    assert revoked == ["preempted"]
    assert isinstance(await answers.write(BOT, "Beep"), LeaseHeld)


async def test_a_refused_answer_leaves_the_lease_as_it_was(answers: Answers) -> None:
    first = await answers.write(BOT)
    await answers.lost(first["id"])
    before = await answers.floor.rows("SELECT * FROM tickets.lease")
    assert isinstance(await answers.write(ANN), TurnTaken)
    assert await answers.floor.rows("SELECT * FROM tickets.lease") == before


def ago(**so_much: int) -> datetime:
    return SystemClock().now() - timedelta(**so_much)


async def test_a_closed_window_is_named_with_its_deadline(floor: Floor) -> None:
    answers = await Answers(floor, network="facebook").open(occurred_at=ago(days=8))
    refusal = await answers.write(ANN)
    assert isinstance(refusal, WindowClosed)
    assert refusal.status == 422
    assert datetime.fromisoformat(refusal.fields["deadline"]) < SystemClock().now()
    assert await floor.rows("SELECT 1 FROM tickets.lease") == []
    assert (await answers.write(ANN, template="hello"))["state"] == "queued"


async def test_bots_have_the_shorter_window(floor: Floor) -> None:
    answers = await Answers(floor, network="facebook").open(occurred_at=ago(days=2))
    assert isinstance(await answers.write(BOT), WindowClosed)
    assert (await answers.write(ANN))["state"] == "queued"


async def test_a_private_window_is_open_since_the_customers_last_message(floor: Floor) -> None:
    answers = await Answers(floor, network="facebook").open(occurred_at=ago(days=8))
    await answers.says("m2", occurred_at=ago(days=1))
    first = message("m1", channel=f"chn_{HOME}").id
    assert (await answers.write(ANN, in_reply_to=first))["state"] == "queued"


async def test_a_longer_text_than_the_network_takes_is_refused(floor: Floor) -> None:
    answers = await Answers(floor, network="facebook").open(occurred_at=ago(hours=1))
    refusal = await answers.write(ANN, "x" * 9000)
    assert isinstance(refusal, Invalid)
    assert refusal.fields["limit"] < 9000


async def test_what_is_not_a_message_of_this_customer_cannot_be_answered(answers: Answers) -> None:
    assert isinstance(await answers.write(ANN, in_reply_to="msg_nothing"), Invalid)


async def test_nothing_can_be_answered_in_another_workspace(answers: Answers) -> None:
    other = agent("agt_eve", workspace=OTHER)
    assert isinstance(await answers.write(other, seen=1), NotFound)
    assert isinstance(await answers.lease(other), NotFound)


async def test_a_key_for_other_teams_does_not_see_the_ticket(answers: Answers) -> None:
    assert isinstance(await answers.write(agent("agt_pia", only=["product"]), seen=1), NotFound)
