"""Replies remember that they were asked to stay while they were being sent."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Forward only."""
    op.add_column(
        "reply",
        sa.Column(
            "stop",
            sa.Text(),
            nullable=True,
            comment="why it was asked to stay while it was being sent: it does, should that attempt not leave",
        ),
        schema="notifier",
    )
