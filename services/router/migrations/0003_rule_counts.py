"""How often each rule held."""

import sqlalchemy as sa
from alembic import op

from shared.db.roles import secure

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "rule_count",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("writer", sa.Integer(), nullable=False, comment="each process adds to rows of its own"),
        sa.Column("decided", sa.BigInteger(), nullable=False),
        sa.Column("added", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "version", "rule", "writer", name=op.f("pk_rule_count")),
        schema="router",
        postgresql_with={"fillfactor": "70"},
    )
    op.execute(secure("router", ["rule_count"]))
