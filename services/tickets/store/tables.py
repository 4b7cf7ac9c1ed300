"""The tables of the `tickets` schema."""

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from shared.db.migrate import Schema
from shared.db.tables import INSTANT, add_kernel_tables, column, schema_metadata, stamp

METADATA: Final = schema_metadata("tickets")
add_kernel_tables(METADATA)

ACTIVE: Final = "state IN ('open', 'pending', 'snoozed')"
"""A customer has at most one ticket in these states."""

CLOSED: Final = "state IN ('resolved', 'merged')"
"""The archive: far more than what is active."""

_ARCHIVES: Final = {
    "": ("workspace_id", "state"),
    "_team": ("workspace_id", "state", "team_id"),
    "_owner": ("workspace_id", "state", "owner_id"),
}

fence = sa.Sequence("fence", metadata=METADATA, schema="tickets")
"""One sequence for all leases: a later holder's number is greater, whatever the scope."""

customer = sa.Table(
    "customer",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("name", sa.Text, nullable=True),
    column("attributes", pg.JSONB, server_default="{}"),
    column("merged_into", sa.Text, nullable=True),
    column("version", sa.BigInteger, server_default="1"),
    column("tags", pg.ARRAY(sa.Text), server_default="{}"),
    column("links", sa.BigInteger, server_default="0", comment="how often accounts came or went"),
    stamp(),
    sa.Index("ix_customer_page", "workspace_id", "id"),
)
customer_change = sa.Table(
    "customer_change",
    METADATA,
    column("customer_id", sa.Text, primary_key=True),
    column("version", sa.BigInteger, primary_key=True),
    column("workspace_id", sa.Text),
    column("actor", pg.JSONB),
    column("reason", sa.Text),
    column("data", pg.JSONB),
    column("at", INSTANT, server_default=sa.text("clock_timestamp()")),
)
identity = sa.Table(
    "identity",
    METADATA,
    column("workspace_id", sa.Text, primary_key=True),
    column("network", sa.Text, primary_key=True),
    column("scope", sa.Text, primary_key=True, comment="the channel's id, or '' where ids hold for the whole network"),
    column("external_id", sa.Text, primary_key=True),
    column("customer_id", sa.Text),
    column("home_customer_id", sa.Text, comment="the customer that it was created with: where unlinking returns it"),
    column("handle", sa.Text, nullable=True),
    column("name", sa.Text, nullable=True),
    column("evidence", pg.JSONB, nullable=True, comment="why it was linked: kind, by whom, when"),
    stamp(),
    sa.Index("ix_identity_customer", "workspace_id", "customer_id"),
)
ticket = sa.Table(
    "ticket",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("customer_id", sa.Text),
    column("customer_name", sa.Text, nullable=True),
    column("customer_handle", sa.Text, nullable=True),
    column("customer_network", sa.Text, nullable=True),
    column("state", sa.Text),
    column("team_id", sa.Text),
    column("owner_id", sa.Text, nullable=True),
    column("offer_id", sa.Text, nullable=True, comment="the assignment that waits for acceptance"),
    column("rank", sa.SmallInteger, comment="0 urgent, 1 high, 2 normal, 3 low: lists sort by it ascending"),
    column("tags", pg.ARRAY(sa.Text), server_default="{}"),
    column("networks", pg.ARRAY(sa.Text), server_default="{}"),
    column("last_seq", sa.BigInteger, server_default="0"),
    column("version", sa.BigInteger, server_default="1"),
    column("changed_by", pg.JSONB, comment="actor of the last change: who 412 names"),
    column("change", sa.Text, comment="the last change in one word: what 412 says was changed"),
    column("waiting_since", INSTANT, nullable=True, comment="the oldest customer's message without an answer"),
    column("snoozed_until", INSTANT, nullable=True),
    column("resolved_at", INSTANT, nullable=True),
    column("merged_into", sa.Text, nullable=True),
    stamp(),
    stamp("updated_at"),
    sa.CheckConstraint("state IN ('open', 'pending', 'snoozed', 'resolved', 'merged')", name="state"),
    sa.CheckConstraint("rank BETWEEN 0 AND 3", name="rank"),
    sa.Index("uq_ticket_open", "workspace_id", "customer_id", unique=True, postgresql_where=sa.text(ACTIVE)),
    sa.Index("ix_ticket_customer", "workspace_id", "customer_id"),
    sa.Index("ix_ticket_merged", "merged_into", postgresql_where=sa.text("merged_into IS NOT NULL")),
    sa.Index("ix_ticket_all", "workspace_id", "rank", "id", postgresql_where=sa.text(ACTIVE)),
    sa.Index("ix_ticket_team", "workspace_id", "team_id", "rank", "id", postgresql_where=sa.text(ACTIVE)),
    sa.Index("ix_ticket_owner", "workspace_id", "owner_id", "rank", "id", postgresql_where=sa.text(ACTIVE)),
    sa.Index("ix_ticket_recent", "workspace_id", "updated_at", "id", postgresql_where=sa.text(ACTIVE)),
    # Those of the archive are written when a ticket is resolved, and not with every message.
    *(
        sa.Index(f"ix_ticket_closed{whose}_{key}", *columns, key, "id", postgresql_where=sa.text(CLOSED))
        for whose, columns in _ARCHIVES.items()
        for key in ("rank", "updated_at")
    ),
    # Where a queue is listed and drained: what nobody owns.
    sa.Index(
        "ix_ticket_queue",
        "workspace_id",
        "team_id",
        "rank",
        "id",
        postgresql_where=sa.text(f"owner_id IS NULL AND {ACTIVE}"),
    ),
)
ticket_label = sa.Table(
    "ticket_label",
    METADATA,
    # Row security keeps array searches away from their index; equality of text goes through it.
    column("workspace_id", sa.Text, primary_key=True),
    column("label", sa.Text, primary_key=True, comment="`tag:` or `network:` and a name, of active tickets"),
    column("rank", sa.SmallInteger, primary_key=True),
    column("ticket_id", sa.Text, primary_key=True),
    sa.Index("ix_ticket_label_ticket", "ticket_id"),
)
conversation = sa.Table(
    "conversation",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("ticket_id", sa.Text, primary_key=True, comment="people who write under one post share a conversation"),
    column("workspace_id", sa.Text),
    column("channel_id", sa.Text),
    column("network", sa.Text),
    column("kind", sa.Text),
    stamp(),
    sa.Index("ix_conversation_ticket", "ticket_id"),
)
message = sa.Table(
    "message",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("ticket_id", sa.Text, nullable=True, comment="null: ignored by a rule, or not received yet"),
    column("conversation_id", sa.Text),
    column("channel_id", sa.Text),
    column("network", sa.Text),
    column("kind", sa.Text),
    column("direction", sa.Text),
    column("origin", sa.Text),
    column("external_id", sa.Text),
    column("seq", sa.BigInteger, nullable=True, comment="its place in the ticket's timeline"),
    column("text", sa.Text, nullable=True),
    column("state", sa.Text, server_default="visible"),
    column("received", sa.Boolean, comment="false: only an edit or a deletion of it was seen so far"),
    column("provider_version", sa.Text, server_default=""),
    column("reactions", pg.JSONB, server_default="{}", comment="reactor to emoji"),
    column("data", pg.JSONB, comment="the whole message as ingest last said it"),
    column("occurred_at", INSTANT),
    stamp(),
    sa.CheckConstraint("state IN ('visible', 'hidden', 'deleted')", name="state"),
    sa.Index("ix_message_ticket", "ticket_id", "seq"),
    sa.Index("ix_message_conversation", "conversation_id", "occurred_at"),
)
search = sa.Table(
    "search",
    METADATA,
    # Searched only through the function `tickets.find`, which is bound to the session's workspace: row security is
    # not forced on its owner here, because a policy would keep the search away from the index.
    column("id", sa.Text, primary_key=True, comment="a message's id, or a customer's"),
    column("workspace_id", sa.Text),
    column("text", sa.Text),
    column("at", INSTANT),
    sa.Index(
        "ix_search_text",
        "workspace_id",
        "text",
        postgresql_using="gin",
        postgresql_ops={"text": "gin_trgm_ops"},
    ),
    sa.Index("ix_search_recent", "workspace_id", "at"),
)
turn = sa.Table(
    "turn",
    METADATA,
    column("message_id", sa.Text, primary_key=True, comment="the customer's message that opened it"),
    column("workspace_id", sa.Text),
    column("ticket_id", sa.Text),
    column("conversation_id", sa.Text),
    column("seq", sa.BigInteger),
    column("answer_id", sa.Text, nullable=True, comment="latest finished answer: a reply's id or a native message's"),
    column("answer_actor", pg.JSONB, nullable=True),
    column("answer_seq", sa.BigInteger, nullable=True),
    sa.Index("ix_turn_open", "ticket_id", "conversation_id", "seq"),
)
entry = sa.Table(
    "entry",
    METADATA,
    column("ticket_id", sa.Text, primary_key=True),
    column("seq", sa.BigInteger, primary_key=True),
    column("workspace_id", sa.Text),
    column("kind", sa.Text, comment="message, native, reply, note, or what was done: the timeline and the audit"),
    column("actor", pg.JSONB),
    column("message_id", sa.Text, nullable=True),
    column("reply_id", sa.Text, nullable=True),
    column("conversation_id", sa.Text, nullable=True),
    column("event_id", sa.Text, nullable=True, comment="what makes the redelivery of an edit or a deletion harmless"),
    column("moves", sa.Boolean, comment="a customer's message or an answer: what the traffic cop looks at"),
    column("data", pg.JSONB, server_default="{}"),
    column("at", INSTANT, server_default=sa.text("clock_timestamp()")),
    sa.Index("ix_entry_event", "event_id", postgresql_where=sa.text("event_id IS NOT NULL")),
)
assignment = sa.Table(
    "assignment",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("ticket_id", sa.Text),
    column("team_id", sa.Text),
    column("agent_id", sa.Text, nullable=True),
    column("state", sa.Text),
    column("strategy", sa.Text),
    column("reason", sa.Text, nullable=True),
    column("candidates", pg.JSONB, server_default="[]"),
    column("expires_at", INSTANT, nullable=True),
    stamp(),
    column("ended_at", INSTANT, nullable=True),
    sa.CheckConstraint("state IN ('queued', 'offered', 'accepted', 'declined', 'expired', 'released')", name="state"),
    sa.Index("ix_assignment_ticket", "ticket_id", "id"),
    sa.Index("uq_assignment_current", "ticket_id", unique=True, postgresql_where=sa.text("ended_at IS NULL")),
    sa.Index("ix_assignment_agent", "workspace_id", "agent_id", postgresql_where=sa.text("ended_at IS NULL")),
)
agent_load = sa.Table(
    "agent_load",
    METADATA,
    column("workspace_id", sa.Text, primary_key=True),
    column("agent_id", sa.Text, primary_key=True),
    column("load", sa.Integer, server_default="0", comment="owned and offered tickets that are not resolved"),
    column("last_assigned_at", INSTANT, nullable=True),
    sa.CheckConstraint("load >= 0", name="load"),
)
lease = sa.Table(
    "lease",
    METADATA,
    column("scope", sa.Text, primary_key=True, comment="a customer's id, or a ticket's where the workspace says so"),
    column("workspace_id", sa.Text),
    column("fence", sa.BigInteger),
    column("holder_id", sa.Text, nullable=True, comment="null: nobody; the fence stays"),
    column("holder_kind", sa.Text, nullable=True),
    column("holder_name", sa.Text, nullable=True),
    column("session", sa.Text, nullable=True),
    column("acquired_at", INSTANT, nullable=True),
    column("active_at", INSTANT, nullable=True, comment="last activity: idle holders are released softly"),
    column("expires_at", INSTANT, nullable=True),
    column("hard_until", INSTANT, nullable=True),
    # Kept with the lease so that a heartbeat is one statement, without a look at the workspace's settings.
    column("ttl", sa.Interval, server_default="0"),
    column("idle", sa.Interval, server_default="0"),
    column("wanted_by", pg.JSONB, nullable=True, comment="who asked for it"),
    column("wanted_until", INSTANT, nullable=True, comment="then the one who asked may take it"),
    # Half-empty pages: heartbeats update in place without touching the index.
    postgresql_with={"fillfactor": "70"},
)
presence = sa.Table(
    "presence",
    METADATA,
    column("ticket_id", sa.Text, primary_key=True),
    column("agent_id", sa.Text, primary_key=True),
    column("session", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("agent_name", sa.Text, nullable=True),
    column("level", sa.Text),
    column("expires_at", INSTANT),
    sa.CheckConstraint("level IN ('viewing', 'composing')", name="level"),
    sa.Index("ix_presence_agent", "workspace_id", "agent_id"),
    postgresql_with={"fillfactor": "70"},
)
reply = sa.Table(
    "reply",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("ticket_id", sa.Text),
    column("customer_id", sa.Text),
    column("conversation_id", sa.Text),
    column("channel_id", sa.Text),
    column("seq", sa.BigInteger),
    column("author_id", sa.Text),
    column("author", pg.JSONB),
    column("state", sa.Text),
    column("kind", sa.Text),
    column("text", sa.Text),
    column("normalized_text", sa.Text, comment="how an echo without correlation is recognized"),
    column("data", pg.JSONB, comment="the whole order as the notifier got it"),
    column("fence", sa.BigInteger),
    column("seen_seq", sa.BigInteger),
    column("correlation_id", sa.Text),
    column("external_id", sa.Text, nullable=True),
    column("override", sa.Boolean, server_default=sa.text("false")),
    column("reason", sa.Text, nullable=True),
    column("ask_after", INSTANT, nullable=True),
    stamp(),
    column("settled_at", INSTANT, nullable=True),
    sa.CheckConstraint(
        "state IN ('queued', 'sending', 'sent', 'failed', 'unknown', 'cancelled', 'held')", name="state"
    ),
    sa.UniqueConstraint("correlation_id"),
    sa.Index("ix_reply_ticket", "ticket_id", "seq"),
    sa.Index(
        "ix_reply_unfinished",
        "workspace_id",
        "conversation_id",
        postgresql_where=sa.text("state IN ('queued', 'sending', 'unknown')"),
    ),
    sa.Index("ix_reply_waiting", "ticket_id", postgresql_where=sa.text("state IN ('queued', 'sending', 'unknown')")),
    sa.Index("ix_reply_customer", "workspace_id", "customer_id"),
    # A reply to which the network gave no name is recognized by its words.
    sa.Index(
        "ix_reply_nameless", "conversation_id", postgresql_where=sa.text("state = 'sent' AND external_id IS NULL")
    ),
    sa.Index("ix_reply_external", "channel_id", "external_id", postgresql_where=sa.text("external_id IS NOT NULL")),
)
reply_turn = sa.Table(
    "reply_turn",
    METADATA,
    column("reply_id", sa.Text, primary_key=True),
    column("message_id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("after", sa.Text, nullable=True),
    sa.Index("ix_reply_turn_message", "message_id"),
)
echo = sa.Table(
    "echo",
    METADATA,
    column("message_id", sa.Text, primary_key=True, comment="the network's outbound item that waits to be told apart"),
    column("workspace_id", sa.Text),
    column("ticket_id", sa.Text),
    column("reply_id", sa.Text, comment="the unfinished reply with the same text"),
    column("conversation_id", sa.Text),
    column("external_id", sa.Text),
    column("data", pg.JSONB),
    stamp(),
    sa.Index("ix_echo_reply", "reply_id"),
)
rule_reply = sa.Table(
    "rule_reply",
    METADATA,
    column("message_id", sa.Text, primary_key=True),
    column("kind", sa.Text, primary_key=True, comment="public or private"),
    column("workspace_id", sa.Text),
    column("customer_id", sa.Text),
    column("ticket_id", sa.Text),
    column("rule", sa.Text),
    column("outcome", sa.Text),
    column("reply_id", sa.Text, nullable=True),
    stamp(),
    sa.CheckConstraint("kind IN ('public', 'private')", name="kind"),
    sa.CheckConstraint("outcome IN ('queued', 'refused', 'unsendable')", name="outcome"),
    sa.Index("ix_rule_reply_ticket", "ticket_id"),
    sa.Index("ix_rule_reply_customer", "workspace_id", "customer_id", "created_at"),
)
draft = sa.Table(
    "draft",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("ticket_id", sa.Text),
    column("agent_id", sa.Text),
    column("text", sa.Text),
    column("reason", sa.Text, comment="typed, or why a reply was refused or held"),
    column("in_reply_to", sa.Text, nullable=True),
    column("reply_id", sa.Text, nullable=True),
    column("seen_seq", sa.BigInteger, nullable=True),
    column(
        "data", pg.JSONB, server_default="{}", comment="the rest of what was to be sent: kind, attachments, template"
    ),
    stamp(),
    stamp("updated_at"),
    sa.Index("ix_draft_ticket", "workspace_id", "ticket_id", "agent_id"),
    sa.Index("uq_draft_typed", "ticket_id", "agent_id", unique=True, postgresql_where=sa.text("reason = 'typed'")),
)
collision = sa.Table(
    "collision",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("ticket_id", sa.Text),
    column("outcome", sa.Text),
    column("kind", sa.Text),
    column("agent_id", sa.Text, nullable=True),
    column("other", pg.JSONB, nullable=True),
    column("reply_id", sa.Text, nullable=True),
    column("message_id", sa.Text, nullable=True),
    stamp(),
    sa.CheckConstraint("outcome IN ('prevented', 'overridden', 'happened')", name="outcome"),
    sa.Index("ix_collision_page", "workspace_id", "id"),
    sa.Index("ix_collision_ticket", "ticket_id"),
)

moderation = sa.Table(
    "moderation",
    METADATA,
    column("id", sa.Text, primary_key=True, comment="of a rule: made of its decision, the message and the operation"),
    column("number", sa.BigInteger, sa.Identity(always=True), comment="the later of two that contradict each other"),
    column("workspace_id", sa.Text),
    column("message_id", sa.Text),
    column("operation", sa.Text),
    column("actor", pg.JSONB),
    column("rule", sa.Text, nullable=True, comment="which rule asked for it; null: the actor did"),
    column("state", sa.Text, server_default="requested"),
    column("stands", sa.Boolean, server_default=sa.text("true"), comment="it waits, or is done and was not undone"),
    column("reason", sa.Text, nullable=True),
    column("code", sa.Text, nullable=True),
    stamp(),
    column("settled_at", INSTANT, nullable=True),
    sa.CheckConstraint("operation IN ('hide', 'unhide', 'delete', 'like')", name="operation"),
    sa.CheckConstraint("state IN ('requested', 'done', 'failed', 'unsupported')", name="state"),
    sa.Index("uq_moderation_standing", "message_id", "operation", unique=True, postgresql_where=sa.text("stands")),
    sa.Index("ix_moderation_message", "message_id", "number"),
)
saved_view = sa.Table(
    "saved_view",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("agent_id", sa.Text, nullable=True, comment="whose it is; null: everybody's"),
    column("name", sa.Text),
    column("query", pg.JSONB, comment="the parameters of the list"),
    column("version", sa.BigInteger, server_default="1"),
    stamp(),
    sa.Index("ix_saved_view_page", "workspace_id", "id"),
)

SCHEMA: Final = Schema(name="tickets", metadata=METADATA, folder=Path(__file__).parents[1] / "migrations")
