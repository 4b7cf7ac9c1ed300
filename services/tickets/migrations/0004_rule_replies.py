"""Attempts of rules to say something by themselves."""

import sqlalchemy as sa
from alembic import op

from shared.db.roles import secure

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "rule_reply",
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="public or private"),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("ticket_id", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reply_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('public', 'private')", name=op.f("ck_rule_reply_kind")),
        sa.CheckConstraint("outcome IN ('queued', 'refused', 'unsendable')", name=op.f("ck_rule_reply_outcome")),
        sa.PrimaryKeyConstraint("message_id", "kind", name=op.f("pk_rule_reply")),
        schema="tickets",
    )
    op.create_index("ix_rule_reply_ticket", "rule_reply", ["ticket_id"], unique=False, schema="tickets")
    op.create_index(
        "ix_rule_reply_customer",
        "rule_reply",
        ["workspace_id", "customer_id", "created_at"],
        unique=False,
        schema="tickets",
    )
    op.execute(secure("tickets", ["rule_reply"]))
