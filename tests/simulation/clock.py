"""Postgres' own functions of time, before which these stand: they read a sequence."""

from typing import Final

SQL: Final = """
CREATE SCHEMA sim;
CREATE SEQUENCE sim.clock;
CREATE FUNCTION sim.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql
    RETURN 'epoch'::timestamptz + pg_catalog.pg_sequence_last_value('sim.clock') * interval '1 microsecond';
CREATE FUNCTION sim.statement_timestamp() RETURNS timestamptz STABLE LANGUAGE sql
    RETURN 'epoch'::timestamptz + pg_catalog.pg_sequence_last_value('sim.clock') * interval '1 microsecond';
CREATE FUNCTION sim.now() RETURNS timestamptz STABLE LANGUAGE sql RETURN coalesce(
    nullif(pg_catalog.current_setting('sim.begun', true), '')::timestamptz,
    'epoch'::timestamptz + pg_catalog.pg_sequence_last_value('sim.clock') * interval '1 microsecond');
CREATE FUNCTION sim.transaction_timestamp() RETURNS timestamptz STABLE LANGUAGE sql RETURN sim.now();
GRANT USAGE ON SCHEMA sim TO PUBLIC;
GRANT SELECT, UPDATE ON SEQUENCE sim.clock TO PUBLIC;
"""
"""In front of pg_catalog in every search_path, before anything is migrated: so defaults mean this time, too."""

SEARCH_PATH: Final = "sim, pg_catalog, public"
