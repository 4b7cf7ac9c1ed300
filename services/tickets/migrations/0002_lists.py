"""Lists of the archive have indexes of their own, and a search says when it would find too much."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_FIND = """
CREATE FUNCTION tickets.find(pattern text, most integer) RETURNS text[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = tickets, public AS $$
DECLARE
    sample CONSTANT integer := 200;
    many CONSTANT integer := 3;
    recent CONSTANT integer := 10000;
    looked_at integer;
    hits text[];
BEGIN
    SELECT count(*), coalesce(array_agg(r.id ORDER BY r.at DESC) FILTER (WHERE r.text ILIKE pattern), '{}')
        INTO looked_at, hits
        FROM (
            SELECT s.id, s.text, s.at FROM search s
            WHERE s.workspace_id = current_setting('baton.workspace') ORDER BY s.at DESC LIMIT sample
        ) AS r;
    IF looked_at < sample THEN
        RETURN hits;
    END IF;
    -- Of words that many texts have, the index would have to read all of these.
    IF cardinality(hits) >= many THEN
        RETURN NULL;
    END IF;
    -- Less than three characters are in no index.
    IF length(pattern) < 5 THEN
        RETURN ARRAY(SELECT r.id FROM (
            SELECT s.id, s.text FROM search s
            WHERE s.workspace_id = current_setting('baton.workspace') ORDER BY s.at DESC LIMIT recent
        ) AS r WHERE r.text ILIKE pattern LIMIT most);
    END IF;
    -- Materialized, or else it might be found by reading all texts from the newest to the oldest.
    RETURN ARRAY(WITH hit AS MATERIALIZED (
        SELECT s.id, s.at FROM search s
        WHERE s.workspace_id = current_setting('baton.workspace') AND s.text ILIKE pattern
    ) SELECT hit.id FROM hit ORDER BY hit.at DESC LIMIT most);
END $$
"""


def upgrade() -> None:
    """Forward only."""
    op.drop_index("ix_ticket_updated", "ticket", schema="tickets")
    active = sa.text("state IN ('open', 'pending', 'snoozed')")
    op.create_index(
        "ix_ticket_recent", "ticket", ["workspace_id", "updated_at", "id"], schema="tickets", postgresql_where=active
    )
    closed = sa.text("state IN ('resolved', 'merged')")
    for whose, columns in (("", []), ("_team", ["team_id"]), ("_owner", ["owner_id"])):
        for key in ("rank", "updated_at"):
            op.create_index(
                f"ix_ticket_closed{whose}_{key}",
                "ticket",
                ["workspace_id", "state", *columns, key, "id"],
                schema="tickets",
                postgresql_where=closed,
            )
    op.execute("DROP FUNCTION tickets.find")
    op.execute(_FIND)
    op.execute("REVOKE ALL ON FUNCTION tickets.find FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION tickets.find TO baton_workspace")
