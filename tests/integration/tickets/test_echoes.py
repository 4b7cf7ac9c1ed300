"""Outbound items of networks: our own replies are recognized, and answers from the network's own app are found."""

from datetime import timedelta
from typing import Any

import pytest

from services.tickets.domain.reply import ThreadMoved, TurnTaken
from services.tickets.handlers.ledger import Desk
from shared.events.payload import Actor
from shared.events.tickets import AnswerDetected, EchoMatched
from tests.support.answers import HOME, Answers, agent
from tests.support.both import in_both_workspaces
from tests.support.clock import WrongIds
from tests.support.floor import AT, Floor, message, routed

ANN = agent("agt_ann")
BEN = agent("agt_ben")


@pytest.fixture
async def answers(floor: Floor) -> Answers:
    return await Answers(floor).open_both()


async def seen(answers: Answers, *events: Any) -> list[str]:
    await answers.mark()
    await answers.floor.deliver(*events)
    return await answers.told()


def matched(events: list[Any]) -> list[tuple[str, str]]:
    return [(e.data.reply_id, e.data.external_id) for e in events if isinstance(e.data, EchoMatched)]


@in_both_workspaces
async def test_an_echo_with_our_correlation_id_is_our_own(answers: Answers) -> None:
    queued = await answers.write(ANN, "Hi")
    told = await seen(answers, answers.shows("e1", text="anything", correlation_id=queued["id"]))
    assert told == ["echo.matched"]
    assert matched(await answers.heard()) == [(queued["id"], "e1")]
    await answers.sent(queued["id"], "e1")
    assert await answers.turns() == {"Hello": queued["id"]}
    assert await answers.ledger() == []


async def test_what_bears_the_ids_of_another_workspaces_answer_is_native_here(answers: Answers) -> None:
    there = answers.elsewhere
    queued = await answers.write(ANN, "Hi")
    await answers.sent(queued["id"], "e1")
    native = there.shows("e1", text="Hi", correlation_id=queued["id"])
    assert await seen(there, native) == ["answer.detected"]
    assert (await there.turns(), await there.ledger()) == ({"Hello": native.data.message.id}, [])
    assert (await answers.turns(), await answers.ledger()) == ({"Hello": queued["id"]}, [])


@in_both_workspaces
async def test_an_echo_settles_an_unknown_reply_through_the_notifier(answers: Answers) -> None:
    queued = await answers.write(ANN, "Hi")
    await answers.lost(queued["id"])
    assert await seen(answers, answers.shows("e1", text="", correlation_id=queued["id"])) == ["echo.matched"]
    assert await answers.state(queued["id"]) == "unknown"
    await answers.sent(queued["id"], "e1")
    assert await answers.state(queued["id"]) == "sent"


@in_both_workspaces
async def test_an_echo_of_what_was_sent_under_that_name_is_taken_silently(answers: Answers) -> None:
    queued = await answers.write(ANN, "Hi")
    await answers.sent(queued["id"], "e1")
    lines = await answers.last_seq()
    assert await seen(answers, answers.shows("e1", text="Hi")) == []
    assert await answers.last_seq() == lines
    assert await answers.ledger() == []


@in_both_workspaces
async def test_an_echo_names_a_reply_to_which_the_network_gave_no_name(answers: Answers) -> None:
    queued = await answers.write(ANN, "Hi &amp; bye")
    await answers.sent(queued["id"], None)
    assert await seen(answers, answers.shows("e1", text="HI  & bye")) == ["echo.matched"]
    [row] = await answers.floor.rows("SELECT external_id FROM tickets.reply")
    assert row["external_id"] == "e1"
    assert "collision.happened" in await seen(answers, answers.shows("e2", text="Hi & bye"))


@in_both_workspaces
async def test_an_echo_before_the_sends_answer_waits_and_is_then_matched(answers: Answers) -> None:
    queued = await answers.write(ANN, "Hi there")
    assert await seen(answers, answers.shows("e1", text="hi  there ")) == ["reply.cancelled"]
    [cancelled] = await answers.heard()
    assert cancelled.data.reason == "echo"
    await answers.mark()
    await answers.sent(queued["id"], "e1")
    assert await answers.told() == ["reply.settled", "echo.matched"]
    assert await answers.floor.rows("SELECT 1 FROM tickets.echo") == []
    assert await answers.ledger() == []


@in_both_workspaces
async def test_an_echo_that_waits_names_a_reply_sent_without_a_name(answers: Answers) -> None:
    queued = await answers.write(ANN, "Hi there")
    await answers.floor.deliver(answers.shows("e1", text="Hi there"))
    await answers.sent(queued["id"], None)
    assert matched(await answers.heard()) == [(queued["id"], "e1")]
    [row] = await answers.floor.rows("SELECT external_id FROM tickets.reply")
    assert row["external_id"] == "e1"


@in_both_workspaces
async def test_an_echo_that_waits_matches_a_reply_that_became_unknown(answers: Answers) -> None:
    queued = await answers.write(ANN, "Hi there")
    await answers.floor.deliver(answers.shows("e1", text="Hi there"))
    await answers.lost(queued["id"])
    assert matched(await answers.heard()) == [(queued["id"], "e1")]


