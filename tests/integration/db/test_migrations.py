"""Migrations make exactly the tables that the code declares."""

from services import assembly
from shared.db import migrate
from shared.events.catalogue import TOPICS


async def test_a_migrated_database_is_what_the_tables_say(dsn):
    assert await migrate.check(dsn, assembly.schemas()) == {}


async def test_migrating_again_changes_nothing(dsn):
    assert await migrate.migrate(dsn, assembly.schemas(), topics=dict.fromkeys(TOPICS, 4)) == []
