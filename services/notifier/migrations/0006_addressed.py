"""The feed knows whom an event is addressed to, and rules know which endpoints there are."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.db.roles import block

revision = "0006"
down_revision = "0005"

# Row security is forced upon the owner, too: it is put off while the owner copies.
_COPY = """
ALTER TABLE notifier.endpoint NO FORCE ROW LEVEL SECURITY;
ALTER TABLE platform.endpoint NO FORCE ROW LEVEL SECURITY;
INSERT INTO platform.endpoint (workspace_id, id)
    SELECT workspace_id, id FROM notifier.endpoint WHERE kind = 'webhook' ON CONFLICT DO NOTHING;
ALTER TABLE notifier.endpoint FORCE ROW LEVEL SECURITY;
ALTER TABLE platform.endpoint FORCE ROW LEVEL SECURITY;
"""


def upgrade() -> None:
    """Forward only."""
    op.add_column(
        "feed",
        sa.Column(
            "addressed",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="agents, teams and endpoints that the event names",
        ),
        schema="notifier",
    )
    op.execute(block(_COPY))
