"""The feed knows whom a ticket has left."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Forward only."""
    op.add_column(
        "feed",
        sa.Column(
            "from_team",
            sa.Text(),
            nullable=True,
            comment="the ticket moved with this event, from this team",
        ),
        schema="notifier",
    )
    op.add_column(
        "feed",
        sa.Column(
            "from_owner",
            sa.Text(),
            nullable=True,
            comment="and from this agent, or from the team's queue",
        ),
        schema="notifier",
    )
