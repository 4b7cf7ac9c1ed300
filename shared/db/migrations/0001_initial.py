"""The event log."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.db.roles import block, secure

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "cursor",
        sa.Column("consumer_group", sa.Text(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("consumer_group", "shard", name=op.f("pk_cursor")),
        schema="log",
    )
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("headers", postgresql.BYTEA(), nullable=False),
        sa.Column("value", postgresql.BYTEA(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        schema="log",
    )
    op.create_table(
        "member",
        sa.Column("consumer_group", sa.Text(), nullable=False),
        sa.Column("member", sa.Text(), nullable=False),
        sa.Column("topics", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("consumer_group", "member", name=op.f("pk_member")),
        schema="log",
    )
    op.create_table(
        "position",
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("shard", "position", name=op.f("pk_position")),
        schema="log",
    )
    op.create_table(
        "queue",
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("shard", "event_id", name=op.f("pk_queue")),
        schema="log",
    )
    op.create_table(
        "shard",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("next_position", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("first_position", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shard")),
        sa.UniqueConstraint("topic", "partition", name=op.f("uq_shard_topic_partition")),
        schema="log",
    )
    op.execute(secure("log", ["event"], scan="SELECT, INSERT, DELETE"))
    op.execute(
        block("""
GRANT SELECT ON log.shard, log.event, log.queue, log.position, log.cursor, log.member
    TO baton_workspace, baton_batch, baton_scan;
GRANT INSERT ON log.queue TO baton_workspace, baton_batch, baton_scan;
GRANT UPDATE ON log.cursor TO baton_batch, baton_scan;
GRANT UPDATE ON log.shard TO baton_scan;
GRANT INSERT, DELETE ON log.cursor, log.member TO baton_scan;
GRANT UPDATE ON log.member TO baton_scan;
GRANT DELETE ON log.queue TO baton_scan;
GRANT INSERT, DELETE ON log.position TO baton_scan;
""")
    )
