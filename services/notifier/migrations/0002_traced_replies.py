"""Replies remember the step that wrote them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Forward only."""
    op.add_column(
        "reply",
        sa.Column(
            "traceparent",
            sa.Text(),
            nullable=True,
            comment="the step that wrote it: sending is part of its trace",
        ),
        schema="notifier",
    )
