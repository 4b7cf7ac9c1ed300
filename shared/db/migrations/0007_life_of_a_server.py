"""A name for the life of a server, from its start on a log that is whole to the crash that may take the end of it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Forward only."""
    # Recovery empties unlogged tables, and so does the promotion of a replica.
    op.create_table(
        "life",
        sa.Column("id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_life")),
        schema="log",
        comment="of the server: gone after a crash, which may have taken events and give their ids again",
        prefixes=["UNLOGGED"],
    )
    op.execute("GRANT SELECT, INSERT ON log.life TO baton_scan")
