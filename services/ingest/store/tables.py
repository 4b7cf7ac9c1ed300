"""The tables of the `ingest` schema."""

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from shared.db.migrate import Schema
from shared.db.tables import INSTANT, add_kernel_tables, column, schema_metadata, stamp

METADATA: Final = schema_metadata("ingest")
add_kernel_tables(METADATA)

inbox = sa.Table(
    "inbox",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("channel_id", sa.Text),
    column("network", sa.Text),
    column("shard", sa.SmallInteger),
    column("delivery_key", sa.Text),
    column("headers", pg.BYTEA),
    column("body", pg.BYTEA),
    column("state", sa.Text, server_default="pending"),
    column("reason_code", sa.Text, nullable=True),
    column("reason_detail", sa.Text, nullable=True),
    column("replays", sa.Integer, server_default="0"),
    stamp("received_at"),
    column("normalized_at", INSTANT, nullable=True),
    sa.CheckConstraint("state IN ('pending', 'normalized', 'ignored', 'not-understood')", name="state"),
    sa.UniqueConstraint("channel_id", "delivery_key"),
    sa.Index("ix_inbox_page", "channel_id", "state", "id"),
)
pending = sa.Table(
    "pending",
    METADATA,
    column("shard", sa.SmallInteger, primary_key=True),
    column("number", sa.BigInteger, sa.Identity(), primary_key=True),
    column("inbox_id", sa.Text),
    column("workspace_id", sa.Text),
    column("channel_id", sa.Text),
    column("size", sa.Integer),
    info={"scan": "SELECT"},
    comment="what waits to be normalized: narrow, because the scanning role may read it",
)
item = sa.Table(
    "item",
    METADATA,
    column("channel_id", sa.Text, primary_key=True),
    column("external_id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("message_id", sa.Text),
    column("conversation_id", sa.Text),
    column("state", sa.Text),
    column("known", pg.BYTEA, comment="domain.index.Known: the message as its last event carried it"),
    stamp("updated_at"),
    sa.Index("ix_item_age", "updated_at"),
)
event = sa.Table(
    "event",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("inbox_id", sa.Text),
    column("ordinal", sa.BigInteger, sa.Identity()),
    column("type", sa.Text),
    column("message_id", sa.Text),
    column("part", sa.Text, comment="which item of the delivery it stems from"),
    sa.Index("ix_event_inbox", "inbox_id", "ordinal"),
)
refusal = sa.Table(
    "refusal",
    METADATA,
    column("channel_id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("count", sa.BigInteger, server_default="0"),
    stamp("last_at"),
    comment="webhook requests whose signature was wrong: counted, never kept",
)
shard = sa.Table(
    "shard",
    METADATA,
    column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
    column("owner", sa.Text, nullable=True),
    comment="whoever normalizes a shard's deliveries holds its row's lock: the order of its events",
)
member = sa.Table(
    "member",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("expires_at", INSTANT),
    comment="processes that normalize; shards of one that is not heard of are taken over",
)

SCHEMA: Final = Schema(name="ingest", metadata=METADATA, folder=Path(__file__).parents[1] / "migrations")
