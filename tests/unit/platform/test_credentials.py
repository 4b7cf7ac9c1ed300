"""Promises about sealed channel credentials."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.platform import credentials
from shared.platform.models import Channel
from shared.sealing import KeyRing, SealBroken, new_key

RING = KeyRing.parse(new_key())


def channel(channel_id: str, sealed: bytes) -> Channel:
    """A connected account with these sealed bytes."""
    now = datetime(2026, 11, 22, tzinfo=UTC)
    return Channel(
        id=channel_id,
        workspace_id="wsp_1",
        network="facebook",
        name="Page",
        external_id="1001",
        purpose="brand",
        state="active",
        state_reason=None,
        api_base_url="https://graph.example",
        credentials=sealed,
        version=1,
        created_at=now,
        updated_at=now,
    )


def test_an_account_carries_what_was_sealed():
    one = channel("chn_1", credentials.seal(RING, "chn_1", {"app_secret": "żółw"}))

    account = credentials.account(RING, one)

    assert (account.channel_id, account.external_id) == ("chn_1", "1001")
    assert account.api_base_url == "https://graph.example"
    assert account.credentials == {"app_secret": "żółw"}


def test_credentials_copied_to_another_channel_do_not_open():
    one = channel("chn_1", credentials.seal(RING, "chn_1", {"app_secret": "canary"}))

    with pytest.raises(SealBroken):
        credentials.unseal(RING, replace(one, id="chn_2"))


def test_sealed_credentials_show_nothing():
    assert b"canary" not in credentials.seal(RING, "chn_1", {"app_secret": "canary"})
