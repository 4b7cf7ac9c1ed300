"""What leaves for Telegram: lengths as it counts, what it cannot take, and what a person has to settle."""

from dataclasses import replace

import pytest

from shared.errors import Rejected
from shared.events.messages import Attachment
from shared.networks.port import Account, OutboundReply
from shared.networks.registry import get
from tests.support.networks.sample import direct, outbound
from tests.support.networks.telegram import GROUP, telegram

PRIVATE = direct(in_reply_to_external_id="3003:9001")
PHOTO = (Attachment(kind="image", url="https://cdn.example/a.png"),)


def test_an_emoji_counts_twice() -> None:
    get("telegram").reply(telegram().account, replace(PRIVATE, text="📦" * 2048))
    with pytest.raises(Rejected, match="4098"):
        get("telegram").reply(telegram().account, replace(PRIVATE, text="📦" * 2049))


def test_a_caption_is_shorter_than_a_message() -> None:
    get("telegram").reply(telegram().account, replace(PRIVATE, text="x" * 1024, attachments=PHOTO))
    with pytest.raises(Rejected, match="1024"):
        get("telegram").reply(telegram().account, replace(PRIVATE, text="x" * 1025, attachments=PHOTO))


@pytest.mark.parametrize(
    "reply",
    [
        direct(in_reply_to_external_id="m_1"),
        direct(in_reply_to_external_id="a:b:3003:9001"),
        direct(in_reply_to_external_id="@acme:9001"),
        replace(PRIVATE, kind="public"),
        replace(PRIVATE, attachments=PHOTO * 2),
        replace(PRIVATE, attachments=(Attachment(kind="image"),)),
        outbound(kind="private", in_reply_to_external_id=f"{GROUP}:9001", recipient_external_id=str(GROUP)),
        outbound(kind="private", in_reply_to_external_id=f"{GROUP}:9001", recipient_external_id=None),
    ],
)
def test_what_telegram_cannot_take_is_rejected(reply: OutboundReply) -> None:
    with pytest.raises(Rejected):
        get("telegram").reply(telegram().account, reply)


@pytest.mark.parametrize("token", ["", "token", "1:a/../b", "1:a?b", "1:a b"])
def test_what_is_no_token_never_becomes_part_of_a_url(token: str) -> None:
    account = Account(channel_id="chn", external_id="1", credentials={"bot_token": token})
    with pytest.raises(Rejected, match="bot_token") as caught:
        get("telegram").reply(account, PRIVATE)
    assert "/../" not in str(caught.value)


def test_nobody_but_a_person_can_tell_what_became_of_an_unknown_reply() -> None:
    can = get("telegram").capabilities
    assert not can.query
    assert not can.echo
    assert not can.idempotency_key
    assert get("telegram").query(telegram().account, PRIVATE) is None
