"""Schedules of teams, and who is on duty by them at this moment."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.db.roles import secure

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "schedule",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "team_id", name=op.f("pk_schedule")),
        schema="platform",
    )
    op.execute(secure("platform", ["schedule"]))
    op.add_column(
        "team_member",
        sa.Column("on_duty", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        schema="platform",
    )
    op.create_index(
        "ix_team_member_off_duty",
        "team_member",
        ["workspace_id", "agent_id"],
        unique=False,
        schema="platform",
        postgresql_where=sa.text("NOT on_duty"),
    )
    op.add_column(
        "team",
        sa.Column("stand_in", sa.Text(), nullable=True, comment="gets what comes here while nobody is on duty"),
        schema="platform",
    )
