"""The index of words takes in what is new in small steps: each of its usual 4 MB kept a batch waiting for 50 ms."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Forward only."""
    op.execute("ALTER INDEX tickets.ix_search_text SET (gin_pending_list_limit = 256)")
