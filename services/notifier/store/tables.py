"""The tables of the `notifier` schema."""

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from shared.db.migrate import Schema
from shared.db.tables import INSTANT, add_kernel_tables, column, schema_metadata, stamp

METADATA: Final = schema_metadata("notifier")
add_kernel_tables(METADATA)

UNFINISHED: Final = "state IN ('waiting', 'sending', 'unknown')"
"""Replies that still hold, or may still take, their turns."""

ticket = sa.Table(
    "ticket",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("due_at", INSTANT, nullable=True, comment="when a sender should look at its replies; null: nothing to do"),
    sa.Index("ix_ticket_due", "due_at", postgresql_where=sa.text("due_at IS NOT NULL")),
    # Half-empty pages: due_at changes with every reply.
    postgresql_with={"fillfactor": "70"},
    info={"scan": "SELECT"},
    comment="the row that orders a ticket's deliveries: whoever emits or claims locks it first",
)
reply = sa.Table(
    "reply",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("ticket_id", sa.Text),
    column("seq", sa.BigInteger),
    column("author_id", sa.Text, nullable=True),
    column("channel_id", sa.Text),
    column("network", sa.Text),
    column("fence", sa.BigInteger),
    column("override", sa.Boolean),
    column("hold_on_message", sa.Boolean),
    column("window_until", INSTANT, nullable=True),
    column("data", pg.BYTEA, comment="the whole order, as tickets wrote it"),
    column("state", sa.Text),
    column("attempts", sa.Integer, server_default="0"),
    column("asks", sa.Integer, server_default="0", comment="how often the network was asked what became of it"),
    column("due_at", INSTANT, nullable=True, comment="next attempt, end of the claim, or next question"),
    column("claim_token", sa.Text, nullable=True),
    column("claimed_at", INSTANT, nullable=True),
    column("claim_deadline", INSTANT, nullable=True),
    column("ask_after", INSTANT, nullable=True),
    column("echo_id", sa.Text, nullable=True, comment="the network showed it under this id while it was being sent"),
    column("external_id", sa.Text, nullable=True),
    column("reason", sa.Text, nullable=True),
    column("code", sa.Text, nullable=True),
    column("other", sa.Text, nullable=True, comment="the answer that stood in the way"),
    column("traceparent", sa.Text, nullable=True, comment="the step that wrote it: sending is part of its trace"),
    column(
        "stop",
        sa.Text,
        nullable=True,
        comment="why it was asked to stay while it was being sent: it does, should that attempt not leave",
    ),
    column(
        "acknowledges",
        sa.Boolean,
        server_default=sa.text("false"),
        comment="it leaves only where nobody has answered, and takes no turn",
    ),
    stamp(),
    column("settled_at", INSTANT, nullable=True),
    sa.CheckConstraint("state IN ('waiting', 'sending', 'sent', 'failed', 'unknown', 'held')", name="state"),
    sa.Index("ix_reply_unfinished", "ticket_id", "seq", postgresql_where=sa.text(UNFINISHED)),
    postgresql_with={"fillfactor": "70"},
)
reply_turn = sa.Table(
    "reply_turn",
    METADATA,
    column("message_id", sa.Text, primary_key=True),
    column("reply_id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("after", sa.Text, nullable=True, comment="the latest finished answer that the writer had seen"),
    sa.Index("ix_reply_turn_reply", "reply_id"),
)
turn = sa.Table(
    "turn",
    METADATA,
    column("message_id", sa.Text, primary_key=True, comment="by the message alone, so that a merge changes nothing"),
    column("workspace_id", sa.Text),
    column("answer_id", sa.Text, nullable=True, comment="latest finished answer: a reply's id or a native message's"),
    column("author_id", sa.Text, nullable=True, comment="who wrote it; null for a native one"),
    column("is_told", sa.Boolean, server_default="true", comment="false: it left, and tickets has not told of it yet"),
)
item = sa.Table(
    "item",
    METADATA,
    column("id", sa.Text, primary_key=True, comment="the message's id, which a merge of tickets does not change"),
    column("workspace_id", sa.Text),
    column("due_at", INSTANT, nullable=True, comment="when a sender should look at what is to be done to it"),
    sa.Index("ix_item_due", "due_at", postgresql_where=sa.text("due_at IS NOT NULL")),
    postgresql_with={"fillfactor": "70"},
    info={"scan": "SELECT"},
    comment="the row that orders the operations on an item: whoever emits or claims one locks it first",
)
moderation = sa.Table(
    "moderation",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("number", sa.BigInteger, comment="grows as tickets asked: the order, whichever came first"),
    column("workspace_id", sa.Text),
    column("message_id", sa.Text),
    column("channel_id", sa.Text),
    column("network", sa.Text),
    column("operation", sa.Text),
    column("data", pg.BYTEA, comment="the whole order, as tickets wrote it"),
    column("state", sa.Text),
    column("attempts", sa.Integer, server_default="0"),
    column("doubtful_until", INSTANT, nullable=True, comment="an attempt may have done it, or may do it until then"),
    column("due_at", INSTANT, nullable=True, comment="next attempt, or end of the claim"),
    column("claim_token", sa.Text, nullable=True),
    column("claimed_at", INSTANT, nullable=True),
    column("reason", sa.Text, nullable=True),
    column("code", sa.Text, nullable=True),
    column("traceparent", sa.Text, nullable=True, comment="the step that asked for it"),
    stamp(),
    column("settled_at", INSTANT, nullable=True),
    sa.CheckConstraint("state IN ('waiting', 'done', 'failed', 'unsupported')", name="state"),
    sa.Index("ix_moderation_message", "message_id"),
    postgresql_with={"fillfactor": "70"},
    comment="operations on items of the networks",
)
feed_counter = sa.Table(
    "feed_counter",
    METADATA,
    column("workspace_id", sa.Text, primary_key=True),
    column("first", sa.BigInteger, server_default="1", comment="the oldest number that is still kept"),
    comment="whoever numbers events of a workspace holds its row",
)
feed = sa.Table(
    "feed",
    METADATA,
    column("workspace_id", sa.Text, primary_key=True),
    column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    column("event_id", sa.Text),
    column("type", sa.Text),
    column("ticket_id", sa.Text, nullable=True),
    column("team", sa.Text, nullable=True),
    column("owner", sa.Text, nullable=True),
    column("at", INSTANT),
    column("data", pg.BYTEA, comment="the event's JSON value"),
    column("stored_at", INSTANT, server_default=sa.text("clock_timestamp()")),
    column("from_team", sa.Text, nullable=True, comment="the ticket moved with this event, from this team"),
    column("from_owner", sa.Text, nullable=True, comment="and from this agent, or from the team's queue"),
    column("addressed", pg.JSONB, nullable=True, comment="agents, teams and endpoints that the event names"),
    sa.UniqueConstraint("event_id"),
)
endpoint = sa.Table(
    "endpoint",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("kind", sa.Text),
    column("url", sa.Text),
    column("description", sa.Text, server_default=""),
    column("event_types", pg.ARRAY(sa.Text)),
    column("teams", pg.ARRAY(sa.Text), nullable=True, comment="only events of tickets of these teams"),
    column("state", sa.Text, server_default="active"),
    column("state_reason", sa.Text, nullable=True),
    column("secret", pg.BYTEA),
    column("previous_secret", pg.BYTEA, nullable=True),
    column("previous_until", INSTANT, nullable=True),
    column("version", sa.BigInteger, server_default="1"),
    stamp(),
    stamp("updated_at"),
    sa.CheckConstraint("kind IN ('webhook', 'hook')", name="kind"),
    sa.CheckConstraint("state IN ('active', 'paused', 'disabled')", name="state"),
    sa.Index("ix_endpoint_page", "workspace_id", "id"),
)
lane = sa.Table(
    "lane",
    METADATA,
    column("endpoint_id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("cursor", sa.BigInteger, comment="every feed number up to here is pushed, recorded for retry, or filtered"),
    column("is_open", sa.Boolean, comment="the endpoint is active: somebody should push to it"),
    column("owner", sa.Text, nullable=True, comment="the process that pushes to this endpoint"),
    column("expires_at", INSTANT, nullable=True),
    column("failures", sa.Integer, server_default="0", comment="attempts that failed since the last success"),
    column("failing_since", INSTANT, nullable=True),
    sa.Index("ix_lane_free", "expires_at", postgresql_where=sa.text("is_open")),
    # One hot row per endpoint, written with every recorded batch.
    postgresql_with={"fillfactor": "50"},
    info={"scan": "SELECT, UPDATE"},
)
delivery = sa.Table(
    "delivery",
    METADATA,
    column("endpoint_id", sa.Text, primary_key=True),
    column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    column("workspace_id", sa.Text),
    column("event_id", sa.Text),
    column("type", sa.Text),
    column("state", sa.Text),
    column("attempts", sa.Integer),
    column("log", pg.JSONB, server_default="[]", comment="each attempt: when, status, milliseconds, answer or error"),
    column("due_at", INSTANT, nullable=True),
    stamp(),
    column("settled_at", INSTANT, nullable=True),
    sa.CheckConstraint("state IN ('waiting', 'delivered', 'failed')", name="state"),
    sa.Index("ix_delivery_due", "endpoint_id", "due_at", postgresql_where=sa.text("state = 'waiting'")),
)
worker = sa.Table(
    "worker",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text, server_default="", comment="always empty: processes serve all workspaces"),
    column("expires_at", INSTANT),
    info={"scan": "SELECT, INSERT, UPDATE, DELETE"},
    comment="processes that push to endpoints: they share the lanes evenly",
)

SCHEMA: Final = Schema(name="notifier", metadata=METADATA, folder=Path(__file__).parents[1] / "migrations")
