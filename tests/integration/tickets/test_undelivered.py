"""A reply that the network took and does not deliver is seen: in its ticket, as a draft again, and in the numbers."""

from typing import Any

import pytest

from services.tickets.domain.reply import TurnTaken
from shared.events.envelope import Event
from shared.events.tickets import EchoMatched, ReplySettled, TicketUpdated
from tests.support.answers import Answers, agent
from tests.support.floor import Floor

ANN = agent("agt_ann")
BEN = agent("agt_ben")
WHY = "code 131026: Not on WhatsApp"


@pytest.fixture
async def answers(floor: Floor) -> Answers:
    return await Answers(floor).open()


def status(answers: Answers, reply_id: str, *, name: str = "wamid.9") -> Event:
    return answers.shows(name, text="", correlation_id=reply_id)


def failure(answers: Answers, reply_id: str, *, name: str = "wamid.9") -> Event:
    return answers.shows(name, text="", correlation_id=reply_id, verb="undelivered", reason=WHY)


async def lines(answers: Answers) -> list[dict[str, Any]]:
    return await answers.floor.rows("SELECT reply_id, data FROM tickets.entry WHERE kind = 'reply-undelivered'")


async def test_a_status_settles_an_unknown_reply_without_asking_anybody(answers: Answers) -> None:
    queued = await answers.write(ANN, "Hi")
    await answers.lost(queued["id"])
    await answers.mark()
    await answers.floor.deliver(status(answers, queued["id"]))
    [matched] = await answers.heard()
    assert isinstance(matched.data, EchoMatched)
    assert (matched.data.reply_id, matched.data.external_id) == (queued["id"], "wamid.9")
    await answers.sent(queued["id"], "wamid.9")
    assert await answers.state(queued["id"]) == "sent"
    assert await answers.ledger() == []


async def test_a_failure_shows_in_the_ticket_and_the_text_is_a_draft_again(answers: Answers) -> None:
    queued = await answers.write(ANN, "Hi")
    await answers.sent(queued["id"], "wamid.9")
    await answers.floor.deliver(status(answers, queued["id"]))
    await answers.mark()
    await answers.floor.deliver(failure(answers, queued["id"]))
    assert await answers.told() == ["ticket.updated", "draft.kept"]
    [updated, _] = await answers.heard()
    assert isinstance(updated.data, TicketUpdated)
    assert updated.data.reason == "reply-undelivered"
    assert await lines(answers) == [{"reply_id": queued["id"], "data": {"reason": WHY}}]
    [draft] = await answers.drafts(reason="undelivered")
    assert (draft["text"], draft["agent_id"]) == ("Hi", ANN.agent_id)


async def test_a_failure_is_counted_once_however_often_it_is_told(answers: Answers) -> None:
    queued = await answers.write(ANN, "Hi")
    await answers.sent(queued["id"], "wamid.9")
    event = failure(answers, queued["id"])
    await answers.floor.deliver(event)
    await answers.floor.deliver(event)
    assert len(await lines(answers)) == 1
    shown, _ = answers.floor.desk.metrics.exposition()
    assert b'baton_replies_total{state="undelivered"} 1.0' in shown


async def test_after_a_failure_its_writer_may_write_again_and_nobody_else(answers: Answers) -> None:
    queued = await answers.write(ANN, "Hi")
    await answers.sent(queued["id"], "wamid.9")
    await answers.release(ANN)
    await answers.floor.deliver(failure(answers, queued["id"]))
    assert await answers.turns() == {"Hello": queued["id"]}
    assert isinstance(await answers.write(BEN, "Me too"), TurnTaken)
    assert (await answers.write(ANN, "Call us, please"))["state"] == "queued"


async def test_a_failure_is_the_outcome_of_an_unknown_reply(answers: Answers) -> None:
    queued = await answers.write(ANN, "Hi")
    await answers.lost(queued["id"])
    await answers.mark()
    await answers.floor.deliver(failure(answers, queued["id"]))
    assert await answers.state(queued["id"]) == "failed"
    [settled, _] = await answers.heard()
    assert isinstance(settled.data, ReplySettled)
    assert (settled.data.state, settled.data.settled_by, settled.data.reason) == ("failed", "echo", WHY)
    assert await answers.turns() == {"Hello": None}


async def test_a_failure_before_the_sends_answer_shows_that_it_left(answers: Answers) -> None:
    queued = await answers.write(ANN, "Hi")
    await answers.mark()
    await answers.floor.deliver(failure(answers, queued["id"]))
    assert await answers.told() == ["echo.matched", "ticket.updated", "draft.kept"]
    await answers.sent(queued["id"], "wamid.9")
    assert await answers.turns() == {"Hello": queued["id"]}
    assert len(await lines(answers)) == 1


async def test_status_and_failure_in_one_batch_are_one_reply(answers: Answers) -> None:
    queued = await answers.write(ANN, "Hi")
    await answers.sent(queued["id"], "wamid.9")
    await answers.floor.deliver(status(answers, queued["id"]), failure(answers, queued["id"]))
    assert len(await lines(answers)) == 1
    assert await answers.ledger() == []


async def test_a_failure_of_what_nobody_here_wrote_changes_nothing(answers: Answers) -> None:
    before = await answers.last_seq()
    await answers.floor.deliver(failure(answers, "rpl_elsewhere"))
    assert await answers.last_seq() == before
