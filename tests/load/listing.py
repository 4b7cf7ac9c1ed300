"""Lists of tickets over many: every filter and sort, its first page and a page far behind, by the database's own time."""

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from services.tickets.domain.ticket import ACTIVE
from services.tickets.store import listing
from services.tickets.store.listing import Filter, Sort
from shared.db.pool import Database
from shared.db.scope import Workspace
from shared.platform.store import workspaces
from tests.load.report import Check, Part, Row, percentile
from tests.load.stage import Stage
from tests.support.postgres import beside

WORKSPACE: Final = "wsp_0"
OTHERS: Final = 10
"""Workspaces besides; together they have half of everything."""

TEAMS: Final = 8
OWNERS: Final = 60
TAGS: Final = 40
NETWORKS: Final = ("facebook", "instagram", "x", "whatsapp")
ACTIVE_SHARE: Final = 0.10
LIMIT: Final = 51
"""A page of fifty, and one to see whether there is more."""

RUNS: Final = 120
WARM_UP: Final = 10
RARE: Final = 5_000
"""Of so many texts, one has the rare word."""

SOME: Final = 30
"""Of so many texts, one has a word that is neither rare nor common."""

_SEED: Final = f"""
CREATE TEMPORARY TABLE seeded AS
SELECT n, 'tkt_' || lpad(n::text, 12, '0') AS id,
    CASE WHEN n % 2 = 0 THEN '{WORKSPACE}' ELSE 'wsp_' || (1 + (n / 2) % {OTHERS}) END AS workspace_id,
    CASE WHEN random() >= {ACTIVE_SHARE} THEN 'resolved'
         ELSE (ARRAY['open', 'open', 'open', 'pending', 'snoozed'])[1 + floor(random() * 5)::int] END AS state,
    'team-' || floor(power(random(), 2) * {TEAMS})::int AS team_id,
    CASE WHEN random() < 0.7 THEN 'agt_' || floor(random() * {OWNERS})::int END AS owner_id,
    (ARRAY[2, 2, 2, 2, 2, 2, 3, 1, 1, 0])[1 + floor(random() * 10)::int]::smallint AS rank,
    ARRAY['tag-' || floor(power(random(), 2) * {TAGS})::int, 'vip-' || floor(random() * 3)::int] AS tags,
    ARRAY[(ARRAY['facebook', 'instagram', 'x', 'whatsapp'])[1 + floor(random() * 4)::int]] AS networks,
    'Where is my order ' || md5(n::text) || CASE WHEN n % {RARE} = 0 THEN ' zeppelin' ELSE '' END
        || CASE WHEN n % {SOME} = 0 THEN ' refund' ELSE '' END || '? It has been a week and nobody answers' AS text,
    now() - random() * interval '90 days' AS updated_at
FROM generate_series(1, $1::int) n
"""
_FILL: Final = (
    """
INSERT INTO tickets.ticket (id, workspace_id, customer_id, customer_name, state, team_id, owner_id, rank, tags, networks,
    changed_by, change, updated_at)
SELECT id, workspace_id, 'cus_' || n, 'Customer ' || n, state, team_id, owner_id, rank, tags, networks,
    '{"kind":"system","id":"bench"}', 'created', updated_at FROM seeded
""",
    """
INSERT INTO tickets.ticket_label (workspace_id, label, rank, ticket_id)
SELECT workspace_id, label, rank, id FROM seeded
CROSS JOIN LATERAL (SELECT 'tag:' || t FROM unnest(tags) t UNION SELECT 'network:' || w FROM unnest(networks) w) l(label)
WHERE state IN ('open', 'pending', 'snoozed')
""",
    """
INSERT INTO tickets.message (id, workspace_id, ticket_id, conversation_id, channel_id, network, kind, direction, origin,
    external_id, seq, text, received, data, occurred_at)
SELECT 'msg_' || n, workspace_id, id, 'cnv_' || n, 'chn_1', networks[1], 'dm', 'in', 'customer', 'm' || n, 1,
    text, true, '{}', updated_at FROM seeded
""",
    """
INSERT INTO tickets.search (id, workspace_id, text, at)
SELECT 'msg_' || n, workspace_id, text, updated_at FROM seeded
""",
    "DROP TABLE seeded",
)

