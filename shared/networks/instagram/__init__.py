"""Instagram: comments, live comments, mentions and direct messages of one account, in and out."""

from datetime import timedelta
from typing import ClassVar

from shared.networks.instagram import inbound, outbound, queries
from shared.networks.meta import MetaWebhooks, graph, sending
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


class Instagram(MetaWebhooks):
    """One professional account. Its external id is what webhooks call it; people's ids mean something to it only."""

    name: ClassVar[str] = "instagram"
    capabilities: ClassVar[Capabilities] = Capabilities(
        public_reply=True,
        private_reply=True,
        hide=outbound.COMMENTS,
        delete=outbound.COMMENTS,
        delete_own=outbound.COMMENTS,
        # It carries the id that our request was answered with, and nothing else of ours.
        echo=True,
        query=True,
        private_window=sending.WINDOW,
        human_window=sending.LONG_WINDOW,
        text_limit=outbound.TEXT_LIMIT,
        private_text_bytes=outbound.DIRECT_TEXT_BYTES,
        query_lag=timedelta(seconds=60),
    )

    def parse(self, raw: bytes) -> Parsed:
        """Comments, mentions and direct messages."""
        return inbound.parse(raw)

    def reply(self, account: Account, reply: OutboundReply) -> HttpRequest:
        """A comment, an answer to a mention, a private answer to a comment, or a direct message."""
        return outbound.reply(account, reply)

    def interpret(self, response: HttpResponse) -> Outcome:
        """Reads the Graph API's answer."""
        return graph.interpret(response, codes=outbound.CODES)

    def moderate(self, account: Account, moderation: OutboundModeration) -> HttpRequest:
        """Hides and deletes comments; of the rest nothing is the account's to change."""
        check_moderation(self, moderation)
        return outbound.moderate(account, moderation)

    def interpret_moderation(self, response: HttpResponse, moderation: OutboundModeration) -> Outcome:  # noqa: ARG002
        """Reads the Graph API's answer."""
        return graph.interpret_change(response, codes=outbound.CODES)

    def query(self, account: Account, reply: OutboundReply) -> HttpRequest | None:
        """None where no list would show it: under a reply, at a mention, in private to a comment, without text."""
        return queries.query(account, reply)

    def interpret_query(self, response: HttpResponse, reply: OutboundReply) -> Sent | NotThere | Unknown:
        """Needs `attempted_at` and `sender_external_id` of the reply."""
        return queries.interpret_query(response, reply)
