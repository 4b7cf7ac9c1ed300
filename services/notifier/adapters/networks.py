"""A reply to its network, and the question what became of it: through the one egress, in the network's own form."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import msgspec

from services.notifier.domain.outbound import outbound
from services.notifier.domain.replies import NotLeft, Outcome, Reply
from shared.egress import Egress, EgressRefused, NotSent, OutcomeUnknown
from shared.errors import Misconfigured, Rejected
from shared.events import tickets
from shared.networks import registry
from shared.networks.port import Account, Failed, HttpRequest, HttpResponse, Network, NotThere, OutboundReply, Sent
from shared.networks.port import Unknown as Doubtful
from shared.platform import credentials
from shared.platform.models import Channel
from shared.sealing import KeyRing

_ORDER: Final = msgspec.json.Decoder(tickets.Reply)


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
        return self._network.interpret(_response(response.status, response.headers, response.body))

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


def prepare(ring: KeyRing, channel: Channel | None, reply: Reply) -> Prepared | Failed:
    """The reply as its channel can send it, or why it cannot."""
    network = registry.NETWORKS.get(reply.network)
    if channel is None or network is None or channel.state != "active":
        state = channel.state if channel else "gone"
        return Failed(code="channel-unusable", reason=f"the channel is {state}")
    try:
        account = credentials.account(ring, channel)
    except (Misconfigured, Rejected) as error:
        return Failed(code="channel-unusable", reason=f"the channel's credentials cannot be opened: {error}")
    order = _ORDER.decode(reply.data)
    return Prepared(network, account, outbound(order, reply, sender_external_id=channel.external_id))


def _response(status: int, headers: Mapping[str, str], body: bytes) -> HttpResponse:
    return HttpResponse(status=status, headers=headers, body=body)
