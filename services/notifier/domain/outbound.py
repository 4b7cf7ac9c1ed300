"""What leaves, as its network needs it."""

from datetime import timedelta

from services.notifier.domain.moderation import Moderation
from services.notifier.domain.replies import Reply
from shared.events import moderation as ordered
from shared.events import tickets
from shared.networks.port import OutboundModeration, OutboundReply


def reply_of(order: tickets.Reply, reply: Reply, *, sender_external_id: str) -> OutboundReply:
    """What was ordered, at the time of its claim."""
    age = timedelta(0)
    if order.message_at is not None and reply.claimed_at is not None:
        age = max(age, reply.claimed_at - order.message_at)
    return OutboundReply(
        text=order.text,
        kind=order.kind,
        message_kind=order.message_kind,
        in_reply_to_external_id=order.in_reply_to_external_id,
        correlation_id=order.correlation_id,
        recipient_external_id=order.recipient_external_id,
        attachments=order.attachments,
        template=order.template,
        human=order.author.kind == "agent",
        message_age=age,
        attempted_at=reply.claimed_at,
        sender_external_id=sender_external_id,
    )


def moderation_of(order: ordered.Moderation, moderation: Moderation) -> OutboundModeration:
    """What was asked for, at the time of its claim."""
    return OutboundModeration(
        id=order.id,
        operation=order.operation,
        message_kind=order.message_kind,
        external_id=order.external_id,
        own=order.own,
        author_external_id=order.author_external_id,
        attempted_at=moderation.claimed_at,
    )
