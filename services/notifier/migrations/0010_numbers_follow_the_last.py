"""The next number of a feed follows the last one that is there: no row is rewritten for it."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Forward only."""
    # VOLATILE: what is read is read after the caller has locked the counter, not when its statement began.
    op.execute("""
CREATE FUNCTION notifier.last_number(of_workspace text) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $last$
BEGIN
    RETURN greatest(
        (SELECT f.number FROM notifier.feed f WHERE f.workspace_id = of_workspace ORDER BY f.number DESC LIMIT 1),
        (SELECT c.first - 1 FROM notifier.feed_counter c WHERE c.workspace_id = of_workspace),
        0
    );
END $last$
""")
    op.execute("ALTER TABLE notifier.feed_counter DROP COLUMN last")
    op.execute("ALTER TABLE notifier.feed_counter RESET (fillfactor)")
    op.execute("COMMENT ON TABLE notifier.feed_counter IS 'whoever numbers events of a workspace holds its row'")
