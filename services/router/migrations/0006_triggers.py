"""Rules about tickets that are there already: how a ticket stood before, and what was decided about it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.db.roles import secure

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Forward only."""
    op.add_column(
        "ticket",
        sa.Column("state", sa.Text(), nullable=True, comment="null: written before states were followed"),
        schema="router",
    )
    op.create_table(
        "ticket_decision",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("ticket_id", sa.Text(), nullable=False),
        sa.Column("ticket_version", sa.BigInteger(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False, comment="of the ticket event that asked, or of the silence"),
        sa.Column("ruleset_version", sa.Integer(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("action", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("matched", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "skipped",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="rules that held and had their say earlier in the chain",
        ),
        sa.Column("held", sa.Text(), nullable=True, comment="loop or hop-limit: why nothing came of it"),
        sa.Column(
            "chain",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="the decisions that led to the event",
        ),
        sa.Column(
            "facts",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="what the rules saw: with the version it gives the same decision again",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ticket_decision")),
        schema="router",
    )
    op.create_index(
        "ix_ticket_decision_ticket",
        "ticket_decision",
        ["workspace_id", "ticket_id", "created_at", "id"],
        unique=False,
        schema="router",
    )
    op.execute(secure("router", ["ticket_decision"]))
