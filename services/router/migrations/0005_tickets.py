"""What rules may ask about a customer: who ever wrote, and which tickets are open."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.db.roles import secure

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "author",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False, comment="digest of network, scope and id"),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "account", name=op.f("pk_author")),
        schema="router",
    )
    op.create_table(
        "ticket",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=True),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("tags", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False, comment="what is not newer changes nothing"),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ticket")),
        schema="router",
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index(
        "ix_ticket_closed",
        "ticket",
        ["workspace_id", "closed_at"],
        unique=False,
        schema="router",
        postgresql_where=sa.text("closed_at IS NOT NULL"),
    )
    op.create_table(
        "ticket_account",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False, comment="whose messages belong to an open ticket"),
        sa.Column("ticket_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "account", "ticket_id", name=op.f("pk_ticket_account")),
        schema="router",
    )
    op.create_index("ix_ticket_account_ticket", "ticket_account", ["ticket_id"], unique=False, schema="router")
    op.execute(secure("router", ["author", "ticket", "ticket_account"]))
