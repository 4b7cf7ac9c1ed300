"""Who works on what: assignments, leases, presence, drafts, collisions and views."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from services.tickets.store.tables.schema import METADATA
from shared.db.tables import INSTANT, column, stamp

assignment = sa.Table(
    "assignment",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("ticket_id", sa.Text),
    column("team_id", sa.Text),
    column("agent_id", sa.Text, nullable=True),
    column("state", sa.Text),
    column("strategy", sa.Text),
    column("reason", sa.Text, nullable=True),
    column("candidates", pg.JSONB, server_default="[]"),
    column("expires_at", INSTANT, nullable=True),
    stamp(),
    column("ended_at", INSTANT, nullable=True),
    sa.CheckConstraint("state IN ('queued', 'offered', 'accepted', 'declined', 'expired', 'released')", name="state"),
    sa.Index("ix_assignment_ticket", "ticket_id", "id"),
    sa.Index("uq_assignment_current", "ticket_id", unique=True, postgresql_where=sa.text("ended_at IS NULL")),
    sa.Index("ix_assignment_agent", "workspace_id", "agent_id", postgresql_where=sa.text("ended_at IS NULL")),
)
agent_load = sa.Table(
    "agent_load",
    METADATA,
    column("workspace_id", sa.Text, primary_key=True),
    column("agent_id", sa.Text, primary_key=True),
    column("load", sa.Integer, server_default="0", comment="owned and offered tickets that are not resolved"),
    column("last_assigned_at", INSTANT, nullable=True),
    sa.CheckConstraint("load >= 0", name="load"),
)
lease = sa.Table(
    "lease",
    METADATA,
    column("scope", sa.Text, primary_key=True, comment="a customer's id, or a ticket's where the workspace says so"),
    column("workspace_id", sa.Text),
    column("fence", sa.BigInteger),
    column("holder_id", sa.Text, nullable=True, comment="null: nobody; the fence stays"),
    column("holder_kind", sa.Text, nullable=True),
    column("holder_name", sa.Text, nullable=True),
    column("session", sa.Text, nullable=True),
    column("acquired_at", INSTANT, nullable=True),
    column("active_at", INSTANT, nullable=True, comment="last activity: idle holders are released softly"),
    column("expires_at", INSTANT, nullable=True),
    column("hard_until", INSTANT, nullable=True),
    # Kept with the lease so that a heartbeat is one statement, without a look at the workspace's settings.
    column("ttl", sa.Interval, server_default="0"),
    column("idle", sa.Interval, server_default="0"),
    column("wanted_by", pg.JSONB, nullable=True, comment="who asked for it"),
    column("wanted_until", INSTANT, nullable=True, comment="then the one who asked may take it"),
    # Half-empty pages: heartbeats update in place without touching the index.
    postgresql_with={"fillfactor": "70"},
)
presence = sa.Table(
    "presence",
    METADATA,
    column("ticket_id", sa.Text, primary_key=True),
    column("agent_id", sa.Text, primary_key=True),
    column("session", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("agent_name", sa.Text, nullable=True),
    column("level", sa.Text),
    column("expires_at", INSTANT),
    sa.CheckConstraint("level IN ('viewing', 'composing')", name="level"),
    sa.Index("ix_presence_agent", "workspace_id", "agent_id"),
    postgresql_with={"fillfactor": "70"},
)
draft = sa.Table(
    "draft",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("ticket_id", sa.Text),
    column("agent_id", sa.Text),
    column("text", sa.Text),
    column("reason", sa.Text, comment="typed, or why a reply was refused or held"),
    column("in_reply_to", sa.Text, nullable=True),
    column("reply_id", sa.Text, nullable=True),
    column("seen_seq", sa.BigInteger, nullable=True),
    column(
        "data", pg.JSONB, server_default="{}", comment="the rest of what was to be sent: kind, attachments, template"
    ),
    stamp(),
    stamp("updated_at"),
    sa.Index("ix_draft_ticket", "workspace_id", "ticket_id", "agent_id"),
    sa.Index("uq_draft_typed", "ticket_id", "agent_id", unique=True, postgresql_where=sa.text("reason = 'typed'")),
)
collision = sa.Table(
    "collision",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("ticket_id", sa.Text),
    column("outcome", sa.Text),
    column("kind", sa.Text),
    column("agent_id", sa.Text, nullable=True),
    column("other", pg.JSONB, nullable=True),
    column("reply_id", sa.Text, nullable=True),
    column("message_id", sa.Text, nullable=True),
    stamp(),
    sa.CheckConstraint("outcome IN ('prevented', 'overridden', 'happened')", name="outcome"),
    sa.Index("ix_collision_page", "workspace_id", "id"),
    sa.Index("ix_collision_ticket", "ticket_id"),
)

saved_view = sa.Table(
    "saved_view",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("agent_id", sa.Text, nullable=True, comment="whose it is; null: everybody's"),
    column("name", sa.Text),
    column("query", pg.JSONB, comment="the parameters of the list"),
    column("version", sa.BigInteger, server_default="1"),
    stamp(),
    sa.Index("ix_saved_view_page", "workspace_id", "id"),
)
