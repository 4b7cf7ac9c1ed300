"""Instagram: comments, live comments, mentions and direct messages of one account, in and out."""

from datetime import datetime, timedelta
from typing import ClassVar

from shared.networks.instagram import inbound, outbound, queries
from shared.networks.meta import graph, sending, webhook
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


class Instagram:
    """One professional account. Its external id is what webhooks call it; people's ids mean something to it only."""

    name: ClassVar[str] = "instagram"
    capabilities: ClassVar[Capabilities] = Capabilities(
        public_reply=True,
        private_reply=True,
        # It carries the id that our request was answered with, and nothing else of ours.
        echo=True,
        query=True,
        private_window=sending.WINDOW,
        human_window=sending.LONG_WINDOW,
        text_limit=outbound.TEXT_LIMIT,
        private_text_bytes=outbound.DIRECT_TEXT_BYTES,
        query_lag=timedelta(seconds=60),
    )
    secret_names: ClassVar[tuple[str, ...]] = (*webhook.SECRETS, "access_token")
    required_credentials: ClassVar[tuple[str, ...]] = ("app_secret", "verify_token", "access_token")

    def handshake(self, request: WebhookRequest, account: Account) -> WebhookAnswer | None:
        """Answers the challenge of a subscription."""
        return webhook.handshake(request, account)

    def verify(self, request: WebhookRequest, account: Account, *, now: datetime) -> bool:  # noqa: ARG002
        """Checks the signature; Instagram signs no time, so a repeated body is caught by its digest alone."""
        return webhook.verify(request, account)

    def delivery_key(self, request: WebhookRequest) -> str:
        """Instagram names no delivery and repeats the same bytes: their digest."""
        return webhook.delivery_key(request)

    def parse(self, raw: bytes) -> Parsed:
        """Comments, mentions and direct messages."""
        return inbound.parse(raw)

    def acknowledge(self) -> WebhookAnswer:
        """Any 200 within five seconds will do."""
        return webhook.acknowledge()

    def reply(self, account: Account, reply: OutboundReply) -> HttpRequest:
        """A comment, an answer to a mention, a private answer to a comment, or a direct message."""
        return outbound.reply(account, reply)

    def interpret(self, response: HttpResponse) -> Outcome:
        """Reads the Graph API's answer."""
        return graph.interpret(response, codes=outbound.CODES)

    def query(self, account: Account, reply: OutboundReply) -> HttpRequest | None:
        """None where no list would show it: under a reply, at a mention, in private to a comment, without text."""
        return queries.query(account, reply)

    def interpret_query(self, response: HttpResponse, reply: OutboundReply) -> Sent | NotThere | Unknown:
        """Needs `attempted_at` and `sender_external_id` of the reply."""
        return queries.interpret_query(response, reply)