Case = Callable[[random.Random], dict[str, Any]]

PRIORITY_CASES: Final[dict[str, Case]] = {
    "all active": lambda _: {},
    "team": lambda chance: {"team": _team(chance)},
    "owner": lambda chance: {"owner": _owner(chance)},
    "nobody's": lambda _: {"owner": listing.NOBODY},
    "nobody's of a team": lambda chance: {"team": _team(chance), "owner": listing.NOBODY},
    "state": lambda _: {"states": frozenset({"pending"})},
    "team and state": lambda chance: {"team": _team(chance), "states": frozenset({"snoozed"})},
    "priority": lambda chance: {"rank": chance.randrange(4)},
    "team and priority": lambda chance: {"team": _team(chance), "rank": chance.randrange(4)},
    "tag": lambda chance: {"tags": (_tag(chance),)},
    "two tags": lambda chance: {"tags": (_tag(chance), "vip-1")},
    "tag and team": lambda chance: {"tags": (_tag(chance),), "team": _team(chance)},
    "network": lambda chance: {"network": chance.choice(NETWORKS)},
    "network, tag and owner": lambda chance: {
        "network": chance.choice(NETWORKS),
        "tags": ("vip-2",),
        "owner": _owner(chance),
    },
    "customer": lambda chance: {"customer": f"cus_{2 * chance.randrange(1, 40_000)}"},
    "a key of two teams": lambda chance: {
        "visible_teams": frozenset({_team(chance), "team-7"}),
        "visible_owner": _owner(chance),
    },
    "rare word": lambda _: {"words": "zeppelin"},
    "common word": lambda _: {"words": "order"},
    "some word": lambda _: {"words": "refund"},
    "common word in a team": lambda chance: {"words": "nobody answers", "team": _team(chance)},
    "resolved": lambda _: {"states": frozenset({"resolved"})},
    "resolved of a team": lambda chance: {"states": frozenset({"resolved"}), "team": _team(chance)},
    "resolved of an owner": lambda chance: {"states": frozenset({"resolved"}), "owner": _owner(chance)},
    "any state": lambda _: {"states": ACTIVE | {"resolved"}},
    "any state of a team": lambda chance: {"states": ACTIVE | {"resolved"}, "team": _team(chance)},
}
UPDATED_CASES: Final[dict[str, Case]] = {
    "all active": PRIORITY_CASES["all active"],
    "any state": PRIORITY_CASES["any state"],
    "resolved": PRIORITY_CASES["resolved"],
    "team": PRIORITY_CASES["team"],
    "resolved of a team": PRIORITY_CASES["resolved of a team"],
    "owner": PRIORITY_CASES["owner"],
    "resolved of an owner": PRIORITY_CASES["resolved of an owner"],
    "a key of two teams": PRIORITY_CASES["a key of two teams"],
    "tag": PRIORITY_CASES["tag"],
    "resolved with a tag": lambda chance: {"states": frozenset({"resolved"}), "tags": (_tag(chance),)},
    "network": PRIORITY_CASES["network"],
    "rare word": PRIORITY_CASES["rare word"],
    "common word": PRIORITY_CASES["common word"],
    "some word": PRIORITY_CASES["some word"],
}


def _team(chance: random.Random) -> str:
    return f"team-{chance.randrange(TEAMS)}"


def _owner(chance: random.Random) -> str:
    return f"agt_{chance.randrange(OWNERS)}"


def _tag(chance: random.Random) -> str:
    return f"tag-{chance.randrange(TAGS)}"


