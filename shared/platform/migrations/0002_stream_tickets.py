"""One-time tickets for the live stream."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.db.roles import secure

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "stream_ticket",
        sa.Column("secret_hash", postgresql.BYTEA(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("secret_hash", name=op.f("pk_stream_ticket")),
        schema="platform",
        comment="opens one live stream with the rights of a key; whoever deletes the row has used it",
    )
    op.create_index("ix_stream_ticket_expiry", "stream_ticket", ["expires_at"], unique=False, schema="platform")
    op.execute(secure("platform", ["stream_ticket"]))
