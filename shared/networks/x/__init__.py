"""X: mentions, answers, quotes and direct messages, through the X Activity API or the one before it."""

import hashlib
from datetime import datetime, timedelta
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
from shared.networks.x import inbound, outbound, queries, words


class X:
    """One account. Its external id is the user's id; X delivers per app, and each event says whose it is."""

    name: ClassVar[str] = "x"
    capabilities: ClassVar[Capabilities] = Capabilities(
        public_reply=True,
        private_reply=True,
        hide=frozenset({"reply"}),
        delete_own=frozenset({"reply"}),
        like=frozenset({"reply", "mention"}),
        echo=True,
        # Of direct messages; a public answer is settled by its echo.
        query=True,
        text_limit=outbound.MESSAGE_LIMIT,
        public_text_limit=outbound.POST_LIMIT,
        public_length=words.weight,
        query_lag=timedelta(seconds=60),
        identity_scope="network",
    )
    secret_names: ClassVar[tuple[str, ...]] = ("consumer_secret", "consumer_secret_previous", "access_token")
    required_credentials: ClassVar[tuple[str, ...]] = ("consumer_secret", "access_token")

    def handshake(self, request: WebhookRequest, account: Account) -> WebhookAnswer | None:
        """Answers the challenge-response check."""
        return inbound.handshake(request, account)

    def verify(self, request: WebhookRequest, account: Account, *, now: datetime) -> bool:  # noqa: ARG002
        """Checks the signature; X signs no time, so a repeated body is caught by its digest alone."""
        return inbound.verify(request, account)

    def delivery_key(self, request: WebhookRequest) -> str:
        """The new API's name of the event; the old one names nothing and repeats the same bytes: their digest."""
        return inbound.event_uuid(request.body) or hashlib.sha256(request.body).hexdigest()

    def parse(self, raw: bytes) -> Parsed:
        """Events of either API."""
        return inbound.parse(raw)

    def acknowledge(self) -> WebhookAnswer:
        """Any 200 within ten seconds will do."""
        return WebhookAnswer()

    def reply(self, account: Account, reply: OutboundReply) -> HttpRequest:
        """A post that answers, or a direct message."""
        return outbound.reply(account, reply)

    def interpret(self, response: HttpResponse) -> Outcome:
        """Reads the API's answer."""
        return outbound.interpret(response)

    def moderate(self, account: Account, moderation: OutboundModeration) -> HttpRequest:
        """Hides an answer to a post of ours, deletes what the account wrote, and likes any post."""
        check_moderation(self, moderation)
        return outbound.moderate(account, moderation)

    def interpret_moderation(self, response: HttpResponse, moderation: OutboundModeration) -> Outcome:
        """Reads how the post is now."""
        return outbound.interpret_moderation(response, moderation)

    def query(self, account: Account, reply: OutboundReply) -> HttpRequest | None:
        """None for public answers."""
        return queries.query(account, reply)

    def interpret_query(self, response: HttpResponse, reply: OutboundReply) -> Sent | NotThere | Unknown:
        """Needs `attempted_at` and `sender_external_id` of the reply."""
        return queries.interpret_query(response, reply)
