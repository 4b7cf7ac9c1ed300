"""A table that holds a workspace's rows must not depend on anybody's WHERE clause: row security, forced, for each role.

Asked of the database itself, so that a table which a migration forgot to secure fails here and not in production.
"""

from typing import Final

from shared.db.pool import Database
from shared.db.scope import BATCH_ROLE, SCAN_ROLE, WORKSPACE_ROLE, Owner

ROLES: Final = (WORKSPACE_ROLE, BATCH_ROLE, SCAN_ROLE)

HOUSEKEEPING: Final = {"tickets.index_texts"}
"""Functions that read no row for anybody: it says how many pages its index has taken in."""

SCANNED: Final = {
    "log.event",
    "platform.workspace",
    "platform.api_key",
    "platform.channel",
    "parked",
    "timer",
    "ingest.pending",
    "notifier.item",
    "notifier.lane",
    "notifier.ticket",
    "notifier.worker",
}
"""What the scanning role may read of all workspaces: tables by full name, or by name in every service's schema.

Each says only that something is due, and whose it is.
"""

SHARED_BY_ALL: Final = {"ingest.member", "ingest.shard"}
"""Tables that belong to no workspace: which process does which part of the work."""

BEHIND_A_FUNCTION: Final = {"tickets.search"}
"""Not forced on their owner: a policy would keep the search from its index, so a function binds it instead."""

_TABLES: Final = """
SELECT n.nspname AS schema, c.relname AS name, c.relrowsecurity AS is_on, c.relforcerowsecurity AS is_forced,
       EXISTS (SELECT 1 FROM pg_attribute a
               WHERE a.attrelid = c.oid AND a.attname = 'workspace_id' AND NOT a.attisdropped) AS has_workspace,
       COALESCE((SELECT jsonb_object_agg(p.polname, jsonb_build_object(
                    'roles', (SELECT jsonb_agg(r.rolname) FROM pg_roles r WHERE r.oid = ANY (p.polroles)),
                    'using', pg_get_expr(p.polqual, p.polrelid),
                    'command', p.polcmd::text,
                    'permissive', p.polpermissive))
                 FROM pg_policy p WHERE p.polrelid = c.oid), '{}') AS policies
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^(pg_|information_schema)'
  -- A partition is reached through its parent's policies, as long as nobody has rights on it alone.
  AND NOT (c.relispartition AND NOT EXISTS (
      SELECT 1 FROM unnest($1::text[]) AS r
      WHERE has_table_privilege(r, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')))
"""

_RIGHTS: Final = """
SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^(pg_|information_schema)' AND has_table_privilege($1, c.oid, $2)
"""


async def test_every_table_with_a_workspace_is_secured_for_every_role(database: Database) -> None:
    async with database.transaction(Owner()) as tx:
        tables = [row for row in await tx.fetch(_TABLES, ROLES) if row["has_workspace"]]

    wrong = []
    for table in tables:
        name, policies = f"{table['schema']}.{table['name']}", table["policies"]
        by_role = {role: policy for policy in policies.values() for role in policy["roles"] or ["PUBLIC"]}
        if not table["is_on"] or (not table["is_forced"] and name not in BEHIND_A_FUNCTION):
            wrong.append(f"{name}: row security is not forced")
        if "baton.workspace'" not in by_role.get(WORKSPACE_ROLE, {}).get("using", ""):
            wrong.append(f"{name}: {WORKSPACE_ROLE} is not bound to its workspace")
        if "baton.workspaces'" not in by_role.get(BATCH_ROLE, {}).get("using", ""):
            wrong.append(f"{name}: {BATCH_ROLE} is not bound to its workspaces")
        if SCAN_ROLE in by_role and not {name, table["name"]} & SCANNED:
            wrong.append(f"{name}: {SCAN_ROLE} may not look here")
        if by_role.keys() - set(ROLES):
            wrong.append(f"{name}: strangers {sorted(by_role.keys() - set(ROLES))} have a policy")
    assert {"platform", "log", "demo"} <= {table["schema"] for table in tables}
    assert wrong == []


async def test_no_table_of_a_service_is_without_a_workspace(database: Database) -> None:
    async with database.transaction(Owner()) as tx:
        rows = await tx.fetch(_TABLES, ROLES)

    without = {f"{row['schema']}.{row['name']}" for row in rows if not row["has_workspace"]}
    bookkeeping = {name for name in without if name.endswith(".alembic_version") or name.startswith("log.")}

    assert without - bookkeeping <= SHARED_BY_ALL


async def test_the_scanning_role_reads_what_it_needs_and_no_more(database: Database) -> None:
    async with database.transaction(Owner()) as tx:
        readable = {row["name"] for row in await tx.fetch(_RIGHTS, SCAN_ROLE, "SELECT")}

    allowed = {name for name in readable if {name, name.rpartition(".")[2]} & SCANNED or name.startswith("log.")}

    assert readable - allowed - SHARED_BY_ALL == set()


async def test_what_is_scanned_holds_nobodys_words(database: Database) -> None:
    async with database.transaction(Owner()) as tx:
        rows = await tx.fetch(
            "SELECT table_schema || '.' || table_name AS name, column_name FROM information_schema.columns "
            "WHERE data_type = 'bytea' AND table_schema !~ '^(pg_|information_schema|platform|log)'"
        )

    spoken = {row["name"] for row in rows if {row["name"], row["name"].rpartition(".")[2]} & SCANNED}

    assert spoken == set()


async def test_a_function_with_its_owners_rights_is_bound_to_the_session(database: Database) -> None:
    async with database.transaction(Owner()) as tx:
        rows = await tx.fetch(
            "SELECT n.nspname || '.' || p.proname AS name, p.prosrc AS body, p.proconfig::text AS settings, "
            "has_function_privilege('public', p.oid, 'EXECUTE') AS is_public "
            "FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
            "WHERE p.prosecdef AND n.nspname !~ '^(pg_|information_schema)'"
        )

    loose = [
        row["name"]
        for row in rows
        if row["is_public"]
        or not ("workspace_id = current_setting('baton.workspace')" in row["body"] or row["name"] in HOUSEKEEPING)
        or "search_path" not in (row["settings"] or "")
    ]
    assert loose == []


async def test_no_role_of_ours_can_pass_row_security(database: Database) -> None:
    async with database.transaction(Owner()) as tx:
        rows = await tx.fetch(
            "SELECT rolname, rolsuper OR rolbypassrls OR rolcanlogin OR rolcreaterole AS is_strong "
            "FROM pg_roles WHERE rolname = ANY ($1::text[])",
            list(ROLES),
        )
        owners = await tx.fetchval(
            "SELECT count(*) FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE r.rolname = ANY ($1::text[])",
            list(ROLES),
        )

    assert {row["rolname"]: row["is_strong"] for row in rows} == dict.fromkeys(ROLES, False)
    assert owners == 0
