"""The envelope says what CloudEvents says, and loses nothing."""

from datetime import UTC, datetime

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
from cloudevents.core.formats.json import JSONFormat

from shared.errors import Rejected
from shared.events import envelope
from shared.events.catalogue import EVENT_TYPES
from shared.events.messages import ChannelChanged

AT = datetime(2026, 11, 22, 2, 30, 0, 123456, tzinfo=UTC)
CHANGED = ChannelChanged(
    workspace_id="wsp_1",
    channel_id="chn_1",
    network="facebook",
    name="Page — 日本語 🎉",
    external_id="1",
    purpose="care",
    state="active",
)


def event() -> envelope.Event:
    return envelope.new(
        CHANGED, event_id="evt_1", key="wsp_1:chn_1", time=AT, traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    )


def test_decoding_gives_back_the_event_that_was_encoded():
    encoded = envelope.encode(event())
    assert envelope.decode(encoded.headers, encoded.value) == event()


def test_an_independent_cloudevents_library_reads_the_same_event():
    encoded = envelope.encode(event())
    message = KafkaMessage(headers=dict(encoded.headers), key=encoded.key.encode(), value=encoded.value)
    read = from_binary_event(message, JSONFormat())
    assert read.get_id() == "evt_1"
    assert read.get_type() == "channel.changed.v1"
    assert read.get_source() == "/baton/ingest"
    assert read.get_time() == AT
    assert read.get_specversion() == "1.0"
    assert read.get_data()["name"] == "Page — 日本語 🎉"
    assert read.get_extension("workspaceid") == "wsp_1"


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        ((), b"{}"),
        ((("ce_type", b"nobody.knows.v9"),), b"{}"),
        ((("ce_type", b"channel.changed.v1"),), b"not json"),
        ((("ce_type", b"channel.changed.v1"),), b'{"workspace_id": 7}'),
        ((("ce_type", b"\xff"),), b"{}"),
        (envelope.encode(event()).headers[:2], b"{}"),
    ],
)
def test_foreign_bytes_are_rejected_and_never_raise_anything_else(headers, value):
    with pytest.raises(Rejected):
        envelope.decode(headers, value)


def test_unknown_fields_of_a_newer_writer_are_ignored():
    encoded = envelope.encode(event())
    value = encoded.value[:-1] + b',"added_later":{"x":1}}'
    assert envelope.decode(encoded.headers, value).data == CHANGED


def test_every_type_is_named_noun_participle_and_major():
    assert all(name.count(".") >= 2 and name.endswith(".v1") and name == name.lower() for name in EVENT_TYPES)
