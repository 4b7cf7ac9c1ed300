"""The catalogue: every event type with its class, topic, owner and key. Nothing else may be published."""

from dataclasses import dataclass
from typing import Final

from shared.events import customers, deliveries, duties, messages, moderation, routing, surges, tickets
from shared.events.payload import Payload

MESSAGES: Final = "baton.messages.v1"
ROUTING: Final = "baton.routing.v1"
TICKETS: Final = "baton.tickets.v1"
DELIVERIES: Final = "baton.deliveries.v1"
PRESENCE: Final = "baton.presence.v1"
SURGES: Final = "baton.surges.v1"

TOPICS: Final[dict[str, str]] = {
    MESSAGES: "workspace, channel and conversation",
    ROUTING: "workspace, channel and conversation (`ticket.routed.v1`: ticket)",
    TICKETS: "ticket (`customer.changed.v1`: customer, `duty.changed.v1`: team, `availability.changed.v1`: agent, "
    "`moderation.*` of an item that no ticket holds: message)",
    DELIVERIES: "ticket (`moderation.settled.v1`: message)",
    PRESENCE: "ticket",
    SURGES: "workspace",
}
"""Topic names and what their key is made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType:
    """One line of the catalogue."""

    name: str
    payload: type[Payload]
    topic: str
    owner: str


def _types(topic: str, owner: str, **payloads: type[Payload]) -> list[EventType]:
    return [
        EventType(name=f"{name.replace('_', '.')}.v1", payload=payload, topic=topic, owner=owner)
        for name, payload in payloads.items()
    ]


EVENT_TYPES: Final[dict[str, EventType]] = {
    entry.name: entry
    for entry in [
        *_types(
            MESSAGES,
            "ingest",
            message_received=messages.MessageReceived,
            message_edited=messages.MessageEdited,
            message_deleted=messages.MessageDeleted,
            message_hidden=messages.MessageHidden,
            message_unhidden=messages.MessageUnhidden,
            message_reacted=messages.MessageReacted,
            message_corrected=messages.MessageCorrected,
            message_undelivered=messages.MessageUndelivered,
            channel_changed=messages.ChannelChanged,
        ),
        *_types(ROUTING, "router", message_routed=routing.MessageRouted, ticket_routed=routing.TicketRouted),
        *_types(
            TICKETS,
            "tickets",
            ticket_created=tickets.TicketCreated,
            ticket_updated=tickets.TicketUpdated,
            ticket_reopened=tickets.TicketReopened,
            ticket_flagged=tickets.TicketFlagged,
            ticket_merged=tickets.TicketMerged,
            assignment_offered=tickets.AssignmentOffered,
            assignment_accepted=tickets.AssignmentAccepted,
            assignment_declined=tickets.AssignmentDeclined,
            assignment_expired=tickets.AssignmentExpired,
            assignment_released=tickets.AssignmentReleased,
            lease_acquired=tickets.LeaseAcquired,
            lease_released=tickets.LeaseReleased,
            lease_revoked=tickets.LeaseRevoked,
            reply_queued=tickets.ReplyQueued,
            reply_cancelled=tickets.ReplyCancelled,
            reply_settled=tickets.ReplySettled,
            note_added=tickets.NoteAdded,
            draft_kept=tickets.DraftKept,
            collision_prevented=tickets.CollisionPrevented,
            collision_overridden=tickets.CollisionOverridden,
            collision_happened=tickets.CollisionHappened,
            echo_matched=tickets.EchoMatched,
            answer_detected=tickets.AnswerDetected,
            moderation_requested=moderation.ModerationRequested,
            moderation_concluded=moderation.ModerationConcluded,
            customer_changed=customers.CustomerChanged,
            duty_changed=duties.DutyChanged,
            availability_changed=duties.AvailabilityChanged,
        ),
        *_types(
            DELIVERIES,
            "notifier",
            reply_sent=deliveries.ReplySent,
            reply_failed=deliveries.ReplyFailed,
            reply_unknown=deliveries.ReplyUnknown,
            reply_held=deliveries.ReplyHeld,
            moderation_settled=deliveries.ModerationSettled,
        ),
        *_types(PRESENCE, "tickets", presence_changed=deliveries.PresenceChanged),
        *_types(SURGES, "router", surge_began=surges.SurgeBegan, surge_ended=surges.SurgeEnded),
    ]
}

TYPE_OF: Final[dict[type[Payload], EventType]] = {entry.payload: entry for entry in EVENT_TYPES.values()}
