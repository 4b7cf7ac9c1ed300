"""Which webhook endpoints there are, for whoever names one."""

import sqlalchemy as sa
from alembic import op

from shared.db.roles import secure

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "endpoint",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_endpoint")),
        schema="platform",
        comment="that it exists; where it is and what it gets is the notifier's",
    )
    op.execute(secure("platform", ["endpoint"]))
