"""The generic channel: any source that posts signed JSON, and takes replies as signed JSON (Standard Webhooks)."""

from datetime import datetime, timedelta
from typing import ClassVar, Final, get_args

from shared.events.messages import Kind
from shared.networks.api import inbound, outbound
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

_ITEMS: Final[frozenset[Kind]] = frozenset(get_args(Kind)) - {"reaction"}


class Api:
    """One integration. It names threads, people and messages as it likes, as long as it keeps to its names."""

    name: ClassVar[str] = "api"
    capabilities: ClassVar[Capabilities] = Capabilities(
        public_reply=True,
        private_reply=True,
        # By contract: an integration answers 405 or 501 to what it does not do.
        hide=_ITEMS,
        delete=_ITEMS,
        delete_own=_ITEMS,
        like=_ITEMS,
        # By contract: an integration posts what it sends, with the id that we gave it.
        echo=True,
        correlation=True,
        idempotency_key=True,
        query_lag=timedelta(0),
    )
    secret_names: ClassVar[tuple[str, ...]] = ("secret", "secret_previous", "reply_url")
    required_credentials: ClassVar[tuple[str, ...]] = ("secret",)

    def handshake(self, request: WebhookRequest, account: Account) -> WebhookAnswer | None:  # noqa: ARG002
        """There is none."""
        return None

    def verify(self, request: WebhookRequest, account: Account, *, now: datetime) -> bool:
        """Signature and timestamp."""
        return inbound.verify(request, account, now=now)

    def delivery_key(self, request: WebhookRequest) -> str:
        """The sender's own id of the delivery."""
        return inbound.delivery_key(request)

    def parse(self, raw: bytes) -> Parsed:
        """One message, or a batch."""
        return inbound.parse(raw)

    def acknowledge(self) -> WebhookAnswer:
        """Kept; what becomes of it is asked at the inbox."""
        return WebhookAnswer(status=202, body=b'{"status":"accepted"}', content_type="application/json")

    def reply(self, account: Account, reply: OutboundReply) -> HttpRequest:
        """Needs `attempted_at` of the reply, which the signature covers."""
        return outbound.reply(account, reply)

    def interpret(self, response: HttpResponse) -> Outcome:
        """Reads the integration's status code, and its id for the reply if it tells one."""
        return outbound.interpret(response)

    def moderate(self, account: Account, moderation: OutboundModeration) -> HttpRequest:
        """Needs `attempted_at`, which the signature covers."""
        check_moderation(self, moderation)
        return outbound.moderate(account, moderation)

    def interpret_moderation(self, response: HttpResponse, moderation: OutboundModeration) -> Outcome:  # noqa: ARG002
        """Reads the integration's status code."""
        return outbound.interpret_moderation(response)

    def query(self, account: Account, reply: OutboundReply) -> HttpRequest | None:  # noqa: ARG002
        """An integration cannot be asked; sending again under the same id is harmless instead."""
        return None

    def interpret_query(self, response: HttpResponse, reply: OutboundReply) -> Sent | NotThere | Unknown:  # noqa: ARG002
        """Nothing was asked."""
        return Unknown(reason="the generic channel cannot be asked")
