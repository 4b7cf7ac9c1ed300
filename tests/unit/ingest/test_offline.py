"""What `baton parse` shows of a body."""

import json

import pytest

from services.ingest.domain.offline import parse_offline
from shared.errors import NotFound
from tests.support.networks.facebook import facebook_change, facebook_comment, facebook_entry, facebook_message


def body(*entries: object) -> bytes:
    """A delivery of these entries."""
    return json.dumps({"object": "page", "entry": entries}).encode()


def test_events_come_first_in_the_bodys_order_and_then_the_rest_with_its_reasons():
    lines = parse_offline(
        "facebook",
        body(facebook_change("poke", x=1), facebook_comment(1), facebook_entry(), {**facebook_message(2), "id": "7"}),
    )

    assert [line.get("event") or line["state"] for line in lines] == [
        "message.received.v1",
        "message.received.v1",
        "ignored",
        "not-understood",
    ]
    assert [line["code"] for line in lines[2:]] == ["empty-entry", "unknown-field"]
    assert lines[0]["message"]["text"] == "Where is my order 1? 📦"


def test_lines_are_json_and_the_same_each_time():
    raw = body(facebook_message(1, is_deleted=True))

    assert json.dumps(parse_offline("facebook", raw)) == json.dumps(parse_offline("facebook", raw))


def test_what_is_no_json_is_said_to_be_none():
    assert [line["state"] for line in parse_offline("facebook", b"<xml/>")] == ["not-understood"]


def test_an_unknown_network_is_refused_by_name():
    with pytest.raises(NotFound, match="telepathy"):
        parse_offline("telepathy", b"{}")
