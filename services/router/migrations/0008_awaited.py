"""Decisions about tickets of which it is not known yet whether they came in time."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.db.roles import secure

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "awaited",
        sa.Column("ticket_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False, comment="of ticket.routed: the cause of what comes of it"),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False, comment="of the ticket that the rules saw"),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("decisions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("ticket_id", "event_id", name=op.f("pk_awaited")),
        schema="router",
    )
    op.execute(secure("router", ["awaited"]))
