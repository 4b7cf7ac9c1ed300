"""Rules about silence: since when nobody has answered, and what rules were asked about it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Forward only."""
    op.add_column(
        "ticket",
        sa.Column(
            "silent_since",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="the first message after the last answer",
        ),
        schema="router",
    )
    op.add_column(
        "ticket",
        sa.Column(
            "told",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="minutes of that silence that rules were asked about",
        ),
        schema="router",
    )
    op.create_index(
        "ix_ticket_silent",
        "ticket",
        ["workspace_id", "silent_since"],
        unique=False,
        schema="router",
        postgresql_where=sa.text("is_open AND silent_since IS NOT NULL"),
    )
    op.add_column(
        "ticket_decision",
        sa.Column("after_minutes", sa.Integer(), nullable=True, comment="of a timer"),
        schema="router",
    )
