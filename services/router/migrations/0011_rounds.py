"""Rules about surges and shifts: what of a ticket may surge, and the order in which rounds ask about open ones."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Forward only."""
    op.add_column(
        "ticket",
        sa.Column(
            "subjects",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="[]",
            nullable=False,
            comment="channels and lanes of its messages, as surges name them",
        ),
        schema="router",
    )
    op.create_index(
        "ix_ticket_open",
        "ticket",
        ["workspace_id", "id"],
        unique=False,
        schema="router",
        postgresql_where=sa.text("is_open"),
    )
