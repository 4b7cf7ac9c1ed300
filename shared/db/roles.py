"""The three roles of isolation, and what makes a table safe: row security, forced, with a policy per role."""

from collections.abc import Iterable
from typing import Final

from shared.db.scope import BATCH_ROLE, SCAN_ROLE, WORKSPACE_ROLE

CREATE_ROLES: Final = "\n".join(
    f"""
DO $$ BEGIN
    CREATE ROLE {role} NOLOGIN NOINHERIT NOBYPASSRLS;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
DO $$ BEGIN
    -- A superuser may take any role; granting it one would only collide with a concurrent migration.
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
       AND NOT pg_has_role(current_user, '{role}', 'MEMBER') THEN
        EXECUTE format('GRANT {role} TO %I', current_user);
    END IF;
END $$;
"""
    for role in (WORKSPACE_ROLE, BATCH_ROLE, SCAN_ROLE)
)
"""Roles belong to the server, not to a database: created when missing, by whoever migrates first."""


_IN_BATCH: Final = "(workspace_id = ANY (string_to_array(current_setting('baton.workspaces', true), ','))) IS TRUE"
"""Written so that no index answers it: of a table that is small by its statistics, which may be old, a plan would read
a whole workspace by that index instead of looking for the ids that it was given."""


def open_schema(schema: str) -> str:
    """Lets the three roles look names up in a schema."""
    return f"GRANT USAGE ON SCHEMA {schema} TO {WORKSPACE_ROLE}, {BATCH_ROLE}, {SCAN_ROLE};"


def secure(schema: str, tables: Iterable[str], *, scan: str = "") -> str:
    """Row security on tables with `workspace_id`. `scan`: rights that the scanning role gets, such as "SELECT"."""
    statements = []
    for table in tables:
        name = f"{schema}.{table}"
        statements.append(
            f"""
ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;
ALTER TABLE {name} FORCE ROW LEVEL SECURITY;
CREATE POLICY one_workspace ON {name} TO {WORKSPACE_ROLE}
    USING (workspace_id = current_setting('baton.workspace', true));
CREATE POLICY batch_workspaces ON {name} TO {BATCH_ROLE} USING ({_IN_BATCH});
GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO {WORKSPACE_ROLE}, {BATCH_ROLE};
"""
        )
        if scan:
            statements.append(
                f"CREATE POLICY scan_all ON {name} TO {SCAN_ROLE} USING (true);\nGRANT {scan} ON {name} TO {SCAN_ROLE};"
            )
    return block("\n".join(statements))


def rewrite_batch_policies(schema: str) -> str:
    """The policies of the batches' role as `secure` writes them today."""
    return f"""
DO $$ DECLARE known record; BEGIN
    FOR known IN SELECT tablename FROM pg_policies WHERE schemaname = '{schema}' AND policyname = 'batch_workspaces'
    LOOP
        EXECUTE format('ALTER POLICY batch_workspaces ON {schema}.%I USING (%s)', known.tablename, $is${_IN_BATCH}$is$);
    END LOOP;
END $$
"""


def block(statements: str) -> str:
    """Several statements as one, because a migration's driver takes one command at a time."""
    return f"DO $block$ BEGIN\n{statements}\nEND $block$"
