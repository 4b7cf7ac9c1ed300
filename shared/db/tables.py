"""The tables that the kernel itself needs: the `log` schema, and the same six in the schema of every service."""

from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from shared.db.migrate import Schema

NAMING: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "pk": "pk_%(table_name)s",
}

INSTANT: Final = sa.DateTime(timezone=True)
KERNEL_TABLES: Final = ("dedupe", "parked", "parked_event", "dead_letter", "timer", "idempotency")


def schema_metadata(schema: str) -> sa.MetaData:
    """Metadata of one schema, with names that migrations can rely on."""
    return sa.MetaData(schema=schema, naming_convention=NAMING)


def column(name: str, kind: Any, *arguments: Any, **options: Any) -> "sa.Column[Any]":
    """A column that is NOT NULL unless told otherwise: a null must be a decision."""
    options.setdefault("nullable", False)
    return sa.Column(name, kind, *arguments, **options)


def stamp(name: str = "created_at") -> "sa.Column[Any]":
    """An instant that the database sets."""
    return column(name, INSTANT, server_default=sa.text("now()"))


def log_tables() -> sa.MetaData:
    """The event log: events written once, a narrow queue in front of the sequencer, dense positions behind it."""
    metadata = schema_metadata("log")
    sa.Table(
        "shard",
        metadata,
        column("id", sa.Integer, sa.Identity(), primary_key=True),
        column("topic", sa.Text),
        column("partition", sa.Integer),
        column("first_position", sa.BigInteger, server_default="0"),
        column("owner", sa.Text, nullable=True),
        sa.UniqueConstraint("topic", "partition"),
    )
    sa.Table(
        "relay",
        metadata,
        column("id", sa.Text, primary_key=True),
        column("expires_at", INSTANT),
    )
    sa.Table(
        "system",
        metadata,
        column("id", sa.Text, primary_key=True),
    )
    sa.Table(
        "life",
        metadata,
        column("id", sa.Text, primary_key=True),
        prefixes=["UNLOGGED"],
        comment="of the server: gone after a crash, which may have taken events and give their ids again",
    )
    sa.Table(
        "event",
        metadata,
        # No sequence cache: ids of one key must grow in the order in which its row lock was held.
        column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        column("shard", sa.Integer),
        column("topic", sa.Text),
        column("key", sa.Text),
        column("workspace_id", sa.Text),
        column("headers", pg.BYTEA),
        column("value", pg.BYTEA),
        stamp(),
        info={"scan": "SELECT, INSERT, DELETE"},
    )
    sa.Table(
        "queue",
        metadata,
        column("shard", sa.Integer, primary_key=True),
        column("event_id", sa.BigInteger, primary_key=True),
    )
    sa.Table(
        "position",
        metadata,
        column("shard", sa.Integer, primary_key=True),
        column("position", sa.BigInteger, primary_key=True),
        column("event_id", sa.BigInteger),
        stamp(),
    )
    sa.Table(
        "cursor",
        metadata,
        column("consumer_group", sa.Text, primary_key=True),
        column("shard", sa.Integer, primary_key=True),
        column("position", sa.BigInteger, server_default="0"),
        column("epoch", sa.BigInteger, server_default="0"),
        column("owner", sa.Text, nullable=True),
    )
    sa.Table(
        "member",
        metadata,
        column("consumer_group", sa.Text, primary_key=True),
        column("member", sa.Text, primary_key=True),
        column("topics", pg.ARRAY(sa.Text)),
        column("expires_at", INSTANT),
        prefixes=["UNLOGGED"],
    )
    return metadata


