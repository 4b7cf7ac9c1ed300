"""What rules may ask about a customer: attributes and tags, by the accounts that are theirs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.db.roles import secure

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "customer",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("attributes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("tags", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False, comment="what is not newer changes nothing"),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer")),
        schema="router",
    )
    op.create_table(
        "customer_account",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False, comment="whose messages are the customer's"),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "account", "customer_id", name=op.f("pk_customer_account")),
        schema="router",
    )
    op.create_index("ix_customer_account_customer", "customer_account", ["customer_id"], unique=False, schema="router")
    op.execute(secure("router", ["customer", "customer_account"]))
