"""The index of words takes in what is new beside the batches: one in nine was held up by a step of it."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Forward only."""
    # Where nobody takes in anything, a batch does, once so many kB wait.
    op.execute("ALTER INDEX tickets.ix_search_text SET (gin_pending_list_limit = 4096)")
    op.execute(
        "CREATE FUNCTION tickets.index_texts() RETURNS bigint LANGUAGE sql SECURITY DEFINER "
        "SET search_path = pg_catalog AS $$ SELECT gin_clean_pending_list('tickets.ix_search_text') $$"
    )
    op.execute("REVOKE ALL ON FUNCTION tickets.index_texts FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION tickets.index_texts TO baton_scan")
