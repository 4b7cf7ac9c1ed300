"""What the generic channel takes and gives, and how it tells an integrator what is wrong."""

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.errors import Rejected
from shared.events.messages import Attachment, Author, Post, Reaction
from shared.networks import registry
from shared.networks.port import Account, HttpResponse, Item, Parsed, Unknown, WebhookRequest
from tests.support.networks.api import OLD, api, api_message
from tests.support.networks.sample import encode, outbound

API = registry.get("api")


def _parse(body: Any) -> Parsed:
    return API.parse(encode(body))


def _item(body: Any) -> Item:
    parsed = _parse(body)
    assert parsed.state == "normalized", parsed
    (item,) = parsed.items
    return item


def test_a_full_message_keeps_everything_that_it_says() -> None:
    assert _item(api_message(1, parent_id=5, version=3)) == Item(
        verb="received",
        kind="comment",
        direction="in",
        origin="customer",
        external_id="9001",
        account_external_id="",
        occurred_at=datetime(2026, 11, 22, 11, 59, tzinfo=UTC),
        thread="77",
        parent_external_id="5",
        author=Author(external_id="5005", name="Cem Öz", handle="cem", followers=3, verified=False),
        text="Is this in stock? 1 📦",
        attachments=(Attachment(kind="image", url="https://shop.example/a.png", mime="image/png", size=12),),
        permalink="https://shop.example/c/1",
        post=Post(external_id="42", permalink="https://shop.example/p/42"),
        rating=4,
        version="3",
    )


def test_a_message_alone_and_in_a_batch_are_the_same() -> None:
    assert _parse(api_message(1)).items == _parse({"messages": [api_message(1)]}).items


def test_the_least_that_a_message_needs_is_an_id_and_a_thread() -> None:
    item = _item({"id": "1", "thread": "t"})
    assert (item.kind, item.verb, item.direction, item.author, item.text) == ("dm", "received", "in", None, None)


@pytest.mark.parametrize("verb", ["edited", "deleted", "hidden", "unhidden"])
def test_what_happens_to_a_known_message_needs_no_thread(verb: str) -> None:
    item = _item({"id": "1", "verb": verb})
    assert (item.verb, item.thread) == (verb, None)


def test_what_the_integration_sent_itself_is_an_echo_with_our_id() -> None:
    item = _item(api_message(1, direction="out", correlation_id="rpl_1"))
    assert (item.direction, item.origin, item.correlation_id) == ("out", "native", "rpl_1")


def test_a_reaction_is_put_on_the_message_of_its_id() -> None:
    item = _item(api_message(1, verb="reacted", reaction={"action": "remove", "emoji": "👍"}))
    author = Author(external_id="5005", name="Cem Öz", handle="cem", followers=3, verified=False)
    assert (item.kind, item.author) == ("reaction", None)
    assert item.reaction == Reaction(action="remove", emoji="👍", author=author)


def test_a_delivery_without_messages_is_ignored_by_name() -> None:
    parsed = _parse({"messages": []})
    assert (parsed.state, [part.code for part in parsed.ignored]) == ("ignored", ["no-messages"])


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"id": None}, "$.id"),
        ({"id": ""}, "$.id"),
        ({"id": "a\x00"}, "$.id"),
        ({"id": "x" * 256}, "$.id"),
        ({"id": 1.5}, "$.id"),
        ({"thread": None}, "`thread`"),
        ({"text": 7}, "$.text"),
        ({"kind": "telegram"}, "$.kind"),
        ({"verb": "corrected"}, "$.verb"),
        ({"direction": "sideways"}, "$.direction"),
        ({"author": {"name": "No id"}}, "id"),
        ({"author": {"id": "1", "followers": -1}}, "$.author.followers"),
        ({"attachments": [{"url": "x"}]}, "kind"),
        ({"attachments": [{"kind": "image", "expires_at": "soon"}]}, "attachments[].expires_at"),
        ({"occurred_at": "yesterday"}, "$.occurred_at"),
        ({"rating": 6}, "$.rating"),
        ({"reaction": {"action": "add"}}, "$.reaction"),
        ({"verb": "reacted"}, "$.reaction"),
        ({"correlation_id": []}, "$.correlation_id"),
    ],
    ids=range(19),
)
def test_a_mistake_is_named_with_its_field_and_its_place_in_the_batch(changed: Any, says: str) -> None:
    parsed = _parse({"messages": [api_message(1), api_message(2, **changed)]})
    assert [item.external_id for item in parsed.items] == ["9001"]
    (part,) = parsed.not_understood
    assert part.code == "malformed"
    assert part.detail.startswith("messages[1]: ")
    assert says in part.detail


@pytest.mark.parametrize(
    ("body", "says"), [({"messages": {}}, "messages: "), ([api_message(1)], "one JSON object"), ({}, "`id`")]
)
def test_a_body_of_another_shape_is_told_the_right_one(body: Any, says: str) -> None:
    (part,) = _parse(body).not_understood
    assert says in part.detail


def test_the_sender_names_the_delivery_so_another_body_under_that_name_is_the_same_one() -> None:
    headers = {"webhook-id": "evt_1"}
    first = WebhookRequest(method="POST", headers=headers, body=b"1")
    second = WebhookRequest(method="POST", headers=headers, body=b"2")
    assert API.delivery_key(first) == API.delivery_key(second) == "evt_1"


@pytest.mark.parametrize(
    ("credentials", "says"),
    [({"secret": OLD}, "reply_url"), ({"reply_url": "https://shop.example"}, "secret")],
)
def test_a_channel_that_takes_no_replies_says_what_it_lacks(credentials: dict[str, str], says: str) -> None:
    with pytest.raises(Rejected, match=says):
        API.reply(Account(channel_id="chn", external_id="1", credentials=credentials), outbound())


def test_the_accounts_base_url_serves_where_no_reply_url_is_set() -> None:
    account = Account(
        channel_id="chn", external_id="1", credentials={"secret": OLD}, api_base_url="https://other.example/in"
    )
    assert API.reply(account, outbound()).url == "https://other.example/in"
    assert API.reply(api().account, outbound()).url == "https://shop.example/replies"


def test_nobody_can_be_asked_but_sending_again_is_harmless() -> None:
    assert API.query(api().account, outbound()) is None
    assert isinstance(API.interpret_query(HttpResponse(status=200), outbound()), Unknown)
    assert API.capabilities.idempotency_key
