"""What a batch asks for is found by its key, also by a plan that was made while the table was empty.

Sessions of the pool keep the plan that they made first. Of an empty table any index is as good as another: what a plan
may choose then, it uses on a table that has grown.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from services.ingest.store import normalized, shards
from services.notifier.store import feed
from services.router.store import rulesets
from services.tickets.store import customers, messages, tickets
from shared.db import appending
from shared.db.pool import Database
from shared.log import relay
from shared.log.postgres import reading, sequencer

KEYS = {
    "customer": ("id = ",),
    "decision": ("id = ",),
    "event": ("id = ",),
    "feed": ("event_id = ",),
    "identity": ("external_id = ", "customer_id = "),
    "inbox": ("id = ",),
    "item": ("external_id = ",),
    "message": ("id = ",),
    "pending": ("shard = ",),
    "position": ('position" >= ',),
    "queue": ("shard = ",),
    "ticket": ("id = ", "customer_id = "),
}
"""What says, in the condition of a scan of a table that grows, that rows are looked for."""

BATCH = {
    "shards where nothing waits": appending._FREE,
    "deliveries": normalized._DELIVERIES,
    "items": normalized._ITEMS,
    "deliveries that are done": shards._DONE,
    "rulesets and decisions": rulesets._STANDING,
    "customers": customers._RESOLVE,
    "tickets of customers": tickets._LOCK_CURRENT,
    "tickets": tickets._LOCK,
    "tickets that change": tickets._SAVE,
    "messages that change": messages._SAVE,
    "deliveries that are settled": normalized._SETTLE,
    "labels of tickets": tickets._UNLABEL,
    "names of customers": customers._RENAME,
    "accounts of customers": customers._ACCOUNTS,
    "messages": messages._LOAD,
    "events in the feed": feed._SEEN,
    "place in the feed": feed._LOCK,
}
SCAN = {
    "deliveries that wait": shards._WAITING,
    "positions": sequencer._MOVE,
    "events": reading._READ,
    "events for a broker": relay._STEP,
}


async def plan(database: Database, role: str, sql: str) -> Any:
    count = max(int(number) for number in re.findall(r"\$(\d+)", sql))
    async with database.pool.acquire() as connection:
        await connection.execute(f"BEGIN READ WRITE; SET LOCAL ROLE {role}; SET LOCAL baton.workspaces = 'w1'")
        await connection.execute(f"PREPARE asked AS {sql}")
        told = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE asked ({', '.join(['NULL'] * count)})")
        await connection.execute("DEALLOCATE asked; ROLLBACK")
    return msgspec.json.decode(told)[0]["Plan"] if isinstance(told, str) else told[0]["Plan"]


def nodes(node: Any) -> Iterator[Any]:
    yield node
    for child in node.get("Plans", ()):
        yield from nodes(child)


@pytest.mark.parametrize(
    ("role", "sql"),
    [
        *(pytest.param("baton_batch", sql, id=name) for name, sql in BATCH.items()),
        *(pytest.param("baton_scan", sql, id=name) for name, sql in SCAN.items()),
    ],
)
async def test_rows_of_a_table_that_grows_are_found_by_key(database: Database, role: str, sql: str) -> None:
    looked = 0
    for node in nodes(await plan(database, role, sql)):
        if node.get("Relation Name") not in KEYS or node["Node Type"] == "ModifyTable":
            continue
        looked += 1
        if node["Node Type"] == "Tid Scan":
            continue
        condition = f"{node.get('Index Cond')} {node.get('Recheck Cond')}"
        assert any(re.search(rf"\b{key}", condition) for key in KEYS[node["Relation Name"]]), (
            node["Node Type"],
            condition,
        )
    assert looked
