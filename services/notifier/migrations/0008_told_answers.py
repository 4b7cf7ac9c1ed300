"""A turn knows whether tickets has told of its latest answer."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Forward only."""
    op.add_column(
        "turn",
        sa.Column(
            "is_told",
            sa.Boolean(),
            server_default="true",
            nullable=False,
            comment="false: it left, and tickets has not told of it yet",
        ),
        schema="notifier",
    )
