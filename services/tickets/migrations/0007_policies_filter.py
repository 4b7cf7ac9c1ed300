"""The policies of batches are filters, never a way to find rows."""

from alembic import op

from shared.db.roles import rewrite_batch_policies

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Forward only."""
    op.execute(rewrite_batch_policies("tickets"))
