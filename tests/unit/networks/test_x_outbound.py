"""What leaves for X: lengths as X counts, what it cannot take, and what became of a direct message."""

from datetime import timedelta

import pytest

from shared.errors import Rejected
from shared.events.messages import Attachment
from shared.networks.port import HttpResponse, NotThere, OutboundReply, Sent, Unknown
from shared.networks.registry import get
from shared.networks.x import words
from tests.support.networks.sample import NOW, PAGE, Json, direct, encode, outbound
from tests.support.networks.x import x

PUBLIC = outbound(in_reply_to_external_id="77000001")


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        ("", 0),
        ("plain", 5),
        ("Ünïcödé", 7),
        ("e\u0301", 1),
        ("漢字", 4),
        ("한국어", 6),
        ("see https://example.com/" + "a" * 200, 27),
        ("(https://example.com/a).", 26),
        ("http://a.example https://b.example", 47),
        ("✨", 2),
        ("👍🏽", 2),
        ("👩‍👩‍👧‍👦", 2),
        ("🇩🇪🇫🇷", 4),
        ("1️⃣", 2),
        ("12", 2),
        ("“quoted” – so", 13),
    ],
)
def test_a_text_weighs_what_x_documents(text: str, weight: int) -> None:
    assert words.weight(text) == weight


@pytest.mark.parametrize("text", ["x" * 280, "漢" * 140, "x" * 256 + " https://example.com/" + "a" * 500])
def test_a_post_takes_280(text: str) -> None:
    get("x").reply(x().account, _with(PUBLIC, text=text))
    with pytest.raises(Rejected, match="280"):
        get("x").reply(x().account, _with(PUBLIC, text=f"{text}!"))


@pytest.mark.parametrize(
    "reply",
    [
        outbound(in_reply_to_external_id="../users/1"),
        direct(recipient_external_id="1/2"),
        direct(recipient_external_id=None),
        direct(kind="public"),
        outbound(in_reply_to_external_id="1", attachments=(Attachment(kind="image", url="https://cdn.example/a.png"),)),
    ],
)
def test_what_x_cannot_take_is_rejected(reply: OutboundReply) -> None:
    with pytest.raises(Rejected):
        get("x").reply(x().account, reply)


def test_the_messages_with_a_person_can_be_asked_for_and_public_answers_cannot() -> None:
    request = get("x").query(x().account, direct())
    assert request is not None
    assert request.url == (
        "https://api.x.com/2/dm_conversations/with/3003/dm_events?event_types=MessageCreate&max_results=100"
        "&dm_event.fields=id,text,sender_id,created_at,entities"
    )
    assert request.headers == {"authorization": "Bearer user-token"}
    assert get("x").query(x().account, PUBLIC) is None


def message(seconds: int, text: str = "It is on its way, Ana ✨", **more: Json) -> Json:
    at = (NOW + timedelta(seconds=seconds)).isoformat()
    return {"id": "8", "sender_id": PAGE, "text": text, "created_at": at, **more}


def asked(*messages: Json, **meta: Json) -> HttpResponse:
    return HttpResponse(status=200, body=encode({"data": list(messages), "meta": meta}))


DOUBTFUL = Unknown(reason="something of ours is there that may be this reply")


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (asked(message(1)), Sent(external_id="8")),
        (asked(message(9, sender_id="3003"), message(1, "It is  on its way, Ana ✨")), Sent(external_id="8")),
        (asked(message(1, sender_id="3003")), NotThere()),
        (asked(message(-400)), NotThere()),
        (asked(message(-60)), DOUBTFUL),
        (asked(message(1, "Something else")), DOUBTFUL),
        (asked(message(-60, "Something else")), NotThere()),
        (asked(message(1, sender_id=None)), DOUBTFUL),
        (asked(message(1, created_at=None)), DOUBTFUL),
        (asked(message(1, sender_id="3003"), next_token="n"), Unknown(reason="the list ends after the attempt")),
        (asked(message(-400, sender_id="3003"), next_token="n"), NotThere()),
        (asked(), Unknown(reason="HTTP 200: no list")),
        (HttpResponse(status=429), Unknown(reason="HTTP 429: no list")),
    ],
)
def test_a_list_of_messages_tells_what_became_of_a_reply(response: HttpResponse, outcome: object) -> None:
    assert get("x").interpret_query(response, direct()) == outcome


def test_a_link_in_the_list_is_the_one_that_we_sent() -> None:
    entities = {"urls": [{"url": "https://t.co/a", "expanded_url": "https://acme.example/a"}]}
    response = asked(message(1, "See https://t.co/a", entities=entities))
    assert get("x").interpret_query(response, direct(text="See https://acme.example/a")) == Sent(external_id="8")


def test_nothing_is_recognised_without_the_time_of_the_attempt() -> None:
    found = get("x").interpret_query(asked(message(1)), direct(attempted_at=None))
    assert isinstance(found, Unknown)


def _with(reply: OutboundReply, **more: Json) -> OutboundReply:
    return outbound(in_reply_to_external_id=reply.in_reply_to_external_id, **more)
