"""Candidates that run beside the version in force, and what they would have done."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.db.roles import secure

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "shadow",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended", sa.Text(), nullable=True, comment="stopped, activated (another version) or failed"),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("workspace_id", "run", name=op.f("pk_shadow")),
        schema="router",
    )
    op.create_index(
        "uq_shadow_running",
        "shadow",
        ["workspace_id"],
        unique=True,
        schema="router",
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "shadow_count",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("writer", sa.Integer(), nullable=False, comment="each process adds to rows of its own"),
        sa.Column("aspect", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "workspace_id", "run", "writer", "aspect", "before", "after", name=op.f("pk_shadow_count")
        ),
        schema="router",
        postgresql_with={"fillfactor": "70"},
    )
    op.create_table(
        "shadow_example",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("writer", sa.Integer(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False, comment="of a ring: the newest overwrites the oldest"),
        sa.Column("difference", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "run", "writer", "slot", name=op.f("pk_shadow_example")),
        schema="router",
        postgresql_with={"fillfactor": "70"},
    )
    op.execute(secure("router", ["shadow", "shadow_count", "shadow_example"]))