@in_both_workspaces
async def test_the_same_words_under_another_name_were_a_native_answer(answers: Answers) -> None:
    queued = await answers.write(ANN, "Hi there")
    await answers.floor.deliver(answers.shows("e1", text="Hi there"))
    await answers.mark()
    await answers.sent(queued["id"], "e2")
    assert await answers.told() == ["reply.settled", "answer.detected", "collision.happened", "lease.revoked"]
    assert await answers.turns() == {"Hello": queued["id"]}
    assert await answers.ledger() == [("happened", "native-answer")]


@pytest.mark.parametrize("fate", ["held", "failed"])
@in_both_workspaces
async def test_the_same_words_are_a_native_answer_if_ours_did_not_leave(answers: Answers, fate: str) -> None:
    queued = await answers.write(ANN, "Hi there")
    native = answers.shows("e1", text="Hi there")
    await answers.floor.deliver(native)
    await (answers.held(queued["id"], "echo") if fate == "held" else answers.failed(queued["id"]))
    assert await answers.turns() == {"Hello": native.data.message.id}
    assert [draft["text"] for draft in await answers.drafts()] == ["Hi there"]
    assert await answers.floor.rows("SELECT 1 FROM tickets.echo") == []
    [item] = await answers.floor.rows("SELECT seq FROM tickets.message WHERE direction = 'out'")
    [line] = await answers.floor.rows("SELECT seq FROM tickets.entry WHERE kind = 'native'")
    assert item == line


async def test_a_second_item_with_the_same_words_does_not_wait_for_the_same_reply(answers: Answers) -> None:
    await answers.write(ANN, "Hi there")
    first, second = answers.shows("e1", text="Hi there"), answers.shows("e2", text="Hi there")
    await answers.floor.deliver(first, second)
    assert len(await answers.floor.rows("SELECT 1 FROM tickets.echo")) == 1
    assert await answers.turns() == {"Hello": second.data.message.id}


@in_both_workspaces
async def test_a_native_answer_takes_the_turns_ends_the_lease_and_stops_what_waits(answers: Answers) -> None:
    queued = await answers.write(ANN, "Mine")
    before = await answers.last_seq()
    native = answers.shows("e1", text="From the app")
    assert await seen(answers, native) == ["answer.detected", "reply.cancelled", "lease.revoked"]
    detected, cancelled, revoked = [event.data for event in await answers.heard()]
    assert isinstance(detected, AnswerDetected)
    given = answers.floor.message("m1")
    assert (detected.message_id, detected.turns) == (native.data.message.id, (given.id,))
    assert (cancelled.reply_id, cancelled.reason) == (queued["id"], "turn-taken")
    assert (revoked.reason, revoked.lease.fence, revoked.lease.holder.id) == (
        "answer-detected",
        queued["fence"],
        "agt_ann",
    )
    assert (await answers.floor.ticket())["waiting_since"] is None
    refusal = await answers.write(BEN, seen=before)
    assert isinstance(refusal, ThreadMoved)
    assert [missed["kind"] for missed in refusal.fields["missed"]] == ["native"]
    assert isinstance(await answers.write(BEN), TurnTaken)
    await answers.held(queued["id"], "turn-taken")
    assert await answers.ledger() == [
        ("prevented", "thread-moved"),
        ("prevented", "turn-taken"),
        ("prevented", "held"),
    ]


async def test_what_waited_under_a_lease_that_a_native_answer_ended_is_outdated(answers: Answers) -> None:
    queued = await answers.write(ANN)
    await answers.floor.deliver(answers.shows("e1", text="From the app"))
    await answers.floor.rows("UPDATE tickets.ticket SET owner_id = 'agt_ben'")
    second = await answers.write(BEN, "I own it")
    assert second["fence"] > queued["fence"] + 1


async def test_a_native_answer_beside_ours_is_owned_up_to(answers: Answers) -> None:
    queued = await answers.write(ANN)
    await answers.sent(queued["id"], "x1")
    await seen(answers, answers.shows("e1", text="Also me"))
    happened = [event.data for event in await answers.heard() if event.type == "collision.happened.v1"]
    assert [(line.reply_id, line.kind) for line in happened] == [(queued["id"], "native-answer")]
    assert await answers.turns() == {"Hello": queued["id"]}


@in_both_workspaces
async def test_a_reply_that_was_leaving_when_a_native_answer_was_found_is_owned_up_to(answers: Answers) -> None:
    queued = await answers.write(ANN, "Ours")
    native = answers.shows("e1", text="Theirs")
    await answers.floor.deliver(native)
    await answers.mark()
    await answers.sent(queued["id"], "x1")
    assert await answers.told() == ["reply.settled", "collision.happened"]
    assert await answers.turns() == {"Hello": queued["id"]}
    assert await answers.ledger() == [("happened", "native-answer")]


async def test_an_echo_of_a_reply_that_we_took_for_failed_takes_the_turns(answers: Answers) -> None:
    queued = await answers.write(ANN, "Hi")
    await answers.failed(queued["id"])
    told = await seen(answers, answers.shows("e1", text="Hi", correlation_id=queued["id"]))
    assert told == ["answer.detected", "lease.revoked"]
    assert list((await answers.turns()).values()) != [None]


