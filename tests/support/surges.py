"""Workspaces that know what is usual: weeks of counts behind them, messages by the dozen, one look at a time."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx

from services.router.handlers.surging import Surges
from services.router.store import surge_policies
from shared.db.appending import decode_headers
from shared.db.pool import Database
from shared.db.scope import Batch
from shared.events import envelope
from shared.events.catalogue import SURGES
from shared.telemetry.metrics import Metrics
from tests.support import past
from tests.support.messages import message

POLICY: Mapping[str, Any] = {"leave": {"factor": 1.5, "after_minutes": 0}, "lasts_minutes": 0}
"""The default, but over as soon as it is calm in two looks."""


def channel(workspace: str = "w1") -> str:
    """The subject of the one channel that messages of `say` come through."""
    return f"channel:chn_{workspace}"


async def policy(admin: httpx.AsyncClient, *, version: int | None = None, **changes: Any) -> dict[str, Any]:
    """Puts a policy."""
    headers = {} if version is None else {"If-Match": f'"{version}"'}
    answer = await admin.put("/v1/surge-policy", json={**POLICY, **changes}, headers=headers)
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()


async def remember(database: Database, *, hourly: Mapping[str, int], weeks: int = 4, workspace: str = "w1") -> None:
    """So many weeks were counted, in each hour so many messages of each subject."""
    await past.own(
        database,
        "UPDATE router.surge_policy SET counting_since = now() - $2::interval WHERE workspace_id = $1 RETURNING 1",
        workspace,
        timedelta(weeks=weeks, hours=3),
    )
    await past.own(
        database,
        "INSERT INTO router.surge_hour (workspace_id, subject, hour, messages) "
        "SELECT $1, subject, date_trunc('hour', now(), 'UTC') - n * interval '1 hour', messages "
        "FROM unnest($2::text[], $3::bigint[]) AS given (subject, messages), generate_series(2, $4 * 168 + 2) n "
        "ON CONFLICT DO NOTHING RETURNING 1",
        workspace,
        list(hourly),
        list(hourly.values()),
        weeks,
    )


async def say(
    database: Database, number: int, *, workspace: str = "w1", ago: timedelta = timedelta(), **changes: Any
) -> None:
    """So many messages come now and are decided."""
    at = database.clock.now() - ago
    some = [
        message(
            f"{at.timestamp()}-{one}",
            **{
                "workspace": workspace,
                "channel": f"chn_{workspace}",
                "author": f"c{one}",
                "received_at": at,
                **changes,
            },
        )
        for one in range(number)
    ]
    await past.decide(database, some, workspace=workspace)


async def counts(database: Database, workspace: str = "w1") -> dict[str, int]:
    """What is counted by subject, minutes and hours together."""
    rows = await past.own(
        database,
        "SELECT subject, sum(messages)::int AS messages FROM (SELECT workspace_id, subject, messages "
        "FROM router.surge_count UNION ALL SELECT workspace_id, subject, messages FROM router.surge_hour) AS kept "
        "WHERE workspace_id = $1 GROUP BY subject",
        workspace,
    )
    return {row["subject"]: row["messages"] for row in rows}


async def look(database: Database, workspace: str = "w1", *, metrics: Metrics | None = None) -> None:
    """What the timer does when it is time."""
    desk = Surges(database.ids, metrics or Metrics())
    async with database.transaction(Batch(frozenset({workspace})), schema="router") as tx:
        kept = await surge_policies.load(tx, workspace, lock=True)
        assert kept is not None
        await desk.look(tx, kept)


async def calm_down(database: Database) -> None:
    """An hour passes without a message."""
    await past.own(database, "UPDATE router.surge_count SET minute = minute - interval '65 minutes' RETURNING 1")


async def told(database: Database) -> list[Any]:
    """The events of surges, in order."""
    rows = await past.own(database, "SELECT headers, value FROM log.event WHERE topic = $1 ORDER BY id", SURGES)
    return [envelope.decode(decode_headers(row["headers"]), row["value"]).data for row in rows]
