"""Workspaces, agents, teams, keys and channels."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.db.roles import secure

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "agent",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("availability", sa.Text(), server_default="available", nullable=False),
        sa.Column("capacity", sa.Integer(), server_default="50", nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("availability IN ('available', 'away', 'offline')", name=op.f("ck_agent_availability")),
        sa.CheckConstraint("kind IN ('human', 'bot')", name=op.f("ck_agent_kind")),
        sa.CheckConstraint("capacity >= 0", name=op.f("ck_agent_capacity")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent")),
        schema="platform",
    )
    op.create_index("ix_agent_workspace", "agent", ["workspace_id", "id"], unique=False, schema="platform")
    op.create_table(
        "api_key",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_hash", postgresql.BYTEA(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("teams", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        schema="platform",
    )
    op.create_index("ix_api_key_workspace", "api_key", ["workspace_id", "id"], unique=False, schema="platform")
    op.create_table(
        "channel",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=True),
        sa.Column("api_base_url", sa.Text(), nullable=True),
        sa.Column("credentials", postgresql.BYTEA(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("purpose IN ('brand', 'care', 'ads')", name=op.f("ck_channel_purpose")),
        sa.CheckConstraint("state IN ('active', 'paused', 'unauthorized', 'deleted')", name=op.f("ck_channel_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channel")),
        schema="platform",
    )
    op.create_index("ix_channel_page", "channel", ["workspace_id", "id"], unique=False, schema="platform")
    op.create_index(
        "uq_channel_account",
        "channel",
        ["workspace_id", "network", "external_id"],
        unique=True,
        schema="platform",
        postgresql_where=sa.text("state <> 'deleted'"),
    )
    op.create_table(
        "team",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("requires_acceptance", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("offer_seconds", sa.Integer(), server_default="120", nullable=False),
        sa.Column("is_fallback", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("id ~ '^[a-z0-9][a-z0-9-]{0,62}$'", name=op.f("ck_team_id")),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_team")),
        schema="platform",
    )
    op.create_index(
        "uq_team_fallback",
        "team",
        ["workspace_id"],
        unique=True,
        schema="platform",
        postgresql_where=sa.text("is_fallback"),
    )
    op.create_table(
        "team_member",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "team_id", "agent_id", name=op.f("pk_team_member")),
        schema="platform",
    )
    op.create_index(
        "ix_team_member_agent", "team_member", ["workspace_id", "agent_id"], unique=False, schema="platform"
    )
    op.create_table(
        "workspace",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("settings", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", name=op.f("pk_workspace")),
        schema="platform",
    )
    op.execute(secure("platform", ["agent", "team", "team_member"], scan=""))
    op.execute(secure("platform", ["api_key", "channel", "workspace"], scan="SELECT"))
