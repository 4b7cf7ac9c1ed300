"""Facebook: the Page's feed, mentions, reviews and Messenger, in and out."""

from datetime import timedelta
from typing import ClassVar

from shared.networks.facebook import inbound, outbound, queries
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


class Facebook(MetaWebhooks):
    """One Page. Its external id is the Page's id; people's ids mean something to this Page only."""

    name: ClassVar[str] = "facebook"
    capabilities: ClassVar[Capabilities] = Capabilities(
        public_reply=True,
        private_reply=True,
        hide=outbound.COMMENTS,
        delete=outbound.COMMENTS,
        delete_own=outbound.COMMENTS,
        like=outbound.COMMENTS,
        echo=True,
        # In direct messages; the echo of a comment carries the id that our request was answered with.
        correlation=True,
        query=True,
        private_window=sending.WINDOW,
        human_window=sending.LONG_WINDOW,
        text_limit=outbound.TEXT_LIMIT,
        query_lag=timedelta(seconds=60),
    )

    def parse(self, raw: bytes) -> Parsed:
        """Feed, mention, ratings and Messenger."""
        return inbound.parse(raw)

    def reply(self, account: Account, reply: OutboundReply) -> HttpRequest:
        """A comment, a private answer to a comment, or a direct message."""
        return outbound.reply(account, reply)

    def interpret(self, response: HttpResponse) -> Outcome:
        """Reads the Graph API's answer."""
        return graph.interpret(response)

    def moderate(self, account: Account, moderation: OutboundModeration) -> HttpRequest:
        """Of comments only: a visitor's post, a review and a message are theirs."""
        check_moderation(self, moderation)
        return outbound.moderate(account, moderation)

    def interpret_moderation(self, response: HttpResponse, moderation: OutboundModeration) -> Outcome:  # noqa: ARG002
        """Reads the Graph API's answer."""
        return graph.interpret_change(response)

    def query(self, account: Account, reply: OutboundReply) -> HttpRequest | None:
        """None for attachments without text and for private answers to comments: no list would show them."""
        return queries.query(account, reply)

    def interpret_query(self, response: HttpResponse, reply: OutboundReply) -> Sent | NotThere | Unknown:
        """Needs `attempted_at` and `sender_external_id` of the reply."""
        return queries.interpret_query(response, reply)
