"""A channel's credentials, sealed as one: ingest's API writes them, ingest and notifier open them."""

from collections.abc import Mapping

import msgspec

from shared.networks.port import Account
from shared.platform.models import Channel
from shared.sealing import KeyRing


def seal(ring: KeyRing, channel_id: str, credentials: Mapping[str, str]) -> bytes:
    """What `Channel.credentials` holds; nobody else's row can use it."""
    return ring.seal(msgspec.json.encode(dict(credentials)), context=_context(channel_id))


def unseal(ring: KeyRing, channel: Channel) -> dict[str, str]:
    """The credentials by name; KeyUnknown or SealBroken where they cannot be had."""
    return msgspec.json.decode(ring.open(channel.credentials, context=_context(channel.id)), type=dict[str, str])


def account(ring: KeyRing, channel: Channel) -> Account:
    """The channel as the network adapters see it, credentials unsealed."""
    return Account(
        channel_id=channel.id,
        external_id=channel.external_id,
        credentials=unseal(ring, channel),
        api_base_url=channel.api_base_url,
    )


def _context(channel_id: str) -> str:
    return f"channel:{channel_id}:credentials"
