"""What tickets keeps."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.db.roles import secure

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Forward only."""
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gin")
    op.create_table(
        "agent_load",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column(
            "load",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="owned and offered tickets that are not resolved",
        ),
        sa.Column("last_assigned_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("load >= 0", name=op.f("ck_agent_load_load")),
        sa.PrimaryKeyConstraint("workspace_id", "agent_id", name=op.f("pk_agent_load")),
        schema="tickets",
    )
    op.create_table(
        "assignment",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("ticket_id", sa.Text(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("candidates", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'offered', 'accepted', 'declined', 'expired', 'released')",
            name=op.f("ck_assignment_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assignment")),
        schema="tickets",
    )
    op.create_index(
        "ix_assignment_agent",
        "assignment",
        ["workspace_id", "agent_id"],
        unique=False,
        schema="tickets",
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("ix_assignment_ticket", "assignment", ["ticket_id", "id"], unique=False, schema="tickets")
    op.create_index(
        "uq_assignment_current",
        "assignment",
        ["ticket_id"],
        unique=True,
        schema="tickets",
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "collision",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("ticket_id", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("other", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("reply_id", sa.Text(), nullable=True),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("outcome IN ('prevented', 'overridden', 'happened')", name=op.f("ck_collision_outcome")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collision")),
        schema="tickets",
    )
    op.create_index("ix_collision_page", "collision", ["workspace_id", "id"], unique=False, schema="tickets")
    op.create_index("ix_collision_ticket", "collision", ["ticket_id"], unique=False, schema="tickets")
    op.create_table(
        "conversation",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column(
            "ticket_id", sa.Text(), nullable=False, comment="people who write under one post share a conversation"
        ),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", "ticket_id", name=op.f("pk_conversation")),
        schema="tickets",
    )
    op.create_index("ix_conversation_ticket", "conversation", ["ticket_id"], unique=False, schema="tickets")
    op.create_table(
        "customer",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("attributes", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("merged_into", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer")),
        schema="tickets",
    )
    op.create_index("ix_customer_page", "customer", ["workspace_id", "id"], unique=False, schema="tickets")
    op.create_table(
        "dead_letter",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("consumer_group", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=True),
        sa.Column("headers", postgresql.BYTEA(), nullable=False),
        sa.Column("value", postgresql.BYTEA(), nullable=False),
        sa.Column("error_class", sa.Text(), nullable=False),
        sa.Column("error_message", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_failed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letter")),
        schema="tickets",
    )
    op.create_index("ix_dead_letter_page", "dead_letter", ["workspace_id", "id"], unique=False, schema="tickets")
    op.create_table(
        "dedupe",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("day", "scope", "key", name=op.f("pk_dedupe")),
        schema="tickets",
    )
    op.create_table(
        "draft",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("ticket_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False, comment="typed, or why a reply was refused or held"),
        sa.Column("in_reply_to", sa.Text(), nullable=True),
        sa.Column("reply_id", sa.Text(), nullable=True),
        sa.Column("seen_seq", sa.BigInteger(), nullable=True),
        sa.Column(
            "data",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="the rest of what was to be sent: kind, attachments, template",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_draft")),
        schema="tickets",
    )
    op.create_index(
        "ix_draft_ticket", "draft", ["workspace_id", "ticket_id", "agent_id"], unique=False, schema="tickets"
    )
    op.create_index(
        "uq_draft_typed",
        "draft",
        ["ticket_id", "agent_id"],
        unique=True,
        schema="tickets",
        postgresql_where=sa.text("reason = 'typed'"),
    )
    op.create_table(
        "echo",
        sa.Column(
            "message_id", sa.Text(), nullable=False, comment="the network's outbound item that waits to be told apart"
        ),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("ticket_id", sa.Text(), nullable=False),
        sa.Column("reply_id", sa.Text(), nullable=False, comment="the unfinished reply with the same text"),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_echo")),
        schema="tickets",
    )
    op.create_index("ix_echo_reply", "echo", ["reply_id"], unique=False, schema="tickets")
    op.create_table(
        "entry",
        sa.Column("ticket_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column(
            "kind",
            sa.Text(),
            nullable=False,
            comment="message, native, reply, note, or what was done: the timeline and the audit",
        ),
        sa.Column("actor", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("reply_id", sa.Text(), nullable=True),
        sa.Column("conversation_id", sa.Text(), nullable=True),
        sa.Column(
            "event_id", sa.Text(), nullable=True, comment="what makes the redelivery of an edit or a deletion harmless"
        ),
        sa.Column(
            "moves",
            sa.Boolean(),
            nullable=False,
            comment="a customer's message or an answer: what the traffic cop looks at",
        ),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("ticket_id", "seq", name=op.f("pk_entry")),
        schema="tickets",
    )
    op.create_index(
        "ix_entry_event",
        "entry",
        ["event_id"],
        unique=False,
        schema="tickets",
        postgresql_where=sa.text("event_id IS NOT NULL"),
    )
    op.create_table(
        "idempotency",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("body", postgresql.BYTEA(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "principal", "route", "key", name=op.f("pk_idempotency")),
        schema="tickets",
    )
    op.create_index("ix_idempotency_age", "idempotency", ["created_at"], unique=False, schema="tickets")
    op.create_table(
        "identity",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column(
            "scope", sa.Text(), nullable=False, comment="the channel's id, or '' where ids hold for the whole network"
        ),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column(
            "home_customer_id",
            sa.Text(),
            nullable=False,
            comment="the customer that it was created with: where unlinking returns it",
        ),
        sa.Column("handle", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column(
            "evidence",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="why it was linked: kind, by whom, when",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "network", "scope", "external_id", name=op.f("pk_identity")),
        schema="tickets",
    )
    op.create_index("ix_identity_customer", "identity", ["workspace_id", "customer_id"], unique=False, schema="tickets")
    op.create_table(
        "lease",
        sa.Column(
            "scope", sa.Text(), nullable=False, comment="a customer's id, or a ticket's where the workspace says so"
        ),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("holder_id", sa.Text(), nullable=True, comment="null: nobody; the fence stays"),
        sa.Column("holder_kind", sa.Text(), nullable=True),
        sa.Column("holder_name", sa.Text(), nullable=True),
        sa.Column("session", sa.Text(), nullable=True),
        sa.Column("acquired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "active_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="last activity: idle holders are released softly",
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hard_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ttl", sa.Interval(), server_default="0", nullable=False),
        sa.Column("idle", sa.Interval(), server_default="0", nullable=False),
        sa.Column("wanted_by", postgresql.JSONB(astext_type=sa.Text()), nullable=True, comment="who asked for it"),
        sa.Column(
            "wanted_until", sa.DateTime(timezone=True), nullable=True, comment="then the one who asked may take it"
        ),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_lease")),
        schema="tickets",
        postgresql_with={"fillfactor": "70"},
    )
    op.create_table(
        "message",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("ticket_id", sa.Text(), nullable=True, comment="null: ignored by a rule, or not received yet"),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=True, comment="its place in the ticket's timeline"),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default="visible", nullable=False),
        sa.Column(
            "received", sa.Boolean(), nullable=False, comment="false: only an edit or a deletion of it was seen so far"
        ),
        sa.Column("provider_version", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "reactions",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="reactor to emoji",
        ),
        sa.Column(
            "data",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="the whole message as ingest last said it",
        ),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("state IN ('visible', 'hidden', 'deleted')", name=op.f("ck_message_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
        schema="tickets",
    )
    op.create_index(
        "ix_message_conversation", "message", ["conversation_id", "occurred_at"], unique=False, schema="tickets"
    )
    op.create_index("ix_message_ticket", "message", ["ticket_id", "seq"], unique=False, schema="tickets")
    op.create_table(
        "parked",
        sa.Column("consumer_group", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("parked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("consumer_group", "key", name=op.f("pk_parked")),
        schema="tickets",
    )
    op.create_index("ix_parked_due", "parked", ["consumer_group", "next_at"], unique=False, schema="tickets")
    op.create_table(
        "parked_event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("consumer_group", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("headers", postgresql.BYTEA(), nullable=False),
        sa.Column("value", postgresql.BYTEA(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_parked_event")),
        schema="tickets",
    )
    op.create_index(
        "ix_parked_event_key", "parked_event", ["consumer_group", "key", "id"], unique=False, schema="tickets"
    )
    op.create_table(
        "presence",
        sa.Column("ticket_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("agent_name", sa.Text(), nullable=True),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("level IN ('viewing', 'composing')", name=op.f("ck_presence_level")),
        sa.PrimaryKeyConstraint("ticket_id", "agent_id", "session", name=op.f("pk_presence")),
        schema="tickets",
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index("ix_presence_agent", "presence", ["workspace_id", "agent_id"], unique=False, schema="tickets")
    op.create_table(
        "reply",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("ticket_id", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("author_id", sa.Text(), nullable=False),
        sa.Column("author", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column(
            "normalized_text", sa.Text(), nullable=False, comment="how an echo without correlation is recognized"
        ),
        sa.Column(
            "data",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="the whole order as the notifier got it",
        ),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("seen_seq", sa.BigInteger(), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("override", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("ask_after", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'sending', 'sent', 'failed', 'unknown', 'cancelled', 'held')",
            name=op.f("ck_reply_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reply")),
        sa.UniqueConstraint("correlation_id", name=op.f("uq_reply_correlation_id")),
        schema="tickets",
    )
    op.create_index("ix_reply_customer", "reply", ["workspace_id", "customer_id"], unique=False, schema="tickets")
    op.create_index(
        "ix_reply_external",
        "reply",
        ["channel_id", "external_id"],
        unique=False,
        schema="tickets",
        postgresql_where=sa.text("external_id IS NOT NULL"),
    )
    op.create_index(
        "ix_reply_nameless",
        "reply",
        ["conversation_id"],
        unique=False,
        schema="tickets",
        postgresql_where=sa.text("state = 'sent' AND external_id IS NULL"),
    )
    op.create_index("ix_reply_ticket", "reply", ["ticket_id", "seq"], unique=False, schema="tickets")
    op.create_index(
        "ix_reply_unfinished",
        "reply",
        ["workspace_id", "conversation_id"],
        unique=False,
        schema="tickets",
        postgresql_where=sa.text("state IN ('queued', 'sending', 'unknown')"),
    )
    op.create_index(
        "ix_reply_waiting",
        "reply",
        ["ticket_id"],
        unique=False,
        schema="tickets",
        postgresql_where=sa.text("state IN ('queued', 'sending', 'unknown')"),
    )
    op.create_table(
        "reply_turn",
        sa.Column("reply_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("reply_id", "message_id", name=op.f("pk_reply_turn")),
        schema="tickets",
    )
    op.create_index("ix_reply_turn_message", "reply_turn", ["message_id"], unique=False, schema="tickets")
    op.create_table(
        "saved_view",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=True, comment="whose it is; null: everybody's"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "query", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="the parameters of the list"
        ),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_view")),
        schema="tickets",
    )
    op.create_index("ix_saved_view_page", "saved_view", ["workspace_id", "id"], unique=False, schema="tickets")
    op.create_table(
        "search",
        sa.Column("id", sa.Text(), nullable=False, comment="a message's id, or a customer's"),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_search")),
        schema="tickets",
    )
    op.create_index("ix_search_recent", "search", ["workspace_id", "at"], unique=False, schema="tickets")
    op.create_index(
        "ix_search_text",
        "search",
        ["workspace_id", "text"],
        unique=False,
        schema="tickets",
        postgresql_using="gin",
        postgresql_ops={"text": "gin_trgm_ops"},
    )
    op.create_table(
        "ticket",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("customer_name", sa.Text(), nullable=True),
        sa.Column("customer_handle", sa.Text(), nullable=True),
        sa.Column("customer_network", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=True),
        sa.Column("offer_id", sa.Text(), nullable=True, comment="the assignment that waits for acceptance"),
        sa.Column(
            "rank",
            sa.SmallInteger(),
            nullable=False,
            comment="0 urgent, 1 high, 2 normal, 3 low: lists sort by it ascending",
        ),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("networks", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("last_seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column(
            "changed_by",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="actor of the last change: who 412 names",
        ),
        sa.Column(
            "change", sa.Text(), nullable=False, comment="the last change in one word: what 412 says was changed"
        ),
        sa.Column(
            "waiting_since",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="the oldest customer's message without an answer",
        ),
        sa.Column("snoozed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("merged_into", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'pending', 'snoozed', 'resolved', 'merged')", name=op.f("ck_ticket_state")
        ),
        sa.CheckConstraint("rank BETWEEN 0 AND 3", name=op.f("ck_ticket_rank")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ticket")),
        schema="tickets",
    )
    op.create_index(
        "ix_ticket_all",
        "ticket",
        ["workspace_id", "rank", "id"],
        unique=False,
        schema="tickets",
        postgresql_where=sa.text("state IN ('open', 'pending', 'snoozed')"),
    )
    op.create_index("ix_ticket_customer", "ticket", ["workspace_id", "customer_id"], unique=False, schema="tickets")
    op.create_index(
        "ix_ticket_merged",
        "ticket",
        ["merged_into"],
        unique=False,
        schema="tickets",
        postgresql_where=sa.text("merged_into IS NOT NULL"),
    )
    op.create_index(
        "ix_ticket_owner",
        "ticket",
        ["workspace_id", "owner_id", "rank", "id"],
        unique=False,
        schema="tickets",
        postgresql_where=sa.text("state IN ('open', 'pending', 'snoozed')"),
    )
    op.create_index(
        "ix_ticket_queue",
        "ticket",
        ["workspace_id", "team_id", "rank", "id"],
        unique=False,
        schema="tickets",
        postgresql_where=sa.text("owner_id IS NULL AND state IN ('open', 'pending', 'snoozed')"),
    )
    op.create_index(
        "ix_ticket_team",
        "ticket",
        ["workspace_id", "team_id", "rank", "id"],
        unique=False,
        schema="tickets",
        postgresql_where=sa.text("state IN ('open', 'pending', 'snoozed')"),
    )
    op.create_index("ix_ticket_updated", "ticket", ["workspace_id", "updated_at", "id"], unique=False, schema="tickets")
    op.create_index(
        "uq_ticket_open",
        "ticket",
        ["workspace_id", "customer_id"],
        unique=True,
        schema="tickets",
        postgresql_where=sa.text("state IN ('open', 'pending', 'snoozed')"),
    )
    op.create_table(
        "ticket_label",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False, comment="`tag:` or `network:` and a name, of active tickets"),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("ticket_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "label", "rank", "ticket_id", name=op.f("pk_ticket_label")),
        schema="tickets",
    )
    op.create_index("ix_ticket_label_ticket", "ticket_label", ["ticket_id"], unique=False, schema="tickets")
    op.create_table(
        "timer",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_timer")),
        sa.UniqueConstraint("workspace_id", "kind", "subject", name=op.f("uq_timer_workspace_id_kind_subject")),
        schema="tickets",
    )
    op.create_index("ix_timer_due", "timer", ["due_at"], unique=False, schema="tickets")
    op.create_table(
        "turn",
        sa.Column("message_id", sa.Text(), nullable=False, comment="the customer's message that opened it"),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("ticket_id", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column(
            "answer_id", sa.Text(), nullable=True, comment="latest finished answer: a reply's id or a native message's"
        ),
        sa.Column("answer_actor", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("answer_seq", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_turn")),
        schema="tickets",
    )
    op.create_index("ix_turn_open", "turn", ["ticket_id", "conversation_id", "seq"], unique=False, schema="tickets")
    op.execute(
        secure(
            "tickets",
            [
                "agent_load",
                "assignment",
                "collision",
                "conversation",
                "customer",
                "dead_letter",
                "dedupe",
                "draft",
                "echo",
                "entry",
                "idempotency",
                "identity",
                "lease",
                "message",
                "parked_event",
                "presence",
                "reply",
                "reply_turn",
                "saved_view",
                "search",
                "ticket",
                "ticket_label",
                "turn",
            ],
            scan="",
        )
    )
    op.execute(secure("tickets", ["parked"], scan="SELECT"))
    op.execute(secure("tickets", ["timer"], scan="SELECT, UPDATE"))
    op.execute("CREATE SEQUENCE tickets.fence")
    op.execute("GRANT USAGE ON SEQUENCE tickets.fence TO baton_workspace, baton_batch")
    op.execute("ALTER TABLE tickets.search NO FORCE ROW LEVEL SECURITY")
    op.execute(
        """
        CREATE FUNCTION tickets.find(pattern text, most integer) RETURNS SETOF text
        LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = tickets, public AS $$
        DECLARE
            recent CONSTANT integer := 10000;
            oldest timestamptz;
            found integer;
        BEGIN
            -- Words that many texts have are found among the newest, without reading them all from the index.
            RETURN QUERY SELECT r.id FROM (
                SELECT s.id, s.text FROM search s
                WHERE s.workspace_id = current_setting('baton.workspace') ORDER BY s.at DESC LIMIT recent
            ) AS r WHERE r.text ILIKE pattern LIMIT most;
            GET DIAGNOSTICS found = ROW_COUNT;
            -- Less than three characters are in no index.
            IF found = most OR length(pattern) < 5 THEN
                RETURN;
            END IF;
            SELECT s.at INTO oldest FROM search s
                WHERE s.workspace_id = current_setting('baton.workspace') ORDER BY s.at DESC OFFSET recent LIMIT 1;
            IF oldest IS NULL THEN
                RETURN;
            END IF;
            RETURN QUERY SELECT s.id FROM search s
                WHERE s.workspace_id = current_setting('baton.workspace') AND s.text ILIKE pattern AND s.at <= oldest
                ORDER BY s.at DESC LIMIT most - found;
        END $$
        """
    )
    op.execute("REVOKE ALL ON FUNCTION tickets.find FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION tickets.find TO baton_workspace")
