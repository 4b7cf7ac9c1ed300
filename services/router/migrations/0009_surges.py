"""What is usual, what a workspace calls a surge, and every surge."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.db.roles import secure

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "surge_policy",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("counting_since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "open",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="what surges now: the surge by subject",
        ),
        sa.PrimaryKeyConstraint("workspace_id", name=op.f("pk_surge_policy")),
        schema="router",
    )
    op.create_table(
        "surge_policy_change",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), nullable=True, comment="null: it was given up"),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "version", name=op.f("pk_surge_policy_change")),
        schema="router",
    )
    op.create_table(
        "surge_count",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("minute", sa.DateTime(timezone=True), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("writer", sa.Integer(), nullable=False, comment="each process adds to rows of its own"),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "minute", "subject", "writer", name=op.f("pk_surge_count")),
        schema="router",
        postgresql_with={"fillfactor": "70"},
    )
    op.create_table(
        "surge_hour",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "subject", "hour", name=op.f("pk_surge_hour")),
        schema="router",
    )
    op.create_table(
        "surge",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("policy", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="as it was when it began"),
        sa.Column("policy_author", sa.Text(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("usual", sa.Float(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("peak_messages", sa.BigInteger(), nullable=False),
        sa.Column("peak_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "calm_since",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="ended and null: not begun again before it was calm",
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended", sa.Text(), nullable=True, comment="calm, lasting, person or policy"),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.Column("ended_messages", sa.BigInteger(), nullable=True),
        sa.Column("ended_usual", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_surge")),
        schema="router",
    )
    op.create_index(
        "uq_surge_open",
        "surge",
        ["workspace_id", "subject"],
        unique=True,
        schema="router",
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "ix_surge_followed",
        "surge",
        ["workspace_id"],
        unique=False,
        schema="router",
        postgresql_where=sa.text("ended_at IS NULL OR calm_since IS NULL"),
    )
    op.create_index("ix_surge_page", "surge", ["workspace_id", "id"], unique=False, schema="router")
    op.execute(secure("router", ["surge_policy", "surge_policy_change", "surge_count", "surge_hour", "surge"]))