async def test_a_native_answer_takes_no_turn_of_what_was_written_after_it(answers: Answers) -> None:
    native = answers.shows("e1", text="From the app")
    await answers.says("m2", text="And?")
    await answers.floor.deliver(native)
    assert await answers.turns() == {"Hello": native.data.message.id, "And?": None}
    assert (await answers.floor.ticket())["waiting_since"] is not None


async def test_the_same_item_twice_changes_nothing(answers: Answers) -> None:
    native = answers.shows("e1", text="From the app")
    await answers.floor.deliver(native, native)
    before = (await answers.floor.told(), await answers.last_seq())
    await answers.floor.deliver(native)
    assert (await answers.floor.told(), await answers.last_seq()) == before


async def test_an_item_of_a_conversation_that_nobody_knows_is_only_logged(answers: Answers) -> None:
    assert await seen(answers, answers.shows("e1", text="Hello world", customer="stranger")) == []
    assert await answers.floor.rows("SELECT 1 FROM tickets.message WHERE direction = 'out'") == []


async def test_an_echo_in_another_conversation_is_known_by_its_name(answers: Answers) -> None:
    queued = await answers.write(ANN, "Hi")
    elsewhere = {"conversation_id": "cnv_dm_that_nobody_knows"}
    shown = answers.shows("e1", text="Hi", correlation_id=queued["id"], **elsewhere)
    assert await seen(answers, shown) == ["echo.matched"]
    await answers.sent(queued["id"], "e1")
    assert await seen(answers, answers.shows("e1", text="Hi", **elsewhere)) == []


async def comment(answers: Answers, external_id: str, **fields: Any) -> None:
    given = {"kind": "comment", "conversation_id": "cnv_post", "parent_external_id": None, "network": "api"} | fields
    item = message(external_id, channel=f"chn_{HOME}", occurred_at=AT + timedelta(seconds=30), **given)
    await answers.floor.deliver(routed(item))


async def test_an_answer_under_a_shared_root_takes_the_turns_of_everybody_in_it(floor: Floor) -> None:
    answers = Answers(floor)
    await comment(answers, "root", author="c1", text="One")
    await comment(answers, "deep", author="c2", text="Two", parent_external_id="root")
    below = {"conversation_id": "cnv_post", "kind": "comment", "occurred_at": AT + timedelta(seconds=60)}
    native = answers.shows("e1", text="Dear both", parent_external_id="root", **below)
    await floor.deliver(native)
    assert await answers.turns() == {"One": native.data.message.id, "Two": native.data.message.id}


async def test_an_answer_under_one_persons_comment_takes_only_theirs(floor: Floor) -> None:
    answers = Answers(floor)
    await comment(answers, "root", author="c1", text="One")
    await comment(answers, "deep", author="c2", text="Two", parent_external_id="root")
    below = {"conversation_id": "cnv_post", "kind": "comment", "occurred_at": AT + timedelta(seconds=60)}
    native = answers.shows("e1", text="Dear second", parent_external_id="deep", **below)
    await floor.deliver(native)
    assert await answers.turns() == {"One": None, "Two": native.data.message.id}


async def test_one_batch_tells_echoes_and_native_answers_apart(answers: Answers) -> None:
    first = await answers.write(ANN, "One")
    await answers.sent(first["id"], "x1")
    second = await answers.write(ANN, "Two")
    told = await seen(
        answers,
        answers.shows("x1", text="One"),
        answers.shows("e2", text="Two"),
        answers.shows("e3", text="Three"),
        answers.shows("e4", text="", correlation_id=second["id"]),
    )
    assert sorted(told) == [
        "answer.detected",
        "collision.happened",
        "echo.matched",
        "lease.revoked",
        "reply.cancelled",
    ]


async def test_somebody_elses_answer_has_no_agent_id(answers: Answers) -> None:
    await answers.floor.deliver(answers.shows("e1", text="From the app"))
    [line] = await answers.floor.rows("SELECT actor FROM tickets.entry WHERE kind = 'native'")
    assert line["actor"] == {"kind": Actor(kind="agent").kind}


async def test_a_native_answer_is_in_the_newest_ticket_of_a_conversation_whatever_clock_named_it(floor: Floor) -> None:
    ahead = Floor(floor.database, Desk(ids=WrongIds(timedelta(days=1)), metrics=floor.desk.metrics))
    old = await Answers(ahead).open()
    await old.choose(reopen_within_hours=0)
    await floor.rows("UPDATE tickets.ticket SET state = 'resolved', resolved_at = now() RETURNING id")
    new = Answers(floor)
    given = await new.says("m2")
    native = new.shows("e1", text="From the app")
    await floor.deliver(native)
    [line] = await floor.rows("SELECT ticket_id FROM tickets.entry WHERE kind = 'native'")
    assert line["ticket_id"] != old.ticket_id
    [turn] = await floor.rows("SELECT answer_id FROM tickets.turn WHERE message_id = $1", given.id)
    assert turn["answer_id"] == native.data.message.id
