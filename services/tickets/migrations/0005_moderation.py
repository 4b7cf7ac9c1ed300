"""Operations on items: who or which rule asked for them, and what became of them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.db.roles import secure

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "moderation",
        sa.Column(
            "id", sa.Text(), nullable=False, comment="of a rule: made of its decision, the message and the operation"
        ),
        sa.Column(
            "number",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="the later of two that contradict each other",
        ),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("actor", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("rule", sa.Text(), nullable=True, comment="which rule asked for it; null: the actor did"),
        sa.Column("state", sa.Text(), server_default="requested", nullable=False),
        sa.Column(
            "stands",
            sa.Boolean(),
            server_default=sa.text("true"),
            nullable=False,
            comment="it waits, or is done and was not undone",
        ),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("operation IN ('hide', 'unhide', 'delete', 'like')", name=op.f("ck_moderation_operation")),
        sa.CheckConstraint("state IN ('requested', 'done', 'failed', 'unsupported')", name=op.f("ck_moderation_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_moderation")),
        schema="tickets",
    )
    op.create_index(
        "uq_moderation_standing",
        "moderation",
        ["message_id", "operation"],
        unique=True,
        schema="tickets",
        postgresql_where=sa.text("stands"),
    )
    op.create_index("ix_moderation_message", "moderation", ["message_id", "number"], unique=False, schema="tickets")
    op.execute(secure("tickets", ["moderation"]))
