"""WhatsApp: a phone number on the Cloud API, in and out."""

from datetime import timedelta
from typing import ClassVar

from shared.networks.meta import MetaWebhooks
from shared.networks.port import (
    Account,
    Capabilities,
    HttpRequest,
    HttpResponse,
    NotThere,
    OutboundModeration,
    OutboundReply,
    Outcome,
    Parsed,
    Sent,
    Unknown,
    check_moderation,
)
from shared.networks.whatsapp import inbound, outbound


class WhatsApp(MetaWebhooks):
    """One phone number. Its external id is the `phone_number_id`; a delivery may speak of several numbers."""

    name: ClassVar[str] = "whatsapp"
    capabilities: ClassVar[Capabilities] = Capabilities(
        private_reply=True,
        like=frozenset({"dm"}),
        # Statuses carry what we sent along: the first one is the echo.
        echo=True,
        correlation=True,
        private_window=outbound.WINDOW,
        text_limit=outbound.TEXT_LIMIT,
        # Nobody can be asked: until so long after an attempt a status may still come.
        query_lag=timedelta(seconds=60),
    )

    def parse(self, raw: bytes) -> Parsed:
        """Messages, echoes of the business app, and statuses of what we sent."""
        return inbound.parse(raw)

    def reply(self, account: Account, reply: OutboundReply) -> HttpRequest:
        """A message to the customer, or a template where the window is closed."""
        return outbound.reply(account, reply)

    def interpret(self, response: HttpResponse) -> Outcome:
        """Reads the Graph API's answer."""
        return outbound.interpret(response)

    def moderate(self, account: Account, moderation: OutboundModeration) -> HttpRequest:
        """Likes a message, for as long as WhatsApp takes replies; what a customer wrote cannot be removed."""
        check_moderation(self, moderation)
        return outbound.moderate(account, moderation)

    def interpret_moderation(self, response: HttpResponse, moderation: OutboundModeration) -> Outcome:  # noqa: ARG002
        """Reads the Graph API's answer: a reaction is a message."""
        return outbound.interpret(response)

    def query(self, account: Account, reply: OutboundReply) -> HttpRequest | None:  # noqa: ARG002
        """WhatsApp cannot be asked what was sent."""
        return None

    def interpret_query(self, response: HttpResponse, reply: OutboundReply) -> Sent | NotThere | Unknown:  # noqa: ARG002
        """There is no question, so no answer."""
        return Unknown(reason="WhatsApp cannot be asked")
