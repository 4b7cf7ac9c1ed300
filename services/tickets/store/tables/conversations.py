"""Customers, and their tickets with all that was said."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from services.tickets.store.tables.schema import METADATA
from shared.db.tables import INSTANT, column, stamp

ACTIVE: Final = "state IN ('open', 'pending', 'snoozed')"
"""A customer has at most one ticket in these states."""

CLOSED: Final = "state IN ('resolved', 'merged')"
"""The archive: far more than what is active."""

_ARCHIVES: Final = {
    "": ("workspace_id", "state"),
    "_team": ("workspace_id", "state", "team_id"),
    "_owner": ("workspace_id", "state", "owner_id"),
}

fence = sa.Sequence("fence", metadata=METADATA, schema="tickets")
"""One sequence for all leases: a later holder's number is greater, whatever the scope."""

customer = sa.Table(
    "customer",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("name", sa.Text, nullable=True),
    column("attributes", pg.JSONB, server_default="{}"),
    column("merged_into", sa.Text, nullable=True),
    column("version", sa.BigInteger, server_default="1"),
    column("tags", pg.ARRAY(sa.Text), server_default="{}"),
    column("links", sa.BigInteger, server_default="0", comment="how often accounts came or went"),
    stamp(),
    sa.Index("ix_customer_page", "workspace_id", "id"),
)
customer_change = sa.Table(
    "customer_change",
    METADATA,
    column("customer_id", sa.Text, primary_key=True),
    column("version", sa.BigInteger, primary_key=True),
    column("workspace_id", sa.Text),
    column("actor", pg.JSONB),
    column("reason", sa.Text),
    column("data", pg.JSONB),
    column("at", INSTANT, server_default=sa.text("clock_timestamp()")),
)
identity = sa.Table(
    "identity",
    METADATA,
    column("workspace_id", sa.Text, primary_key=True),
    column("network", sa.Text, primary_key=True),
    column("scope", sa.Text, primary_key=True, comment="the channel's id, or '' where ids hold for the whole network"),
    column("external_id", sa.Text, primary_key=True),
    column("customer_id", sa.Text),
    column("home_customer_id", sa.Text, comment="the customer that it was created with: where unlinking returns it"),
    column("handle", sa.Text, nullable=True),
    column("name", sa.Text, nullable=True),
    column("evidence", pg.JSONB, nullable=True, comment="why it was linked: kind, by whom, when"),
    stamp(),
    sa.Index("ix_identity_customer", "customer_id"),
)
ticket = sa.Table(
    "ticket",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("customer_id", sa.Text),
    column("customer_name", sa.Text, nullable=True),
    column("customer_handle", sa.Text, nullable=True),
    column("customer_network", sa.Text, nullable=True),
    column("state", sa.Text),
    column("team_id", sa.Text),
    column("owner_id", sa.Text, nullable=True),
    column("offer_id", sa.Text, nullable=True, comment="the assignment that waits for acceptance"),
    column("rank", sa.SmallInteger, comment="0 urgent, 1 high, 2 normal, 3 low: lists sort by it ascending"),
    column("tags", pg.ARRAY(sa.Text), server_default="{}"),
    column("networks", pg.ARRAY(sa.Text), server_default="{}"),
    column("last_seq", sa.BigInteger, server_default="0"),
    column("version", sa.BigInteger, server_default="1"),
    column("changed_by", pg.JSONB, comment="actor of the last change: who 412 names"),
    column("change", sa.Text, comment="the last change in one word: what 412 says was changed"),
    column("waiting_since", INSTANT, nullable=True, comment="the oldest customer's message without an answer"),
    column("snoozed_until", INSTANT, nullable=True),
    column("resolved_at", INSTANT, nullable=True),
    column("merged_into", sa.Text, nullable=True),
    stamp(),
    stamp("updated_at"),
    sa.CheckConstraint("state IN ('open', 'pending', 'snoozed', 'resolved', 'merged')", name="state"),
    sa.CheckConstraint("rank BETWEEN 0 AND 3", name="rank"),
    sa.Index("uq_ticket_open", "workspace_id", "customer_id", unique=True, postgresql_where=sa.text(ACTIVE)),
    sa.Index("ix_ticket_customer", "workspace_id", "customer_id"),
    sa.Index("ix_ticket_merged", "merged_into", postgresql_where=sa.text("merged_into IS NOT NULL")),
    sa.Index("ix_ticket_all", "workspace_id", "rank", "id", postgresql_where=sa.text(ACTIVE)),
    sa.Index("ix_ticket_team", "workspace_id", "team_id", "rank", "id", postgresql_where=sa.text(ACTIVE)),
    sa.Index("ix_ticket_owner", "workspace_id", "owner_id", "rank", "id", postgresql_where=sa.text(ACTIVE)),
    sa.Index("ix_ticket_recent", "workspace_id", "updated_at", "id", postgresql_where=sa.text(ACTIVE)),
    # Those of the archive are written when a ticket is resolved, and not with every message.
    *(
        sa.Index(f"ix_ticket_closed{whose}_{key}", *columns, key, "id", postgresql_where=sa.text(CLOSED))
        for whose, columns in _ARCHIVES.items()
        for key in ("rank", "updated_at")
    ),
    # Where a queue is listed and drained: what nobody owns.
    sa.Index(
        "ix_ticket_queue",
        "workspace_id",
        "team_id",
        "rank",
        "id",
        postgresql_where=sa.text(f"owner_id IS NULL AND {ACTIVE}"),
    ),
)
ticket_label = sa.Table(
    "ticket_label",
    METADATA,
    # Row security keeps array searches away from their index; equality of text goes through it.
    column("workspace_id", sa.Text, primary_key=True),
    column("label", sa.Text, primary_key=True, comment="`tag:` or `network:` and a name, of active tickets"),
    column("rank", sa.SmallInteger, primary_key=True),
    column("ticket_id", sa.Text, primary_key=True),
    sa.Index("ix_ticket_label_ticket", "ticket_id"),
)
conversation = sa.Table(
    "conversation",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("ticket_id", sa.Text, primary_key=True, comment="people who write under one post share a conversation"),
    column("workspace_id", sa.Text),
    column("channel_id", sa.Text),
    column("network", sa.Text),
    column("kind", sa.Text),
    stamp(),
    sa.Index("ix_conversation_ticket", "ticket_id"),
)
message = sa.Table(
    "message",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("ticket_id", sa.Text, nullable=True, comment="null: ignored by a rule, or not received yet"),
    column("conversation_id", sa.Text),
    column("channel_id", sa.Text),
    column("network", sa.Text),
    column("kind", sa.Text),
    column("direction", sa.Text),
    column("origin", sa.Text),
    column("external_id", sa.Text),
    column("seq", sa.BigInteger, nullable=True, comment="its place in the ticket's timeline"),
    column("text", sa.Text, nullable=True),
    column("state", sa.Text, server_default="visible"),
    column("received", sa.Boolean, comment="false: only an edit or a deletion of it was seen so far"),
    column("provider_version", sa.Text, server_default=""),
    column("reactions", pg.JSONB, server_default="{}", comment="reactor to emoji"),
    column("data", pg.JSONB, comment="the whole message as ingest last said it"),
    column("occurred_at", INSTANT),
    stamp(),
    sa.CheckConstraint("state IN ('visible', 'hidden', 'deleted')", name="state"),
    sa.Index("ix_message_ticket", "ticket_id", "seq"),
    sa.Index("ix_message_conversation", "conversation_id", "occurred_at"),
)
search = sa.Table(
    "search",
    METADATA,
    # Searched only through the function `tickets.find`, which is bound to the session's workspace: row security is
    # not forced on its owner here, because a policy would keep the search away from the index.
    column("id", sa.Text, primary_key=True, comment="a message's id, or a customer's"),
    column("workspace_id", sa.Text),
    column("text", sa.Text),
    column("at", INSTANT),
    sa.Index(
        "ix_search_text",
        "workspace_id",
        "text",
        postgresql_using="gin",
        postgresql_ops={"text": "gin_trgm_ops"},
        postgresql_with={"gin_pending_list_limit": "4096"},
    ),
    sa.Index("ix_search_recent", "workspace_id", "at"),
)
turn = sa.Table(
    "turn",
    METADATA,
    column("message_id", sa.Text, primary_key=True, comment="the customer's message that opened it"),
    column("workspace_id", sa.Text),
    column("ticket_id", sa.Text),
    column("conversation_id", sa.Text),
    column("seq", sa.BigInteger),
    column("answer_id", sa.Text, nullable=True, comment="latest finished answer: a reply's id or a native message's"),
    column("answer_actor", pg.JSONB, nullable=True),
    column("answer_seq", sa.BigInteger, nullable=True),
    sa.Index("ix_turn_open", "ticket_id", "conversation_id", "seq"),
)
entry = sa.Table(
    "entry",
    METADATA,
    column("ticket_id", sa.Text, primary_key=True),
    column("seq", sa.BigInteger, primary_key=True),
    column("workspace_id", sa.Text),
    column("kind", sa.Text, comment="message, native, reply, note, or what was done: the timeline and the audit"),
    column("actor", pg.JSONB),
    column("message_id", sa.Text, nullable=True),
    column("reply_id", sa.Text, nullable=True),
    column("conversation_id", sa.Text, nullable=True),
    column("event_id", sa.Text, nullable=True, comment="what makes the redelivery of an edit or a deletion harmless"),
    column("moves", sa.Boolean, comment="a customer's message or an answer: what the traffic cop looks at"),
    column("data", pg.JSONB, server_default="{}"),
    column("at", INSTANT, server_default=sa.text("clock_timestamp()")),
    sa.Index("ix_entry_event", "event_id", postgresql_where=sa.text("event_id IS NOT NULL")),
)
