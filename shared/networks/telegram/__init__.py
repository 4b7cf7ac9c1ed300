"""Telegram: a bot's chats, the groups that it is in, and the business account that it works for."""

from datetime import datetime
from typing import ClassVar

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
    WebhookAnswer,
    WebhookRequest,
    check_moderation,
)
from shared.networks.telegram import inbound, outbound


class Telegram:
    """One bot. Its external id is the bot's; updates do not name it, because each bot has its own webhook.

    A bot neither sees what it sent nor can look it up: what became of an `unknown` reply only a person can tell.
    """

    name: ClassVar[str] = "telegram"
    capabilities: ClassVar[Capabilities] = Capabilities(
        public_reply=True,
        private_reply=True,
        delete=outbound.IN_GROUPS,
        like=outbound.IN_GROUPS,
        text_limit=outbound.TEXT_LIMIT,
        identity_scope="network",
    )
    secret_names: ClassVar[tuple[str, ...]] = ("secret_token", "secret_token_previous", "bot_token")
    required_credentials: ClassVar[tuple[str, ...]] = ("secret_token", "bot_token")

    def handshake(self, request: WebhookRequest, account: Account) -> WebhookAnswer | None:  # noqa: ARG002
        """There is none: `setWebhook` believes the bot's token."""
        return None

    def verify(self, request: WebhookRequest, account: Account, *, now: datetime) -> bool:  # noqa: ARG002
        """Checks the caller's secret, which stands beside the body and signs nothing."""
        return inbound.verify(request, account)

    def delivery_key(self, request: WebhookRequest) -> str:
        """The number of the update."""
        return inbound.delivery_key(request.body)

    def parse(self, raw: bytes) -> Parsed:
        """One update."""
        return inbound.parse(raw)

    def acknowledge(self) -> WebhookAnswer:
        """An empty 200: a body would be read as a call of the API."""
        return WebhookAnswer()

    def reply(self, account: Account, reply: OutboundReply) -> HttpRequest:
        """A message that quotes the one it answers."""
        return outbound.reply(account, reply)

    def interpret(self, response: HttpResponse) -> Outcome:
        """Reads the Bot API's answer."""
        return outbound.interpret(response)

    def moderate(self, account: Account, moderation: OutboundModeration) -> HttpRequest:
        """Deletes messages in groups, where the bot may, and likes them."""
        check_moderation(self, moderation)
        return outbound.moderate(account, moderation)

    def interpret_moderation(self, response: HttpResponse, moderation: OutboundModeration) -> Outcome:  # noqa: ARG002
        """Reads the Bot API's answer."""
        return outbound.interpret_moderation(response)

    def query(self, account: Account, reply: OutboundReply) -> HttpRequest | None:  # noqa: ARG002
        """A bot cannot look up what it sent."""
        return None

    def interpret_query(self, response: HttpResponse, reply: OutboundReply) -> Sent | NotThere | Unknown:  # noqa: ARG002
        """Nothing was asked."""
        return Unknown(reason="Telegram cannot be asked")
