"""The notifier's tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.db.roles import secure

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Forward only."""
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
        schema="notifier",
    )
    op.create_index("ix_dead_letter_page", "dead_letter", ["workspace_id", "id"], unique=False, schema="notifier")
    op.create_table(
        "dedupe",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("day", "scope", "key", name=op.f("pk_dedupe")),
        schema="notifier",
    )
    op.create_table(
        "delivery",
        sa.Column("endpoint_id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column(
            "log",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="[]",
            nullable=False,
            comment="each attempt: when, status, milliseconds, answer or error",
        ),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'delivered', 'failed')", name=op.f("ck_delivery_state")),
        sa.PrimaryKeyConstraint("endpoint_id", "number", name=op.f("pk_delivery")),
        schema="notifier",
    )
    op.create_index(
        "ix_delivery_due",
        "delivery",
        ["endpoint_id", "due_at"],
        unique=False,
        schema="notifier",
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        "endpoint",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("event_types", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("teams", postgresql.ARRAY(sa.Text()), nullable=True, comment="only events of tickets of these teams"),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=True),
        sa.Column("secret", postgresql.BYTEA(), nullable=False),
        sa.Column("previous_secret", postgresql.BYTEA(), nullable=True),
        sa.Column("previous_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('webhook', 'hook')", name=op.f("ck_endpoint_kind")),
        sa.CheckConstraint("state IN ('active', 'paused', 'disabled')", name=op.f("ck_endpoint_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endpoint")),
        schema="notifier",
    )
    op.create_index("ix_endpoint_page", "endpoint", ["workspace_id", "id"], unique=False, schema="notifier")
    op.create_table(
        "feed",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("ticket_id", sa.Text(), nullable=True),
        sa.Column("team", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data", postgresql.BYTEA(), nullable=False, comment="the event's JSON value"),
        sa.Column("stored_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "number", name=op.f("pk_feed")),
        sa.UniqueConstraint("event_id", name=op.f("uq_feed_event_id")),
        schema="notifier",
    )
    op.create_table(
        "feed_counter",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("last", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "first", sa.BigInteger(), server_default="1", nullable=False, comment="the oldest number that is still kept"
        ),
        sa.PrimaryKeyConstraint("workspace_id", name=op.f("pk_feed_counter")),
        schema="notifier",
        postgresql_with={"fillfactor": "50"},
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
        schema="notifier",
    )
    op.create_index("ix_idempotency_age", "idempotency", ["created_at"], unique=False, schema="notifier")
    op.create_table(
        "lane",
        sa.Column("endpoint_id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column(
            "cursor",
            sa.BigInteger(),
            nullable=False,
            comment="every feed number up to here is pushed, recorded for retry, or filtered",
        ),
        sa.Column(
            "is_open", sa.Boolean(), nullable=False, comment="the endpoint is active: somebody should push to it"
        ),
        sa.Column("owner", sa.Text(), nullable=True, comment="the process that pushes to this endpoint"),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "failures",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="attempts that failed since the last success",
        ),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("endpoint_id", name=op.f("pk_lane")),
        schema="notifier",
        postgresql_with={"fillfactor": "50"},
    )
    op.create_index(
        "ix_lane_free", "lane", ["expires_at"], unique=False, schema="notifier", postgresql_where=sa.text("is_open")
    )
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
        schema="notifier",
    )
    op.create_index("ix_parked_due", "parked", ["consumer_group", "next_at"], unique=False, schema="notifier")
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
        schema="notifier",
    )
    op.create_index(
        "ix_parked_event_key", "parked_event", ["consumer_group", "key", "id"], unique=False, schema="notifier"
    )
    op.create_table(
        "reply",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("ticket_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("author_id", sa.Text(), nullable=True),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("override", sa.Boolean(), nullable=False),
        sa.Column("hold_on_message", sa.Boolean(), nullable=False),
        sa.Column("window_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("data", postgresql.BYTEA(), nullable=False, comment="the whole order, as tickets wrote it"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "asks",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="how often the network was asked what became of it",
        ),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="next attempt, end of the claim, or next question",
        ),
        sa.Column("claim_token", sa.Text(), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claim_deadline", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ask_after", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "echo_id", sa.Text(), nullable=True, comment="the network showed it under this id while it was being sent"
        ),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("other", sa.Text(), nullable=True, comment="the answer that stood in the way"),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'sending', 'sent', 'failed', 'unknown', 'held')", name=op.f("ck_reply_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reply")),
        schema="notifier",
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index(
        "ix_reply_unfinished",
        "reply",
        ["ticket_id", "seq"],
        unique=False,
        schema="notifier",
        postgresql_where=sa.text("state IN ('waiting', 'sending', 'unknown')"),
    )
    op.create_table(
        "reply_turn",
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("reply_id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=True, comment="the latest finished answer that the writer had seen"),
        sa.PrimaryKeyConstraint("message_id", "reply_id", name=op.f("pk_reply_turn")),
        schema="notifier",
    )
    op.create_index("ix_reply_turn_reply", "reply_turn", ["reply_id"], unique=False, schema="notifier")
    op.create_table(
        "ticket",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when a sender should look at its replies; null: nothing to do",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ticket")),
        schema="notifier",
        comment="the row that orders a ticket's deliveries: whoever emits or claims locks it first",
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index(
        "ix_ticket_due",
        "ticket",
        ["due_at"],
        unique=False,
        schema="notifier",
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
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
        schema="notifier",
    )
    op.create_index("ix_timer_due", "timer", ["due_at"], unique=False, schema="notifier")
    op.create_table(
        "turn",
        sa.Column(
            "message_id", sa.Text(), nullable=False, comment="by the message alone, so that a merge changes nothing"
        ),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column(
            "answer_id", sa.Text(), nullable=True, comment="latest finished answer: a reply's id or a native message's"
        ),
        sa.Column("author_id", sa.Text(), nullable=True, comment="who wrote it; null for a native one"),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_turn")),
        schema="notifier",
    )
    op.create_table(
        "worker",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column(
            "workspace_id",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="always empty: processes serve all workspaces",
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worker")),
        schema="notifier",
        comment="processes that push to endpoints: they share the lanes evenly",
    )
    op.execute(
        secure(
            "notifier",
            [
                "dead_letter",
                "dedupe",
                "delivery",
                "endpoint",
                "feed",
                "feed_counter",
                "idempotency",
                "parked_event",
                "reply",
                "reply_turn",
                "turn",
            ],
            scan="",
        )
    )
    op.execute(secure("notifier", ["parked", "ticket"], scan="SELECT"))
    op.execute(secure("notifier", ["worker"], scan="SELECT, INSERT, UPDATE, DELETE"))
    op.execute(secure("notifier", ["lane", "timer"], scan="SELECT, UPDATE"))
