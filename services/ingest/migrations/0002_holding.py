"""Whoever normalizes a batch locks its shards in the transaction that writes it."""

from alembic import op

from shared.db.roles import block

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Forward only."""
    op.execute(block("GRANT SELECT, UPDATE ON ingest.shard TO baton_batch;"))
