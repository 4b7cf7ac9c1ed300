"""What leaves for a network, and the question what became of it: through the one egress, in the network's own form."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

import msgspec

from services.notifier.domain.moderation import Moderation
from services.notifier.domain.outbound import moderation_of, reply_of
from services.notifier.domain.replies import NotLeft, Outcome, Reply
from shared.egress import Egress, EgressRefused, NotSent, OutcomeUnknown
from shared.errors import Misconfigured, Rejected
from shared.events import moderation as ordered
from shared.events import tickets
from shared.networks import registry
from shared.networks.port import (
    NOT_SUPPORTED,
    Account,
    Failed,
    HttpRequest,
    HttpResponse,
    Network,
    NotThere,
    OutboundModeration,
    OutboundReply,
    Sent,
)
from shared.networks.port import Outcome as Answer
from shared.networks.port import Unknown as Doubtful
from shared.platform import credentials
from shared.platform.models import Channel
from shared.sealing import KeyRing

_ORDER: Final = msgspec.json.Decoder(tickets.Reply)
_MODERATION: Final = msgspec.json.Decoder(ordered.Moderation)


class Prepared:
    """A reply with all that its network needs, before anything is sent."""

    def __init__(self, network: Network, account: Account, reply: OutboundReply) -> None:
        self._network = network
        self._account = account
        self._reply = reply

    def request(self) -> HttpRequest | Failed:
        """The request that sends it, or why the network takes no such reply."""
        try:
            return self._network.reply(self._account, self._reply)
        except Rejected as error:
            return Failed(code="rejected", reason=str(error))

    async def send(self, egress: Egress, request: HttpRequest, *, within: timedelta) -> Outcome:
        """One attempt; whatever happens is an outcome."""
        return await _attempt(egress, request, self._network.interpret, within=within)

    async def ask(self, egress: Egress, *, within: timedelta) -> Sent | NotThere | Doubtful | None:
        """What the network says became of it; None where it cannot be asked about such a reply."""
        try:
            request = self._network.query(self._account, self._reply)
        except Rejected:
            return None
        if request is None:
            return None
        try:
            response = await egress.request(
                request.method, request.url, headers=request.headers, body=request.body, timeout=within
            )
        except (EgressRefused, NotSent, OutcomeUnknown) as error:
            return Doubtful(reason=str(error))
        if response.truncated:
            return Doubtful(reason="the network's answer is too long to be read")
        found = _response(response.status, response.headers, response.body)
        return self._network.interpret_query(found, self._reply)


class PreparedModeration:
    """An operation on an item with all that its network needs, before anything is sent."""

    def __init__(self, network: Network, account: Account, moderation: OutboundModeration) -> None:
        self._network = network
        self._account = account
        self._moderation = moderation

    def request(self) -> HttpRequest | Failed:
        """The request that does it, or why the network cannot."""
        asked = self._moderation
        try:
            return self._network.moderate(self._account, asked)
        except Rejected as error:
            is_able = self._network.capabilities.moderates(asked.operation, asked.message_kind, own=asked.own)
            return Failed(code="rejected" if is_able else NOT_SUPPORTED, reason=str(error))

    async def send(self, egress: Egress, request: HttpRequest, *, within: timedelta) -> Outcome:
        """One attempt; whatever happens is an outcome."""

        def interpret(response: HttpResponse) -> Answer:
            return self._network.interpret_moderation(response, self._moderation)

        return await _attempt(egress, request, interpret, within=within)


def prepare(ring: KeyRing, channel: Channel | None, reply: Reply) -> Prepared | Failed:
    """The reply as its channel can send it, or why it cannot."""
    found = _open(ring, channel, reply.network)
    if isinstance(found, Failed):
        return found
    network, account = found
    order = _ORDER.decode(reply.data)
    return Prepared(network, account, reply_of(order, reply, sender_external_id=account.external_id))


def prepare_moderation(ring: KeyRing, channel: Channel | None, moderation: Moderation) -> PreparedModeration | Failed:
    """The operation as its channel can carry it out, or why it cannot."""
    found = _open(ring, channel, moderation.network)
    if isinstance(found, Failed):
        return found
    network, account = found
    return PreparedModeration(network, account, moderation_of(_MODERATION.decode(moderation.data), moderation))


def _open(ring: KeyRing, channel: Channel | None, name: str) -> tuple[Network, Account] | Failed:
    network = registry.NETWORKS.get(name)
    if channel is None or network is None or channel.state != "active":
        return _unusable(channel)
    try:
        return network, credentials.account(ring, channel)
    except (Misconfigured, Rejected) as error:
        return Failed(code="channel-unusable", reason=f"the channel's credentials cannot be opened: {error}")


def _unusable(channel: Channel | None) -> Failed:
    return Failed(code="channel-unusable", reason=f"the channel is {channel.state if channel else 'gone'}")


async def _attempt(
    egress: Egress, request: HttpRequest, interpret: Callable[[HttpResponse], Answer], *, within: timedelta
) -> Outcome:
    try:
        response = await egress.request(
            request.method, request.url, headers=request.headers, body=request.body, timeout=within
        )
    except EgressRefused as error:
        return Failed(code="egress-refused", reason=str(error))
    except NotSent as error:
        return NotLeft(reason=str(error), retry_after=error.retry_after or 0.0)
    except OutcomeUnknown as error:
        return Doubtful(reason=str(error))
    return interpret(_response(response.status, response.headers, response.body))


def _response(status: int, headers: Mapping[str, str], body: bytes) -> HttpResponse:
    return HttpResponse(status=status, headers=headers, body=body)
