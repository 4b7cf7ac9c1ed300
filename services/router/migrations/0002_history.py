"""Decisions of a workspace by their time, for trying rulesets on the past."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Forward only."""
    op.create_index(
        "ix_decision_history", "decision", ["workspace_id", "created_at", "id"], unique=False, schema="router"
    )
