"""What becomes of an answer that was queued: it takes its turns, gives them back, or is a draft again."""

from datetime import timedelta
from typing import Any

import pytest

from services.tickets.domain.outcome import NotUnknown, NotWaiting
from services.tickets.domain.reply import ThreadMoved
from services.tickets.handlers import joining
from services.tickets.handlers.joining import Evidence
from shared.clock import SystemClock
from shared.errors import Forbidden
from shared.events.deliveries import ReplySent
from tests.support.answers import HOME, Answers, agent
from tests.support.both import in_both_workspaces
from tests.support.floor import AT, OTHER, Floor, routed

ANN = agent("agt_ann")
BEN = agent("agt_ben")
LEA = agent("agt_lea", role="lead")


@pytest.fixture
async def answers(floor: Floor) -> Answers:
    return await Answers(floor).open_both()


async def test_a_sent_answer_takes_its_turns_and_moves_the_thread(answers: Answers) -> None:
    queued = await answers.write(ANN)
    await answers.mark()
    await answers.sent(queued["id"], "ext_1")
    assert await answers.told() == ["reply.settled"]
    assert await answers.turns() == {"Hello": queued["id"]}
    ticket = await answers.floor.ticket()
    assert ticket["waiting_since"] is None
    [line] = await answers.floor.rows("SELECT kind, moves FROM tickets.entry WHERE seq = $1", ticket["last_seq"])
    assert line == {"kind": "answer", "moves": True}


async def test_whatever_the_notifier_says_twice_or_late_changes_nothing(answers: Answers) -> None:
    queued = await answers.write(ANN)
    await answers.sent(queued["id"])
    before = (await answers.floor.told(), await answers.last_seq())
    await answers.sent(queued["id"])
    await answers.failed(queued["id"])
    await answers.held(queued["id"])
    await answers.lost(queued["id"])
    assert (await answers.floor.told(), await answers.last_seq()) == before
    assert await answers.state(queued["id"]) == "sent"
    assert await answers.drafts() == []


async def test_a_failed_answer_becomes_a_draft_and_gives_its_turns_back(answers: Answers) -> None:
    queued = await answers.write(ANN, "Nope")
    await answers.mark()
    await answers.failed(queued["id"])
    assert await answers.told() == ["reply.settled", "draft.kept"]
    [draft] = await answers.drafts()
    assert (draft["text"], draft["reason"], draft["agent_id"]) == ("Nope", "failed", "agt_ann")
    assert await answers.turns() == {"Hello": None}
    assert await answers.ledger() == []


@pytest.mark.parametrize(
    ("reason", "ledger"),
    [
        ("turn-taken", [("prevented", "held")]),
        ("unknown-ahead", [("prevented", "held")]),
        ("takeover", [("prevented", "held")]),
        ("echo", [("prevented", "held")]),
        ("window-closed", []),
        ("message-arrived", []),
        ("linked", []),
    ],
)
async def test_a_held_answer_becomes_a_draft_with_its_reason(answers: Answers, reason: str, ledger: list) -> None:
    queued = await answers.write(ANN)
    await answers.held(queued["id"], reason)
    assert [draft["reason"] for draft in await answers.drafts()] == [reason]
    assert await answers.ledger() == ledger


async def test_only_its_writer_takes_a_waiting_answer_back_and_only_while_it_waits(answers: Answers) -> None:
    queued = await answers.write(ANN)
    await answers.mark()
    assert isinstance(await answers.cancel(BEN, queued["id"]), Forbidden)
    asked = await answers.cancel(ANN, queued["id"])
    again = await answers.cancel(ANN, queued["id"])
    assert (asked["state"], again["reason"]) == ("queued", "cancelled")
    assert await answers.told() == ["reply.cancelled"]
    await answers.held(queued["id"], "cancelled")
    assert await answers.state(queued["id"]) == "cancelled"
    assert [draft["reason"] for draft in await answers.drafts()] == ["cancelled"]
    assert isinstance(await answers.cancel(ANN, queued["id"]), NotWaiting)


async def test_a_cancelled_answer_that_had_left_stands(answers: Answers) -> None:
    queued = await answers.write(ANN)
    await answers.cancel(ANN, queued["id"])
    await answers.sent(queued["id"])
    assert await answers.state(queued["id"]) == "sent"
    assert await answers.drafts() == []


