"""Memberships end when the server crashes, and whoever commits shows that his has not.

What a crash takes may have been read before it: its position, even its id, may then be another event's.
"""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Forward only."""
    # Recovery empties unlogged tables, and so does the promotion of a replica.
    op.execute("ALTER TABLE log.member SET UNLOGGED")
