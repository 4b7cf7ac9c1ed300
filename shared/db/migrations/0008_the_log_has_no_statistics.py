"""Statistics of the log are not gathered: nobody plans by them, and to gather them holds up the clearing of its queue.

ANALYZE is a transaction of some seconds. What was deleted after it has begun stays in the indexes until it has ended.
"""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Forward only."""
    for table in ("event", "queue", "position", "cursor", "shard"):
        op.execute(f"ALTER TABLE log.{table} SET (autovacuum_analyze_threshold = 2000000000)")
