"""The tables of the `router` schema."""

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from shared.db.migrate import Schema
from shared.db.tables import INSTANT, add_kernel_tables, add_plan_table, column, schema_metadata, stamp

METADATA: Final = schema_metadata("router")
add_kernel_tables(METADATA)
add_plan_table(METADATA)

ruleset = sa.Table(
    "ruleset",
    METADATA,
    column("workspace_id", sa.Text, primary_key=True),
    column("version", sa.Integer, primary_key=True),
    column("document", pg.JSONB),
    column("note", sa.Text, nullable=True),
    column("author", sa.Text, nullable=True, comment="agent or key; null: the preset"),
    stamp(),
)
activation = sa.Table(
    "activation",
    METADATA,
    column("workspace_id", sa.Text, primary_key=True),
    column("number", sa.Integer, primary_key=True, comment="the highest one is in force"),
    column("version", sa.Integer),
    column("author", sa.Text, nullable=True),
    column("reason", sa.Text, comment="activate, rollback, planned or preset"),
    stamp(),
)
decision = sa.Table(
    "decision",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("event_id", sa.Text),
    column("message_id", sa.Text),
    column("ruleset_version", sa.Integer),
    column("rule", sa.Text),
    column("outcome", sa.Text),
    column("action", pg.JSONB),
    column("evidence", pg.JSONB),
    column("facts", pg.JSONB, comment="what the rules saw: with the version it gives the same decision again"),
    stamp(),
    sa.Index("ix_decision_message", "workspace_id", "message_id"),
    sa.Index("ix_decision_history", "workspace_id", "created_at", "id"),
)
author = sa.Table(
    "author",
    METADATA,
    column("workspace_id", sa.Text, primary_key=True),
    column("account", sa.Text, primary_key=True, comment="digest of network, scope and id"),
    stamp(),
)
ticket = sa.Table(
    "ticket",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("is_open", sa.Boolean),
    column("team_id", sa.Text),
    column("owner_id", sa.Text, nullable=True),
    column("priority", sa.Text),
    column("tags", pg.JSONB),
    column("answered_at", INSTANT, nullable=True),
    column("state", sa.Text, nullable=True, comment="null: written before states were followed"),
    column("silent_since", INSTANT, nullable=True, comment="the first message after the last answer"),
    column("told", sa.Integer, server_default="0", comment="minutes of that silence that rules were asked about"),
    column("version", sa.BigInteger, comment="what is not newer changes nothing"),
    column("closed_at", INSTANT, nullable=True),
    column(
        "subjects", pg.JSONB, server_default="[]", comment="channels and lanes of its messages, as surges name them"
    ),
    # What is closed is kept until its events cannot come again.
    sa.Index("ix_ticket_closed", "workspace_id", "closed_at", postgresql_where=sa.text("closed_at IS NOT NULL")),
    # Rounds go through what is open in this order.
    sa.Index("ix_ticket_open", "workspace_id", "id", postgresql_where=sa.text("is_open")),
    sa.Index(
        "ix_ticket_silent",
        "workspace_id",
        "silent_since",
        postgresql_where=sa.text("is_open AND silent_since IS NOT NULL"),
    ),
    postgresql_with={"fillfactor": "70"},
)
ticket_account = sa.Table(
    "ticket_account",
    METADATA,
    column("workspace_id", sa.Text, primary_key=True),
    column("account", sa.Text, primary_key=True, comment="whose messages belong to an open ticket"),
    column("ticket_id", sa.Text, primary_key=True),
    sa.Index("ix_ticket_account_ticket", "ticket_id"),
)
customer = sa.Table(
    "customer",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("attributes", pg.JSONB),
    column("tags", pg.JSONB),
    column("version", sa.BigInteger, comment="what is not newer changes nothing"),
    stamp("changed_at"),
)
customer_account = sa.Table(
    "customer_account",
    METADATA,
    column("workspace_id", sa.Text, primary_key=True),
    column("account", sa.Text, primary_key=True, comment="whose messages are the customer's"),
    column("customer_id", sa.Text, primary_key=True),
    sa.Index("ix_customer_account_customer", "customer_id"),
)
ticket_decision = sa.Table(
    "ticket_decision",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("ticket_id", sa.Text),
    column("ticket_version", sa.BigInteger),
    column("trigger", sa.Text),
    column("after_minutes", sa.Integer, nullable=True, comment="of a timer"),
    column("event_id", sa.Text, comment="of the ticket event that asked, or of the silence"),
    column("ruleset_version", sa.Integer),
    column("rule", sa.Text),
    column("action", pg.JSONB),
    column("matched", pg.JSONB),
    column("skipped", pg.JSONB, comment="rules that held and had their say earlier in the chain"),
    column("held", sa.Text, nullable=True, comment="loop or hop-limit: why nothing came of it"),
    column("chain", pg.JSONB, nullable=True, comment="the decisions that led to the event"),
    column("facts", pg.JSONB, comment="what the rules saw: with the version it gives the same decision again"),
    stamp(),
    sa.Index("ix_ticket_decision_ticket", "workspace_id", "ticket_id", "created_at", "id"),
)
awaited = sa.Table(
    "awaited",
    METADATA,
    column("ticket_id", sa.Text, primary_key=True),
    column("event_id", sa.Text, primary_key=True, comment="of ticket.routed: the cause of what comes of it"),
    column("workspace_id", sa.Text),
    column("version", sa.BigInteger, comment="of the ticket that the rules saw"),
    column("tries", sa.Integer),
    column("decisions", pg.JSONB),
    stamp(),
)
rule_count = sa.Table(
    "rule_count",
    METADATA,
    column("workspace_id", sa.Text, primary_key=True),
    column("version", sa.Integer, primary_key=True),
    column("rule", sa.Text, primary_key=True),
    column("writer", sa.Integer, primary_key=True, comment="each process adds to rows of its own"),
    column("decided", sa.BigInteger),
    column("added", sa.BigInteger),
    stamp("first_at"),
    stamp("last_at"),
    postgresql_with={"fillfactor": "70"},
)
shadow = sa.Table(
    "shadow",
    METADATA,
    column("workspace_id", sa.Text, primary_key=True),
    column("run", sa.Integer, primary_key=True),
    column("version", sa.Integer),
    column("author", sa.Text),
    stamp("started_at"),
    column("ended_at", INSTANT, nullable=True),
    column("ended", sa.Text, nullable=True, comment="stopped, activated (another version) or failed"),
    column("ended_by", sa.Text, nullable=True),
    column("error", sa.Text, nullable=True),
    sa.Index("uq_shadow_running", "workspace_id", unique=True, postgresql_where=sa.text("ended_at IS NULL")),
)
shadow_count = sa.Table(
    "shadow_count",
    METADATA,
    column("workspace_id", sa.Text, primary_key=True),
    column("run", sa.Integer, primary_key=True),
    column("writer", sa.Integer, primary_key=True, comment="each process adds to rows of its own"),
    column("aspect", sa.Text, primary_key=True),
    column("before", sa.Text, primary_key=True),
    column("after", sa.Text, primary_key=True),
    column("messages", sa.BigInteger),
    postgresql_with={"fillfactor": "70"},
)
shadow_example = sa.Table(
    "shadow_example",
    METADATA,
    column("workspace_id", sa.Text, primary_key=True),
    column("run", sa.Integer, primary_key=True),
    column("writer", sa.Integer, primary_key=True),
    column("slot", sa.Integer, primary_key=True, comment="of a ring: the newest overwrites the oldest"),
    column("difference", pg.JSONB),
    stamp(),
    postgresql_with={"fillfactor": "70"},
)
surge_policy = sa.Table(
    "surge_policy",
    METADATA,
    column("workspace_id", sa.Text, primary_key=True),
    column("version", sa.Integer),
    column("document", pg.JSONB),
    column("author", sa.Text),
    stamp("counting_since"),
    stamp("changed_at"),
    column("open", pg.JSONB, server_default="{}", comment="what surges now: the surge by subject"),
)
surge_policy_change = sa.Table(
    "surge_policy_change",
    METADATA,
    column("workspace_id", sa.Text, primary_key=True),
    column("version", sa.Integer, primary_key=True),
    column("document", pg.JSONB, nullable=True, comment="null: it was given up"),
    column("author", sa.Text),
    stamp("changed_at"),
)
surge_count = sa.Table(
    "surge_count",
    METADATA,
    column("workspace_id", sa.Text, primary_key=True),
    column("minute", INSTANT, primary_key=True),
    column("subject", sa.Text, primary_key=True),
    column("writer", sa.Integer, primary_key=True, comment="each process adds to rows of its own"),
    column("messages", sa.BigInteger),
    postgresql_with={"fillfactor": "70"},
)
surge_hour = sa.Table(
    "surge_hour",
    METADATA,
    column("workspace_id", sa.Text, primary_key=True),
    column("subject", sa.Text, primary_key=True),
    column("hour", INSTANT, primary_key=True),
    column("messages", sa.BigInteger),
)
surge = sa.Table(
    "surge",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("subject", sa.Text),
    column("policy_version", sa.Integer),
    column("policy", pg.JSONB, comment="as it was when it began"),
    column("policy_author", sa.Text),
    stamp("began_at"),
    column("messages", sa.BigInteger),
    column("usual", sa.Float),
    column("minutes", sa.Integer),
    column("peak_messages", sa.BigInteger),
    stamp("peak_at"),
    column("calm_since", INSTANT, nullable=True, comment="ended and null: not begun again before it was calm"),
    column("ended_at", INSTANT, nullable=True),
    column("ended", sa.Text, nullable=True, comment="calm, lasting, person or policy"),
    column("ended_by", sa.Text, nullable=True),
    column("ended_messages", sa.BigInteger, nullable=True),
    column("ended_usual", sa.Float, nullable=True),
    sa.Index("uq_surge_open", "workspace_id", "subject", unique=True, postgresql_where=sa.text("ended_at IS NULL")),
    sa.Index("ix_surge_followed", "workspace_id", postgresql_where=sa.text("ended_at IS NULL OR calm_since IS NULL")),
    sa.Index("ix_surge_page", "workspace_id", "id"),
)
saying = sa.Table(
    "saying",
    METADATA,
    column("workspace_id", sa.Text, primary_key=True),
    column("surge_id", sa.Text, primary_key=True),
    column("name", sa.Text, primary_key=True, comment="of what is said: a digest"),
    column("account", sa.Text, primary_key=True, comment="who says it"),
    column(
        "state",
        sa.Text,
        comment="alone: nobody else said it; due: then somebody did; told: the ticket has the tag",
    ),
    stamp("said_at"),
    sa.CheckConstraint("state IN ('alone', 'due', 'told')", name="state"),
    sa.Index("ix_saying_due", "workspace_id", postgresql_where=sa.text("state = 'due'")),
    postgresql_with={"fillfactor": "70"},
)

SCHEMA: Final = Schema(name="router", metadata=METADATA, folder=Path(__file__).parents[1] / "migrations")
