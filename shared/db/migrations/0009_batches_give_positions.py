"""Batches give the events that they append their positions themselves."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Forward only."""
    op.execute("GRANT UPDATE (next_position) ON log.shard TO baton_batch")
    op.execute("GRANT INSERT ON log.position TO baton_batch")
    op.execute("GRANT SELECT ON log.life TO baton_batch")
