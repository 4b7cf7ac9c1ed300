"""Who said what during a surge, so that tickets of those who say the same get one tag."""

import sqlalchemy as sa
from alembic import op

from shared.db.roles import secure

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "saying",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("surge_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False, comment="of what is said: a digest"),
        sa.Column("account", sa.Text(), nullable=False, comment="who says it"),
        sa.Column(
            "state",
            sa.Text(),
            nullable=False,
            comment="alone: nobody else said it; due: then somebody did; told: the ticket has the tag",
        ),
        sa.Column("said_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("state IN ('alone', 'due', 'told')", name=op.f("ck_saying_state")),
        sa.PrimaryKeyConstraint("workspace_id", "surge_id", "name", "account", name=op.f("pk_saying")),
        schema="router",
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index(
        "ix_saying_due",
        "saying",
        ["workspace_id"],
        unique=False,
        schema="router",
        postgresql_where=sa.text("state = 'due'"),
    )
    op.execute(secure("router", ["saying"]))
