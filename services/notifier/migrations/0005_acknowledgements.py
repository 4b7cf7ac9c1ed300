"""Replies may acknowledge: they give way to answers, and take no turn."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Forward only."""
    op.add_column(
        "reply",
        sa.Column(
            "acknowledges",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="it leaves only where nobody has answered, and takes no turn",
        ),
        schema="notifier",
    )
