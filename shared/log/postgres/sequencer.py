"""The sequencer: gives positions to what its writer could not: queue rows, in id order, under their shard's lock."""

import asyncio
from datetime import timedelta
from typing import Final

from shared import failpoints
from shared.db.appending import Appended, Passed
from shared.db.horizon import LIFE, Horizon
from shared.db.life import Life
from shared.db.pool import Database
from shared.log.background import Wakes, persevering, woken
from shared.log.postgres.recent import Recent

HELD: Final = timedelta(milliseconds=5)
"""Where something waits in a shard that somebody holds, the next look comes so soon: they commit at once."""

_MOVE: Final = f"""
WITH start AS MATERIALIZED (
    SELECT CASE WHEN {LIFE} = $3 THEN $2::bigint ELSE 0 END AS after
), busy AS MATERIALIZED (
    SELECT s.id FROM log.shard s CROSS JOIN LATERAL (
        SELECT FROM log.queue q WHERE q.shard = s.id AND q.event_id > (SELECT after FROM start) LIMIT 1
    ) AS waiting
), mine AS MATERIALIZED (
    SELECT s.id, s.topic FROM log.shard s WHERE s.id = ANY (ARRAY(SELECT id FROM busy)) FOR UPDATE SKIP LOCKED
), counted AS MATERIALIZED (
    SELECT id, topic, log.next_position(id) AS first FROM mine
), moved AS (
    DELETE FROM log.queue
    WHERE ctid = ANY (ARRAY(
        SELECT head.ctid FROM mine CROSS JOIN LATERAL (
            SELECT q.ctid FROM log.queue q WHERE q.shard = mine.id AND q.event_id > (SELECT after FROM start)
            ORDER BY q.event_id LIMIT $1
        ) head
    ))
    RETURNING shard, event_id
), placed AS (
    INSERT INTO log.position (shard, position, event_id)
    SELECT m.shard, c.first + row_number() OVER (PARTITION BY m.shard ORDER BY m.event_id) - 1, m.event_id
    FROM moved m JOIN counted c ON c.id = m.shard
), done AS (
    SELECT c.id, c.topic, c.first, part.ids
    FROM (SELECT shard, array_agg(event_id ORDER BY event_id) AS ids FROM moved GROUP BY shard) part
    JOIN counted c ON c.id = part.shard
)
SELECT done.*, pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest,
    pg_current_xact_id_if_assigned()::text::bigint AS number,
    (SELECT count(*) FROM busy) = (SELECT count(*) FROM mine) AS has_all,
    {LIFE} AS life
FROM (SELECT) AS look LEFT JOIN done ON true
"""


class Sequencer:
    """Any number may run at once, in any number of processes: a shard that one of them holds is skipped by the rest.

    An event that became visible late, with a lower id than some that have positions already, comes behind them.
    Events of one key never swap: the second was inserted after the first was committed, so whoever sees the second
    sees the first, with the lower id.
    """

    def __init__(
        self, database: Database, wakes: Wakes, recent: Recent, *, poll: timedelta, chunk: int = 2_000
    ) -> None:
        self._database = database
        self._wakes = wakes
        self._recent = recent
        self._poll = poll
        self._pause = poll
        self._chunk = chunk
        self._appended = asyncio.Event()
        self._horizon = Horizon()
        self._life = Life(database)

    def notify(self, appended: Appended) -> None:
        """This was appended in this process."""
        self._recent.add(appended)
        placed = appended.placed()
        for piece in placed:
            self._recent.place(piece.shard, piece.first, piece.ids)
        self._wakes.wake(piece.topic for piece in placed)
        if not appended.is_placed:
            self._appended.set()

    async def run(self) -> None:
        """Sequences until cancelled; waits while the database is away."""
        await persevering(self._turn)

    async def _turn(self) -> None:
        if not await self.step():
            await woken(self._appended, within=self._pause)

    async def step(self) -> bool:
        """Moves what waits, at most `chunk` rows of each shard; says whether a shard may have more."""
        failpoints.hit("sequencer.before_commit")
        looked = await self._database.look(_MOVE, self._chunk, self._horizon.after, self._life.name)
        rows = [row for row in looked if row["id"] is not None]
        if rows:
            failpoints.hit("sequencer.committed")
            for row in rows:
                self._recent.place(row["id"], row["first"], row["ids"])
            self._wakes.wake(row["topic"] for row in rows)
        has_more = any(len(row["ids"]) == self._chunk for row in rows)
        self._pause = self._poll if looked[0]["has_all"] else min(self._poll, HELD)
        if await self._life.is_new(looked[0]["life"]):
            # This look began from the front.
            self._horizon = Horizon()
            return has_more
        self._horizon.looked(
            oldest=looked[0]["oldest"],
            number=looked[0]["number"],
            greatest=max((row["ids"][-1] for row in rows), default=0),
            is_complete=looked[0]["has_all"] and not has_more,
        )
        self._database.passed = Passed(self._horizon.after, self._life.name)
        return has_more