def add_kernel_tables(metadata: sa.MetaData) -> None:
    """Adds the kernel's tables to a service's schema."""
    sa.Table(
        "dedupe",
        metadata,
        column("day", sa.Date, primary_key=True),
        column("scope", sa.Text, primary_key=True),
        column("key", sa.Text, primary_key=True),
        column("workspace_id", sa.Text),
    )
    sa.Table(
        "parked",
        metadata,
        column("consumer_group", sa.Text, primary_key=True),
        column("key", sa.Text, primary_key=True),
        column("workspace_id", sa.Text),
        column("attempts", sa.Integer, server_default="0"),
        column("reason", sa.Text),
        column("next_at", INSTANT, server_default=sa.text("now()")),
        stamp("parked_at"),
        sa.Index("ix_parked_due", "consumer_group", "next_at"),
        info={"scan": "SELECT"},
    )
    sa.Table(
        "parked_event",
        metadata,
        column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        column("consumer_group", sa.Text),
        column("key", sa.Text),
        column("workspace_id", sa.Text),
        column("topic", sa.Text),
        column("partition", sa.Integer),
        column("position", sa.BigInteger),
        column("headers", pg.BYTEA),
        column("value", pg.BYTEA),
        stamp(),
        sa.Index("ix_parked_event_key", "consumer_group", "key", "id"),
    )
    sa.Table(
        "dead_letter",
        metadata,
        column("id", sa.Text, primary_key=True),
        column("workspace_id", sa.Text),
        column("consumer_group", sa.Text),
        column("topic", sa.Text),
        column("partition", sa.Integer),
        column("position", sa.BigInteger),
        column("key", sa.Text),
        column("event_type", sa.Text, nullable=True),
        column("headers", pg.BYTEA),
        column("value", pg.BYTEA),
        column("error_class", sa.Text),
        column("error_message", sa.Text),
        column("attempts", sa.Integer),
        column("first_failed_at", INSTANT),
        stamp(),
        sa.Index("ix_dead_letter_page", "workspace_id", "id"),
    )
    sa.Table(
        "timer",
        metadata,
        column("id", sa.Text, primary_key=True),
        column("workspace_id", sa.Text),
        column("kind", sa.Text),
        column("subject", sa.Text),
        column("version", sa.BigInteger, server_default="0"),
        column("due_at", INSTANT),
        column("data", pg.JSONB, server_default="{}"),
        column("claimed_until", INSTANT, nullable=True),
        column("attempts", sa.Integer, server_default="0"),
        sa.UniqueConstraint("workspace_id", "kind", "subject"),
        sa.Index("ix_timer_due", "due_at"),
        info={"scan": "SELECT, UPDATE"},
    )
    sa.Table(
        "idempotency",
        metadata,
        column("workspace_id", sa.Text, primary_key=True),
        column("principal", sa.Text, primary_key=True),
        column("route", sa.Text, primary_key=True),
        column("key", sa.Text, primary_key=True),
        column("fingerprint", sa.Text),
        column("status", sa.Integer),
        column("headers", pg.JSONB),
        column("body", pg.BYTEA),
        stamp(),
        sa.Index("ix_idempotency_age", "created_at"),
    )


def add_plan_table(metadata: sa.MetaData) -> None:
    """Adds the table of plans to the schema of a service that has some."""
    sa.Table(
        "plan",
        metadata,
        column("id", sa.Text, primary_key=True),
        column("workspace_id", sa.Text),
        column("at", INSTANT, comment="from when on it is in effect"),
        column("what", pg.JSONB),
        column("name", sa.Text, comment="of what at which instant: a digest"),
        column("author", sa.Text),
        stamp(),
        column("state", sa.Text, server_default="upcoming"),
        column("ended_at", INSTANT, nullable=True),
        column("ended_by", sa.Text, nullable=True, comment="who cancelled it"),
        column("reason", sa.Text, nullable=True, comment="why it could not be done"),
        column("outcome", pg.JSONB, nullable=True),
        sa.CheckConstraint("state IN ('upcoming', 'done', 'failed', 'cancelled')", name="state"),
        sa.Index(
            "uq_plan_upcoming", "workspace_id", "name", unique=True, postgresql_where=sa.text("state = 'upcoming'")
        ),
        sa.Index("ix_plan_page", "workspace_id", "id"),
    )


LOG_SCHEMA: Final = Schema(name="log", metadata=log_tables(), folder=Path(__file__).parent / "migrations")
