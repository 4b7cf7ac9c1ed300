"""The next position of a shard follows the last one that was given: no row is rewritten for it."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Forward only."""
    # VOLATILE: what is read is read after the caller has locked the shard, not when its statement began.
    op.execute("""
CREATE FUNCTION log.next_position(of_shard integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $next$
BEGIN
    RETURN (
        SELECT greatest(s.first_position, 1 + (
            SELECT p.position FROM log.position p WHERE p.shard = s.id ORDER BY p.position DESC LIMIT 1
        )) FROM log.shard s WHERE s.id = of_shard
    );
END $next$
""")
    op.execute("ALTER TABLE log.shard DROP COLUMN next_position")
    # Of some column, or rows cannot be locked.
    op.execute("GRANT UPDATE (first_position) ON log.shard TO baton_batch")
