"""What leaves, by whom and why: replies, what rules said, operations on items."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from services.tickets.store.tables.schema import METADATA
from shared.db.tables import INSTANT, column, stamp

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