async def test_a_person_settles_what_nobody_knows_but_not_too_early(answers: Answers) -> None:
    queued = await answers.write(ANN)
    assert isinstance(await answers.settle(ANN, queued["id"], was_sent=True), NotUnknown)
    await answers.lost(queued["id"], ask_after=SystemClock().now() + timedelta(hours=1))
    early = await answers.settle(ANN, queued["id"], was_sent=True)
    assert isinstance(early, NotUnknown)
    assert "ask_after" in early.fields
    await answers.floor.rows("UPDATE tickets.reply SET ask_after = now()")
    assert isinstance(await answers.settle(BEN, queued["id"], was_sent=True), Forbidden)
    settled = await answers.settle(ANN, queued["id"], was_sent=True, external_id="x9")
    assert (settled["state"], settled["external_id"]) == ("sent", "x9")
    [told] = [event.data for event in await answers.heard() if event.type == "reply.settled.v1"][1:]
    assert (told.settled_by, told.state) == ("person", "sent")
    assert await answers.turns() == {"Hello": queued["id"]}


async def test_a_supervisor_or_whoever_holds_the_lease_may_settle(answers: Answers) -> None:
    queued = await answers.write(ANN)
    await answers.lost(queued["id"])
    await answers.release(ANN)
    await answers.lease(BEN)
    settled = await answers.settle(BEN, queued["id"], was_sent=False)
    assert settled["state"] == "failed"
    assert await answers.turns() == {"Hello": None}
    assert isinstance(await answers.settle(LEA, queued["id"], was_sent=False), NotUnknown)


async def test_drafts_survive_whatever_happens_to_the_ticket(answers: Answers) -> None:
    queued = await answers.write(ANN, "Precious")
    await answers.failed(queued["id"])
    await answers.says("m2", text="Still there?")
    await answers.own("agt_ben")
    assert [draft["text"] for draft in await answers.drafts()] == ["Precious"]


async def test_a_batch_settles_many_answers_of_two_workspaces(floor: Floor) -> None:
    home = await Answers(floor).open()
    await home.says("m9", workspace=OTHER)
    theirs = await floor.ticket(workspace=OTHER)
    eve = agent("agt_eve", workspace=OTHER)
    first = await home.write(ANN)
    second = await home.write(eve, ticket=theirs["id"], seen=1)
    about: dict[str, Any] = {"at": AT}
    await home.notify(
        ReplySent(workspace_id=HOME, ticket_id=home.ticket_id, reply_id=first["id"], external_id="a", **about),
        ReplySent(workspace_id=OTHER, ticket_id=theirs["id"], reply_id=second["id"], external_id="b", **about),
        ReplySent(workspace_id=OTHER, ticket_id=theirs["id"], reply_id="rpl_nobody", external_id="c", **about),
    )
    assert await home.state(first["id"]) == "sent"
    assert (await floor.rows("SELECT state FROM tickets.reply", workspace=OTHER)) == [{"state": "sent"}]


@in_both_workspaces
async def test_linking_customers_turns_waiting_answers_of_the_source_into_drafts(answers: Answers) -> None:
    floor = answers.floor
    lea, other = answers.here(LEA), floor.message("n1", author="c2", network="api", occurred_at=AT)
    await floor.deliver(routed(other))
    [second] = await floor.rows("SELECT * FROM tickets.ticket WHERE id <> $1", answers.ticket_id)
    kept = await answers.write(ANN, "Kept")
    stays = await answers.write(BEN, "Stays", ticket=second["id"])
    await answers.mark()
    evidence = Evidence(kind="email", value="same")
    await answers.act(
        lea,
        lambda tx: joining.link(
            tx, floor.desk, lea, answers.customer_id, other=second["customer_id"], evidence=evidence
        ),
    )
    source = [event.type for event in await answers.heard() if event.key == second["id"]]
    assert source.index("lease.revoked.v1") < source.index("ticket.merged.v1")
    assert source.index("reply.cancelled.v1") < source.index("ticket.merged.v1")
    await answers.held(stays["id"], "linked")
    await answers.sent(kept["id"])
    assert await answers.state(kept["id"]) == "sent"
    [draft] = await answers.drafts()
    assert (draft["text"], draft["reason"], draft["ticket_id"]) == ("Stays", "linked", answers.ticket_id)
    refusal = await answers.write(BEN, "Again", ticket=second["id"], seen=2)
    assert isinstance(refusal, ThreadMoved)