async def run(lab: Stage) -> Part:
    """One connection, warm; what the backend itself used, and what its client waited."""
    part = Part(name="listing", title=f"Lists over {lab.rows:,} tickets, half of them one workspace's, a tenth active")
    worst: dict[str, float] = {}
    async with lab.database(size=1) as (_, database):
        await _seed(database, lab.rows)
        backend = await database.pool.fetchval("SELECT pg_backend_pid()")
        for sort, name, case in _cases():
            for page, after in (("first", None), ("deep", await _deep(database, sort, case))):
                if page == "deep" and after is None:
                    continue
                used, waited = await _measure(database, backend, sort, case, after)
                label = f"{sort}: {name}, {page}"
                worst[label] = percentile(used, 0.99) * 1000
                figures = {"db p50 ms": percentile(used, 0.50) * 1000, "db p99 ms": worst[label]}
                figures |= {"waited p50 ms": percentile(waited, 0.50) * 1000, "p99 ms": percentile(waited, 0.99) * 1000}
                part.rows.append(Row(name=label, kind="ours", figures=figures))
    slowest = max(worst, key=lambda label: worst[label])
    part.checks.append(
        Check(what=f"slowest p99 ({slowest})", value=worst[slowest], target=5, at_least=False, unit=" ms")
    )
    slow = sum(value > 5 for value in worst.values())
    part.checks.append(Check(what=f"lists slower than 5 ms, of {len(worst)}", value=slow, target=0, at_least=False))
    part.notes.append("db: what the backend itself ran for one page, by its scheduler's account; waited: by its client")
    return part


def _cases() -> Iterator[tuple[Sort, str, Case]]:
    for name, case in PRIORITY_CASES.items():
        yield "priority", name, case
    for name, case in UPDATED_CASES.items():
        yield "updated", name, case


async def _seed(database: Database, rows: int) -> None:
    for number in range(OTHERS + 1):
        async with database.transaction(Workspace(f"wsp_{number}")) as tx:
            await workspaces.create(tx, f"wsp_{number}", name=f"Workspace {number}")
    async with beside(database) as connection:
        await connection.execute("SET maintenance_work_mem = '512MB'")
        await connection.execute(_SEED, rows, timeout=600)
        # A trigram index is quicker made than filled.
        index = await connection.fetchval("SELECT indexdef FROM pg_indexes WHERE indexname = 'ix_search_text'")
        if index:
            await connection.execute("DROP INDEX tickets.ix_search_text")
        for statement in _FILL:
            await connection.execute(statement, timeout=600)
        if index:
            await connection.execute(index, timeout=600)
        await connection.execute("VACUUM ANALYZE", timeout=600)


async def _deep(database: Database, sort: Sort, case: Case) -> tuple[Any, str] | None:
    """The key of some ticket a few pages behind; None where there are not so many."""
    wanted = Filter(workspace_id=WORKSPACE, **case(random.Random(1)))
    async with database.transaction(Workspace(WORKSPACE), schema="tickets") as tx:
        found = await listing.page(tx, wanted, sort=sort, after=None, limit=500)
    return listing.key_of(found[-1], sort) if len(found) > 2 * LIMIT else None


async def _measure(
    database: Database, backend: int, sort: Sort, case: Case, after: tuple[Any, str] | None
) -> tuple[list[float], list[float]]:
    chance = random.Random(7)
    used: list[float] = []
    waited: list[float] = []
    for number in range(RUNS + WARM_UP):
        wanted = Filter(workspace_id=WORKSPACE, **case(chance))
        async with database.transaction(Workspace(WORKSPACE), schema="tickets") as tx:
            before, started = _ran(backend), time.perf_counter()
            await listing.page(tx, wanted, sort=sort, after=after, limit=LIMIT)
            ended, behind = time.perf_counter(), _ran(backend)
        if number >= WARM_UP:
            used.append(behind - before)
            waited.append(ended - started)
    return sorted(used), sorted(waited)


def _ran(pid: int) -> float:
    """Seconds that a process was on a core, to the nanosecond."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
