"""What Instagram does not take, and whether a reply arrived."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from shared.errors import Rejected
from shared.events.messages import Attachment
from shared.networks import registry
from shared.networks.port import Account, HttpResponse, NotThere, OutboundReply, Sent, Unknown
from tests.support.networks.instagram import ACCOUNT, COMMENT, commented, instagram, messaged
from tests.support.networks.sample import NOW, encode

INSTAGRAM = registry.get("instagram")
CHANNEL = instagram().account
PHOTO = Attachment(kind="image", url="https://cdn.example/a.png")
TEXT = "It is on its way, Ana ✨"


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (commented(attachments=(PHOTO,)), "text alone"),
        (commented(message_kind="dm"), "no public answer"),
        (commented(message_kind="story_reply"), "no public answer"),
        (commented(message_kind="review"), "no public answer"),
        (commented(in_reply_to_external_id="../me"), "URL"),
        (commented(kind="private", message_kind="mention"), "no private answer"),
        (commented(kind="private", message_age=timedelta(days=7, seconds=1)), "window closed"),
        (messaged(text="é" * 501), "1002 bytes"),
        (messaged(text=""), "neither text nor attachment"),
        (messaged(attachments=(PHOTO,)), "not both"),
        (messaged(text="", attachments=(PHOTO, PHOTO)), "one attachment"),
        (messaged(text="", attachments=(Attachment(kind="image"),)), "no url"),
        (messaged(recipient_external_id=None), "recipient"),
    ],
    ids=range(13),
)
def test_what_instagram_would_not_take_is_rejected_before_it_leaves(reply: OutboundReply, why: str) -> None:
    with pytest.raises(Rejected, match=why):
        INSTAGRAM.reply(CHANNEL, reply)


def test_a_comment_counts_in_characters_and_a_message_in_bytes() -> None:
    INSTAGRAM.reply(CHANNEL, commented(text="é" * 2200))
    INSTAGRAM.reply(CHANNEL, messaged(text="é" * 500))


def test_the_last_second_for_a_private_answer_to_a_comment_is_still_open_to_everybody() -> None:
    reply = commented(kind="private", human=False, message_age=timedelta(days=7))
    assert b"comment_id" in INSTAGRAM.reply(CHANNEL, reply).body


def test_a_page_token_goes_to_the_host_that_the_channel_names() -> None:
    account = Account(
        channel_id="chn",
        external_id=ACCOUNT,
        credentials={"access_token": "page-token"},
        api_base_url="https://graph.facebook.com/v24.0/",
    )
    request = INSTAGRAM.reply(account, messaged())
    assert request.url == "https://graph.facebook.com/v24.0/me/messages"
    assert request.headers["authorization"] == "Bearer page-token"


# --- whether it arrived


def _asked(reply: OutboundReply) -> tuple[str, dict[str, str]]:
    request = INSTAGRAM.query(CHANNEL, reply)
    assert request is not None
    url = urlsplit(request.url)
    return url.path, {name: values[0] for name, values in parse_qs(url.query).items()}


def test_the_replies_under_a_comment_are_listed() -> None:
    path, query = _asked(commented())
    assert path == f"/v24.0/{COMMENT}/replies"
    assert query["fields"] == "id,text,from,timestamp"


def test_the_newest_messages_of_the_conversation_are_listed() -> None:
    path, query = _asked(messaged())
    assert path == "/v24.0/me/conversations"
    assert (query["platform"], query["user_id"]) == ("instagram", "3003")
    assert query["fields"] == "messages.limit(20){id,message,from,created_time}"


@pytest.mark.parametrize(
    "reply",
    [
        commented(message_kind="reply"),
        commented(message_kind="mention"),
        commented(kind="private"),
        commented(text="", attachments=(PHOTO,)),
        messaged(recipient_external_id=None),
    ],
    ids=["to a reply", "to a mention", "private to a comment", "without text", "to nobody"],
)
def test_where_no_list_would_show_the_reply_nothing_is_asked(reply: OutboundReply) -> None:
    assert INSTAGRAM.query(CHANNEL, reply) is None


def _listed(*entries: Any, status: int = 200, **more: Any) -> HttpResponse:
    return HttpResponse(status=status, body=encode({"data": list(entries), **more}))


def _said(text: str = TEXT, *, writer: str | None = ACCOUNT, at: int = 1) -> Any:
    written = {"from": {"id": writer}} if writer else {}
    moment = (NOW + timedelta(seconds=at)).strftime("%Y-%m-%dT%H:%M:%S+0000")
    return {"id": "17900009", "text": text, "timestamp": moment, **written}


@pytest.mark.parametrize(
    ("response", "finding"),
    [
        (_listed(_said()), Sent(external_id="17900009")),
        (_listed(), NotThere()),
        (_listed(_said("Thanks!", writer="2002")), NotThere()),
        (_listed(_said(at=-3600)), NotThere()),
    ],
    ids=["ours", "nothing", "a customer's", "ours of an hour ago"],
)
def test_a_comment_of_ours_with_the_same_words_is_the_reply(response: HttpResponse, finding: object) -> None:
    assert INSTAGRAM.interpret_query(response, commented()) == finding


@pytest.mark.parametrize(
    "response",
    [
        _listed(_said(writer="555")),
        _listed(_said(writer=None)),
        _listed(_said("Something else")),
        _listed(_said(at=-60)),
        _listed(_said("x", writer="2002"), paging={"next": "https://graph.example/2"}),
        _listed(status=500),
        HttpResponse(status=200, body=b"{}"),
    ],
    ids=["another id", "no id", "other words of ours", "just before", "more to come", "an error", "no list"],
)
def test_whatever_may_be_the_reply_is_not_taken_for_its_absence(response: HttpResponse) -> None:
    assert isinstance(INSTAGRAM.interpret_query(response, commented()), Unknown)


def _conversation(*messages: Any) -> HttpResponse:
    return _listed({"id": "cnv", "messages": {"data": list(messages)}})


def _message(writer: str | None, text: str = TEXT) -> Any:
    written = {"from": {"id": writer, "username": "x"}} if writer else {}
    return {"id": "m_9", "message": text, "created_time": "2026-11-22T12:00:01+0000", **written}


@pytest.mark.parametrize("us", [ACCOUNT, "another-id-of-ours"])
def test_whoever_is_not_the_customer_in_a_conversation_is_us(us: str) -> None:
    assert INSTAGRAM.interpret_query(_conversation(_message(us)), messaged()) == Sent(external_id="m_9")


def test_the_customers_own_words_are_not_our_reply() -> None:
    assert INSTAGRAM.interpret_query(_conversation(_message("3003")), messaged()) == NotThere()


@pytest.mark.parametrize("response", [_listed(), _conversation(_message(None))], ids=["no conversation", "no writer"])
def test_a_conversation_that_does_not_tell_leaves_it_open(response: HttpResponse) -> None:
    assert isinstance(INSTAGRAM.interpret_query(response, messaged()), Unknown)
