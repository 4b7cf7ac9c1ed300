"""A write that has not written as many rows as it had to is refused by the server."""

from alembic import op

from shared.db.together import UNMET

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Forward only."""
    op.execute(f"""
CREATE FUNCTION log.refuse(counts bigint[]) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $refuse$
BEGIN
    RAISE EXCEPTION 'not as many rows as there had to be' USING ERRCODE = '{UNMET}', DETAIL = counts::text;
END $refuse$
""")
