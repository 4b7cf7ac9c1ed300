"""Runs seeds one after the other in one process, on a database of its own that is emptied in between."""

import gc
import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import structlog

from tests.simulation.clock import SEARCH_PATH, SQL
from tests.simulation.database import Postgres
from tests.simulation.process import Blueprint
from tests.simulation.world import Story, World
from tests.support.postgres import blocking, execute, in_database, migrate_all

_SCHEMAS: Final = ("log", "platform", "ingest", "router", "tickets", "notifier")
_TABLES: Final = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname = ANY ($1) AND c.relname NOT LIKE 'alembic%'
ORDER BY 1
"""
_SEQUENCES: Final = """
SELECT format('%I.%I', schemaname, sequencename) FROM pg_sequences WHERE schemaname = ANY ($1) ORDER BY 1
"""
_NO_VACUUM: Final = """
DO $$ DECLARE t record; BEGIN
    FOR t IN SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND n.nspname IN ('log', 'platform', 'ingest', 'router', 'tickets', 'notifier')
    LOOP EXECUTE format('ALTER TABLE %I.%I SET (autovacuum_enabled = false)', t.nspname, t.relname); END LOOP;
END $$
"""
"""Statistics that come at some moment or other would make plans, and so the order of rows, a matter of luck."""

BLOCK: Final = 20
"""Seeds from one TRUNCATE to the next: it costs a third of what a seed costs, for all is planned anew."""

_LOUD: Final = frozenset({"error", "critical", "exception"})


def prepare(maintenance: str, name: str) -> str:
    """A migrated database on which time is virtual."""
    blocking(execute(maintenance, f"CREATE DATABASE {name}"))
    dsn = in_database(maintenance, name)
    blocking(execute(dsn, SQL))
    blocking(execute(dsn, f"ALTER DATABASE {name} SET search_path = {SEARCH_PATH}"))
    blocking(migrate_all(dsn))
    blocking(execute(dsn, _NO_VACUUM))
    return dsn


class Harness:
    """One database, any number of seeds.

    What a seed finds of dead rows, and with it the order of rows that nobody ordered, comes from the seeds before it in
    its block. They are part of its story: whoever asks for a seed has them played first, unless they just were.
    """

    def __init__(self, dsn: str, blueprint: Blueprint) -> None:
        self._postgres = Postgres(dsn)
        self._blueprint = blueprint
        for row in self._postgres.rows("SELECT id, topic FROM log.shard ORDER BY topic, partition"):
            blueprint.topology.shards.setdefault(row["topic"], []).append(row["id"])
        self._tables = _names(self._postgres.rows(_TABLES, list(_SCHEMAS)))
        self._sequences = _names(self._postgres.rows(_SEQUENCES, list(_SCHEMAS)))
        self._filled = self._dirty()
        self._used = dict.fromkeys(self._filled)
        self._latest = 0
        for name in self._filled:
            self._postgres.script(f'CREATE TABLE sim."{name}" AS SELECT * FROM {name}')
        # What lives as long as the harness is not looked through after every seed.
        gc.collect()
        gc.freeze()

    def close(self) -> None:
        """Leaves the database."""
        self._postgres.close()

    def run(self, seed: int) -> Story:
        """One seed, after those before it in its block."""
        first = seed - (seed - 1) % BLOCK
        for each in range(self._latest + 1 if first <= self._latest < seed else first, seed):
            self._play(each)
        return self._play(seed)

    def _play(self, seed: int) -> Story:
        """From empty tables to the audit."""
        self._empty(anew=(seed - 1) % BLOCK == 0)
        self._latest = seed
        # A cycle that is found at some moment or other would run finalizers at that moment.
        gc.disable()
        world = World(seed, self._blueprint, self._postgres)
        self._postgres.begin(world.loop, world, seed)
        with _listening(world):
            try:
                world.loop.run_until_complete(world.run())
            except Exception:  # noqa: BLE001 - a seed that breaks off is a fault like any other
                world.blame(f"the seed broke off: {traceback.format_exc()}")
            finally:
                world.end()
                self._postgres.end()
                world.loop.end()
                del world.loop
                gc.enable()
                gc.collect()
        return world.story

    def _empty(self, *, anew: bool) -> None:
        dirty = self._dirty()
        self._used.update(dict.fromkeys(dirty))
        if anew:
            self._postgres.script(f"TRUNCATE {', '.join(sorted(self._used))} CASCADE")
            self._used = dict.fromkeys(self._filled)
        else:
            emptied = "; ".join(f"DELETE FROM {name}" for name in dirty)
            self._postgres.script(f"BEGIN; SET LOCAL session_replication_role = replica; {emptied}; COMMIT")
        for name in self._filled:
            self._postgres.script(f'INSERT INTO {name} SELECT * FROM sim."{name}"')
        self._postgres.script("SELECT " + ", ".join(f"setval('{name}', 1, false)" for name in self._sequences))

    def _dirty(self) -> list[str]:
        [row] = self._postgres.rows("SELECT " + ", ".join(f"EXISTS (SELECT FROM {name})" for name in self._tables))
        return [name for name, is_dirty in zip(self._tables, row.values(), strict=True) if is_dirty]


@contextmanager
def _listening(world: World) -> Iterator[None]:
    """What the product logs goes into the trace; an error is a fault, for nothing that happens here is one."""

    def hear(_: Any, method: str, event: dict[str, Any]) -> Any:
        if not world.is_over and method in _LOUD:
            world.blame(f"logged {event}")
            found = event.get("exc_info")
            world.tell("".join(traceback.format_exception(found)) if found is not True else traceback.format_exc())
        elif not world.is_over and method == "warning":
            world.tell(f"warns {event['event']}: {event.get('reason') or event.get('error') or ''}")
        raise structlog.DropEvent

    structlog.configure(processors=[hear], cache_logger_on_first_use=False)
    # The dead leave contexts that they did not enter in this one.
    logging.getLogger("opentelemetry.context").disabled = True
    before, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        yield
    finally:
        sys.unraisablehook = before
        structlog.reset_defaults()


def _names(rows: Any) -> list[str]:
    return [row[0] for row in rows]
