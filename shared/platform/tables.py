"""The tables of the `platform` schema; each is written by one service's API.

Channels by ingest's, stream tickets and endpoints by the notifier's, the rest by tickets'.
"""

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from shared.db.migrate import Schema
from shared.db.tables import INSTANT, column, schema_metadata, stamp

METADATA: Final = schema_metadata("platform")

workspace = sa.Table(
    "workspace",
    METADATA,
    column("workspace_id", sa.Text, primary_key=True),
    column("name", sa.Text),
    column("settings", pg.JSONB, server_default="{}"),
    column("version", sa.BigInteger, server_default="1"),
    stamp(),
    info={"scan": "SELECT"},
)
agent = sa.Table(
    "agent",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("name", sa.Text),
    column("kind", sa.Text),
    column("role", sa.Text),
    column("availability", sa.Text, server_default="available"),
    column("capacity", sa.Integer, server_default="50"),
    column("disabled_at", INSTANT, nullable=True),
    column("version", sa.BigInteger, server_default="1"),
    stamp(),
    sa.CheckConstraint("kind IN ('human', 'bot')", name="kind"),
    sa.CheckConstraint("availability IN ('available', 'away', 'offline')", name="availability"),
    sa.CheckConstraint("capacity >= 0", name="capacity"),
    sa.Index("ix_agent_workspace", "workspace_id", "id"),
)
team = sa.Table(
    "team",
    METADATA,
    column("workspace_id", sa.Text, primary_key=True),
    column("id", sa.Text, primary_key=True),
    column("name", sa.Text),
    column("requires_acceptance", sa.Boolean, server_default=sa.text("false")),
    column("offer_seconds", sa.Integer, server_default="120"),
    column("is_fallback", sa.Boolean, server_default=sa.text("false")),
    column("stand_in", sa.Text, nullable=True, comment="gets what comes here while nobody is on duty"),
    column("version", sa.BigInteger, server_default="1"),
    stamp(),
    sa.CheckConstraint("id ~ '^[a-z0-9][a-z0-9-]{0,62}$'", name="id"),
    sa.Index("uq_team_fallback", "workspace_id", unique=True, postgresql_where=sa.text("is_fallback")),
)
team_member = sa.Table(
    "team_member",
    METADATA,
    column("workspace_id", sa.Text, primary_key=True),
    column("team_id", sa.Text, primary_key=True),
    column("agent_id", sa.Text, primary_key=True),
    column("on_duty", sa.Boolean, server_default=sa.text("true")),
    sa.Index("ix_team_member_agent", "workspace_id", "agent_id"),
    # Whoever shares out work asks for those who do not take any: mostly nobody.
    sa.Index("ix_team_member_off_duty", "workspace_id", "agent_id", postgresql_where=sa.text("NOT on_duty")),
)
schedule = sa.Table(
    "schedule",
    METADATA,
    column("workspace_id", sa.Text, primary_key=True),
    column("team_id", sa.Text, primary_key=True),
    column("document", pg.JSONB),
    column("version", sa.BigInteger, server_default="1"),
    stamp(),
    stamp("updated_at"),
)
api_key = sa.Table(
    "api_key",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("name", sa.Text),
    column("secret_hash", pg.BYTEA),
    column("agent_id", sa.Text, nullable=True),
    column("role", sa.Text),
    column("scopes", pg.ARRAY(sa.Text), nullable=True),
    column("teams", pg.ARRAY(sa.Text), nullable=True),
    column("expires_at", INSTANT, nullable=True),
    column("revoked_at", INSTANT, nullable=True),
    column("last_used_at", INSTANT, nullable=True),
    stamp(),
    sa.Index("ix_api_key_workspace", "workspace_id", "id"),
    info={"scan": "SELECT"},
)
stream_ticket = sa.Table(
    "stream_ticket",
    METADATA,
    column("secret_hash", pg.BYTEA, primary_key=True),
    column("workspace_id", sa.Text),
    column("key_id", sa.Text),
    column("expires_at", INSTANT),
    sa.Index("ix_stream_ticket_expiry", "expires_at"),
    comment="opens one live stream with the rights of a key; whoever deletes the row has used it",
)
channel = sa.Table(
    "channel",
    METADATA,
    column("id", sa.Text, primary_key=True),
    column("workspace_id", sa.Text),
    column("network", sa.Text),
    column("name", sa.Text),
    column("external_id", sa.Text),
    column("purpose", sa.Text),
    column("state", sa.Text, server_default="active"),
    column("state_reason", sa.Text, nullable=True),
    column("api_base_url", sa.Text, nullable=True),
    column("credentials", pg.BYTEA),
    column("version", sa.BigInteger, server_default="1"),
    stamp(),
    stamp("updated_at"),
    sa.CheckConstraint("purpose IN ('brand', 'care', 'ads')", name="purpose"),
    sa.CheckConstraint("state IN ('active', 'paused', 'unauthorized', 'deleted')", name="state"),
    sa.Index(
        "uq_channel_account",
        "workspace_id",
        "network",
        "external_id",
        unique=True,
        postgresql_where=sa.text("state <> 'deleted'"),
    ),
    sa.Index("ix_channel_page", "workspace_id", "id"),
    info={"scan": "SELECT"},
)
endpoint = sa.Table(
    "endpoint",
    METADATA,
    column("workspace_id", sa.Text, primary_key=True),
    column("id", sa.Text, primary_key=True),
    comment="that it exists; where it is and what it gets is the notifier's",
)

SCHEMA: Final = Schema(name="platform", metadata=METADATA, folder=Path(__file__).parent / "migrations")
