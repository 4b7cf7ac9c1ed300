"""Accounts of a customer are found by the customer: the workspace in front was read whole when statistics were old."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Forward only."""
    op.drop_index("ix_identity_customer", table_name="identity", schema="tickets")
    op.create_index("ix_identity_customer", "identity", ["customer_id"], schema="tickets")
