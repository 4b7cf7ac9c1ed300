"""Statistics of deliveries are not gathered: nobody plans by them, and to gather them holds up the clearing of queues.

ANALYZE is a transaction of some seconds. What was deleted after it has begun stays in the indexes until it has ended.
"""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Forward only."""
    for table in ("inbox", "pending", "item", "event"):
        op.execute(f"ALTER TABLE ingest.{table} SET (autovacuum_analyze_threshold = 2000000000)")
