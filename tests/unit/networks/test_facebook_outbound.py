"""What Facebook does not take, how long it asks us to wait, and whether a reply arrived."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from shared.errors import Rejected
from shared.events.messages import Attachment
from shared.networks import registry, responses
from shared.networks.port import Account, Failed, HttpResponse, NotThere, OutboundReply, Sent, Throttled, Unknown
from tests.support.networks.facebook import facebook
from tests.support.networks.sample import NOW, PAGE, direct, encode, outbound

FACEBOOK = registry.get("facebook")
ACCOUNT = facebook().account
PHOTO = Attachment(kind="image", url="https://cdn.example/a.png")


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (outbound(text="x" * 2001), "2001 characters"),
        (outbound(text=""), "neither text nor attachment"),
        (outbound(attachments=(PHOTO, PHOTO)), "one attachment"),
        (outbound(attachments=(Attachment(kind="video", url="https://cdn.example/a.mp4"),)), "images"),
        (outbound(attachments=(Attachment(kind="image"),)), "no url"),
        (outbound(message_kind="dm"), "no public answer"),
        (outbound(message_kind="reaction"), "no public answer"),
        (outbound(in_reply_to_external_id="../me"), "URL"),
        (outbound(in_reply_to_external_id="1?fields=x"), "URL"),
        (direct(attachments=(PHOTO,)), "not both"),
        (direct(recipient_external_id=None), "recipient"),
        (direct(message_age=timedelta(hours=25), human=False), "window closed"),
        (direct(message_age=timedelta(days=7, seconds=1)), "window closed"),
        (outbound(kind="private", message_kind="review"), "no private answer"),
        (outbound(kind="private", message_kind="reaction"), "no private answer"),
        (outbound(kind="private", message_age=timedelta(days=8)), "window closed"),
    ],
    ids=range(16),
)
def test_what_facebook_would_not_take_is_rejected_before_it_leaves(reply: OutboundReply, why: str) -> None:
    with pytest.raises(Rejected, match=why):
        FACEBOOK.reply(ACCOUNT, reply)


def test_the_last_second_of_each_window_is_still_open() -> None:
    assert b"RESPONSE" in FACEBOOK.reply(ACCOUNT, direct(message_age=timedelta(hours=24), human=False)).body
    assert b"HUMAN_AGENT" in FACEBOOK.reply(ACCOUNT, direct(message_age=timedelta(days=7))).body


def test_the_base_url_of_the_account_is_used_and_the_token_stays_in_the_header() -> None:
    account = Account(
        channel_id="chn",
        external_id=PAGE,
        credentials={"access_token": "page-token"},
        api_base_url="http://127.0.0.1:9/v1/",
    )
    request = FACEBOOK.reply(account, outbound())
    assert request.url == "http://127.0.0.1:9/v1/500_77000001/comments"
    assert request.headers["authorization"] == "Bearer page-token"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "0"}, 1.0),
        ({"RETRY-AFTER": " 12 "}, 12.0),
        ({"retry-after": "9" * 400}, 86_400.0),
        ({"retry-after": "soon"}, 60.0),
        ({"retry-after": "Sun, 22 Nov 2026 12:05:00 GMT"}, 60.0),
        ({"retry-after": "Sun, 22 Nov 2026 12:05:00 GMT", "date": "Sun, 22 Nov 2026 12:00:00 GMT"}, 300.0),
        ({"x-business-use-case-usage": "{}"}, 60.0),
        ({"x-business-use-case-usage": '{"1":[{"estimated_time_to_regain_access":0}]}'}, 60.0),
        ({"x-business-use-case-usage": '{"1":[{"estimated_time_to_regain_access":2}],"2":[{}, 7]}'}, 120.0),
        ({"x-business-use-case-usage": "[[["}, 60.0),
    ],
)
def test_a_limit_says_how_long_to_wait(headers: dict[str, str], seconds: float) -> None:
    outcome = FACEBOOK.interpret(HttpResponse(status=429, headers=headers))
    assert isinstance(outcome, Throttled)
    assert outcome.retry_after == seconds


def test_reasons_are_short_whatever_facebook_says() -> None:
    body = encode({"error": {"code": "100", "message": "x" * 9000}})
    outcome = FACEBOOK.interpret(HttpResponse(status=400, body=body))
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith("HTTP 400, code 100: xxx")
    assert len(outcome.reason) < responses.LONGEST_REASON + 50


def test_comments_are_asked_for_under_what_was_answered() -> None:
    request = FACEBOOK.query(ACCOUNT, outbound())
    assert request is not None
    url = urlsplit(request.url)
    assert url.path == "/v24.0/500_77000001/comments"
    assert parse_qs(url.query)["order"] == ["reverse_chronological"]
    assert request.headers == {"authorization": "Bearer page-token"}


def test_messages_are_asked_for_in_the_conversation_with_the_customer() -> None:
    request = FACEBOOK.query(ACCOUNT, direct())
    assert request is not None
    url = urlsplit(request.url)
    assert url.path == f"/v24.0/{PAGE}/conversations"
    assert parse_qs(url.query)["user_id"] == ["3003"]


@pytest.mark.parametrize(
    "reply",
    [
        outbound(text="", attachments=(PHOTO,)),
        outbound(kind="private"),
        outbound(message_kind="dm"),
        direct(recipient_external_id=None),
        direct(recipient_external_id="user_ref:1"),
    ],
    ids=["no-text", "private-answer-to-comment", "public-answer-to-dm", "no-recipient", "guest"],
)
def test_what_no_list_would_show_is_not_asked(reply: OutboundReply) -> None:
    assert FACEBOOK.query(ACCOUNT, reply) is None


def _listed(*entries: Any, more: bool = False) -> HttpResponse:
    body = {"data": list(entries), "paging": {"next": "https://…"} if more else {}}
    return HttpResponse(status=200, body=json.dumps(body).encode())


def _entry(seconds: int, text: str = "It is on its way, Ana ✨", writer: str | None = PAGE) -> Any:
    created = (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S+0000")
    entry = {"id": f"500_{abs(seconds)}", "message": text, "created_time": created}
    return {**entry, "from": {"id": writer, "name": "Shop"}} if writer else entry


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (_listed(_entry(2)), Sent),
        (_listed(_entry(2, "It is on  its way, Ana ✨ \n")), Sent),
        (_listed(_entry(-4)), Sent),
        (_listed(), NotThere),
        (_listed(_entry(2, "I wait too!", writer="2002")), NotThere),
        (_listed(_entry(2, writer="2002")), NotThere),
        (_listed(_entry(-900)), NotThere),
        (_listed(_entry(-60, "Something older of ours")), NotThere),
        (_listed(_entry(2, "Something else of ours")), Unknown),
        (_listed(_entry(-60)), Unknown),
        (_listed(_entry(2, writer=None)), Unknown),
        (_listed(_entry(2, "Me too", writer=None)), NotThere),
        (_listed({**_entry(2), "created_time": None}), Unknown),
        (_listed(_entry(9, "a", writer="2"), _entry(-100, "b", writer="2"), more=True), Unknown),
        (_listed(_entry(9, "a", writer="2"), _entry(-900, "b", writer="2"), more=True), NotThere),
        (_listed(_entry(-900, "b", writer="2"), _entry(9, "a", writer="2"), more=True), Unknown),
        (_listed(more=True), Unknown),
        (_listed("nonsense"), NotThere),
        (HttpResponse(status=200, body=b"<html>"), Unknown),
        (HttpResponse(status=200, body=b'{"data":{}}'), Unknown),
        (HttpResponse(status=404, body=b'{"error":{"code":100}}'), Unknown),
        (HttpResponse(status=500), Unknown),
    ],
    ids=range(22),
)
def test_a_reply_is_there_only_if_it_is_surely_ours_and_gone_only_if_nothing_leaves_doubt(
    response: HttpResponse, expected: type
) -> None:
    assert type(FACEBOOK.interpret_query(response, outbound())) is expected


def test_a_direct_message_is_looked_for_inside_the_conversation() -> None:
    conversation = {"data": [{"id": "t_1", "messages": {"data": [_entry(2)]}}]}
    found = HttpResponse(status=200, body=encode(conversation))
    assert FACEBOOK.interpret_query(found, direct()) == Sent(external_id="500_2")
    for empty in ({"data": []}, {"data": [{}]}, {"data": [7]}, {}):
        answer = FACEBOOK.interpret_query(HttpResponse(status=200, body=encode(empty)), direct())
        assert isinstance(answer, Unknown)


def test_without_the_attempts_time_or_our_own_name_nothing_is_recognised() -> None:
    for reply in (outbound(attempted_at=None), outbound(sender_external_id=None)):
        assert isinstance(FACEBOOK.interpret_query(_listed(_entry(2)), reply), Unknown)
        assert isinstance(FACEBOOK.interpret_query(_listed(), reply), Unknown)
