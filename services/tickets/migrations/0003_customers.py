"""Customers have tags, every change of one is kept, and links of accounts are counted apart from other changes."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.db.roles import secure

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Forward only."""
    op.add_column(
        "customer",
        sa.Column("tags", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        schema="tickets",
    )
    op.add_column(
        "customer",
        sa.Column(
            "links", sa.BigInteger(), server_default="0", nullable=False, comment="how often accounts came or went"
        ),
        schema="tickets",
    )
    # Until now, nothing else raised the version.
    op.execute("UPDATE tickets.customer SET links = version - 1 WHERE version > 1")
    op.create_table(
        "customer_change",
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("actor", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "version", name=op.f("pk_customer_change")),
        schema="tickets",
    )
    op.execute(secure("tickets", ["customer_change"]))
