"""A name for the system that this database is, for what it shares with others."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "system",
        sa.Column("id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_system")),
        schema="log",
    )
    op.execute("INSERT INTO log.system (id) VALUES (replace(gen_random_uuid()::text, '-', ''))")
