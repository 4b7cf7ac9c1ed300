"""Structures that take effect at a date."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.db.roles import secure

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "plan",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="from when on it is in effect"),
        sa.Column("what", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("name", sa.Text(), nullable=False, comment="of what at which instant: a digest"),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("state", sa.Text(), server_default="upcoming", nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True, comment="who cancelled it"),
        sa.Column("reason", sa.Text(), nullable=True, comment="why it could not be done"),
        sa.Column("outcome", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint("state IN ('upcoming', 'done', 'failed', 'cancelled')", name=op.f("ck_plan_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan")),
        schema="tickets",
    )
    op.create_index(
        "uq_plan_upcoming",
        "plan",
        ["workspace_id", "name"],
        unique=True,
        schema="tickets",
        postgresql_where=sa.text("state = 'upcoming'"),
    )
    op.create_index("ix_plan_page", "plan", ["workspace_id", "id"], unique=False, schema="tickets")
    op.execute(secure("tickets", ["plan"]))
