"""Operations on items: claimed and tried like replies, and tried again where nobody knows what became of them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.db.roles import secure

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "item",
        sa.Column(
            "id", sa.Text(), nullable=False, comment="the message's id, which a merge of tickets does not change"
        ),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when a sender should look at what is to be done to it",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_item")),
        schema="notifier",
        comment="the row that orders the operations on an item: whoever emits or claims one locks it first",
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index(
        "ix_item_due",
        "item",
        ["due_at"],
        unique=False,
        schema="notifier",
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_table(
        "moderation",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column(
            "number", sa.BigInteger(), nullable=False, comment="grows as tickets asked: the order, whichever came first"
        ),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("data", postgresql.BYTEA(), nullable=False, comment="the whole order, as tickets wrote it"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "doubtful_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="an attempt may have done it, or may do it until then",
        ),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True, comment="next attempt, or end of the claim"),
        sa.Column("claim_token", sa.Text(), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("traceparent", sa.Text(), nullable=True, comment="the step that asked for it"),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'done', 'failed', 'unsupported')", name=op.f("ck_moderation_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_moderation")),
        schema="notifier",
        comment="operations on items of the networks",
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index("ix_moderation_message", "moderation", ["message_id"], unique=False, schema="notifier")
    op.execute(secure("notifier", ["item"], scan="SELECT"))
    op.execute(secure("notifier", ["moderation"]))
