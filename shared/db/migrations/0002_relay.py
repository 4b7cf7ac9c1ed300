"""Relays: processes that carry events to a broker, and which shards each of them owns."""

import sqlalchemy as sa
from alembic import op

from shared.db.roles import block

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "relay",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_relay")),
        schema="log",
    )
    op.add_column("shard", sa.Column("owner", sa.Text(), nullable=True), schema="log")
    op.execute(block("GRANT SELECT, INSERT, UPDATE, DELETE ON log.relay TO baton_scan;"))
