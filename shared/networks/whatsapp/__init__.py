"""WhatsApp: a phone number on the Cloud API, in and out."""

from datetime import datetime, timedelta
from typing import ClassVar

from shared.networks.meta import webhook
from shared.networks.port import (
    Account,
    Capabilities,
    HttpRequest,
    HttpResponse,
    NotThere,
    OutboundReply,
    Outcome,
    Parsed,
    Sent,
    Unknown,
    WebhookAnswer,
    WebhookRequest,
)
from shared.networks.whatsapp import inbound, outbound


class WhatsApp:
    """One phone number. Its external id is the `phone_number_id`; a delivery may speak of several numbers."""

    name: ClassVar[str] = "whatsapp"
    capabilities: ClassVar[Capabilities] = Capabilities(
        private_reply=True,
        # Statuses carry what we sent along: the first one is the echo.
        echo=True,
        correlation=True,
        private_window=outbound.WINDOW,
        text_limit=outbound.TEXT_LIMIT,
        # Nobody can be asked: until so long after an attempt a status may still come.
        query_lag=timedelta(seconds=60),
    )
    secret_names: ClassVar[tuple[str, ...]] = (*webhook.SECRETS, "access_token")
    required_credentials: ClassVar[tuple[str, ...]] = ("app_secret", "verify_token", "access_token")

    def handshake(self, request: WebhookRequest, account: Account) -> WebhookAnswer | None:
        """Answers the challenge of a subscription."""
        return webhook.handshake(request, account)

    def verify(self, request: WebhookRequest, account: Account, *, now: datetime) -> bool:  # noqa: ARG002
        """Checks the signature; Meta signs no time, so a repeated body is caught by its digest alone."""
        return webhook.verify(request, account)

    def delivery_key(self, request: WebhookRequest) -> str:
        """The digest of the body."""
        return webhook.delivery_key(request)

    def parse(self, raw: bytes) -> Parsed:
        """Messages, echoes of the business app, and statuses of what we sent."""
        return inbound.parse(raw)

    def acknowledge(self) -> WebhookAnswer:
        """Any 200 will do."""
        return webhook.acknowledge()

    def reply(self, account: Account, reply: OutboundReply) -> HttpRequest:
        """A message to the customer, or a template where the window is closed."""
        return outbound.reply(account, reply)

    def interpret(self, response: HttpResponse) -> Outcome:
        """Reads the Graph API's answer."""
        return outbound.interpret(response)

    def query(self, account: Account, reply: OutboundReply) -> HttpRequest | None:  # noqa: ARG002
        """WhatsApp cannot be asked what was sent."""
        return None

    def interpret_query(self, response: HttpResponse, reply: OutboundReply) -> Sent | NotThere | Unknown:  # noqa: ARG002
        """There is no question, so no answer."""
        return Unknown(reason="WhatsApp cannot be asked")
