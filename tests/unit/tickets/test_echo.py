"""An outbound item is our own reply, waits to be told apart, or is somebody's answer in the network's own app."""

import msgspec
import pytest

from services.tickets.domain import echo as echoes
from services.tickets.domain.echo import Matched, Native, Own, Waits
from shared.events.messages import Attachment, Author, Message
from tests.support.messages import message

CONVERSATION = "cnv_1"


def item(**changes: object) -> Message:
    given = {"direction": "out", "origin": "native", "author": None, "conversation_id": CONVERSATION, "text": "Hi"}
    return message("e1", **(given | changes))


def own(**changes: object) -> Own:
    plain = Own(
        id="rpl_1",
        seq=5,
        state="queued",
        channel_id="chn_1",
        conversation_id=CONVERSATION,
        correlation_id="cor_1",
        normalized_text="hi",
    )
    return msgspec.structs.replace(plain, **changes)


CORRELATED = item(correlation_id="cor_1", text="other words")


@pytest.mark.parametrize("state", ["queued", "sending", "unknown"])
def test_a_correlation_id_tells_that_an_unfinished_reply_has_left(state: str) -> None:
    ours = own(state=state)
    assert echoes.judge(CORRELATED, [ours]) == Matched(reply=ours, is_news=True)


def test_a_sent_reply_is_news_only_while_its_name_is_unknown() -> None:
    nameless, named = own(state="sent"), own(state="sent", external_id="e1")
    assert echoes.judge(CORRELATED, [nameless]) == Matched(reply=nameless, is_news=True)
    assert echoes.judge(CORRELATED, [named]) == Matched(reply=named, is_news=False)
    assert echoes.judge(item(text="re-written"), [named]) == Matched(reply=named, is_news=False)


@pytest.mark.parametrize("state", ["failed", "held", "cancelled"])
def test_a_reply_that_was_thought_not_to_have_left_answers_like_anybodys(state: str) -> None:
    ours = own(state=state)
    assert echoes.judge(CORRELATED, [ours]) == Native(contradicts=ours)


def test_another_correlation_id_is_another_reply() -> None:
    assert echoes.judge(item(correlation_id="cor_9", text="x"), [own()]) == Native()


def test_a_name_counts_only_in_its_own_channel() -> None:
    assert echoes.judge(item(text="x"), [own(state="sent", external_id="e1", channel_id="chn_2")]) == Native()


def test_the_same_words_as_a_reply_on_its_way_wait() -> None:
    ours = own()
    assert echoes.judge(item(text=" HI "), [ours]) == Waits(reply=ours)
    assert echoes.judge(item(text="Hello"), [ours]) == Native()
    assert echoes.judge(item(), [own(conversation_id="cnv_2")]) == Native()


def test_the_same_words_as_an_unknown_reply_are_it() -> None:
    ours = own(state="unknown")
    assert echoes.judge(item(), [ours]) == Matched(reply=ours, is_news=True)


def test_one_reply_is_awaited_by_one_item() -> None:
    first, second = own(), own(id="rpl_2", seq=6, correlation_id="cor_2")
    assert echoes.judge(item(), [second, first]) == Waits(reply=first)
    assert echoes.judge(item(), [second, first], awaited=["rpl_1"]) == Waits(reply=second)
    assert echoes.judge(item(), [second, first], awaited=["rpl_1", "rpl_2"]) == Native()


def test_a_reply_sent_without_a_name_comes_before_one_that_still_waits() -> None:
    waiting, sent = own(), own(id="rpl_2", seq=6, state="sent", correlation_id="cor_2")
    assert echoes.judge(item(), [waiting, sent]) == Matched(reply=sent, is_news=True)
    stale = msgspec.structs.replace(sent, is_fresh=False)
    assert echoes.judge(item(), [waiting, stale]) == Waits(reply=waiting)
    named = msgspec.structs.replace(sent, external_id="e9")
    assert echoes.judge(item(), [waiting, named]) == Waits(reply=waiting)


def test_without_words_files_are_compared() -> None:
    picture = item(text=None, attachments=(Attachment(kind="image"),))
    assert echoes.judge(picture, [own(normalized_text="", has_files=True)]) == Waits(
        reply=own(normalized_text="", has_files=True)
    )
    assert echoes.judge(picture, [own(normalized_text="")]) == Native()


@pytest.mark.parametrize(
    ("outcome", "external_id", "expected"),
    [
        ("sent", "e1", True),
        ("sent", None, True),
        ("sent", "e2", False),
        ("unknown", None, True),
        ("failed", None, False),
        ("held", None, False),
    ],
)
def test_the_outcome_tells_what_the_item_was(*, outcome: str, external_id: str | None, expected: bool) -> None:
    assert echoes.is_own(echo_external_id="e1", outcome=outcome, external_id=external_id) is expected


def test_whoever_answered_natively_is_none_of_our_agents() -> None:
    assert echoes.writer(item()).id is None
    assert echoes.writer(item(author=None)).kind == "agent"
    named = msgspec.structs.replace(item(), author=Author(external_id="42", handle="acme"), origin="bot")
    assert (echoes.writer(named).kind, echoes.writer(named).id, echoes.writer(named).name) == ("bot", None, "acme")


@pytest.mark.parametrize(("answer", "expected"), [(None, False), ("rpl_1", False), ("msg_1", True)])
def test_native_answers_are_told_by_their_ids(*, answer: str | None, expected: bool) -> None:
    assert echoes.is_native_answer(answer) is expected
