"""What a process has appended itself it reads from memory; nothing of others is missed, and nothing is read twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from shared.events.catalogue import MESSAGES
from shared.log.background import running
from shared.log.postgres import Pace, PostgresLog
from tests.support.logs import AT_ONCE, Process, append, commit, encoded, fetch
from tests.support.postgres import open_database

PACE = Pace(poll=timedelta(milliseconds=50), heartbeat=timedelta(milliseconds=200), member_ttl=timedelta(seconds=10))


@asynccontextmanager
async def process(dsn: str, *, sequences: bool = True) -> AsyncIterator[Process]:
    async with open_database(dsn) as database, PostgresLog.open(database, pace=PACE, sequences=sequences) as log:
        yield Process(database, log)


def names(records: list[Any]) -> list[str]:
    return [record.value.decode() for record in records]


async def test_events_of_this_process_are_not_read_from_the_database(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with process(dsn) as mine, mine.log.subscribe("g", [MESSAGES]) as subscription:
        assert (await fetch(subscription, max_wait=AT_ONCE))[1] == []
        asked: list[str] = []
        look = type(mine.database).look

        async def listening(database: Any, sql: str, *arguments: Any) -> Any:
            asked.append(sql)
            return await look(database, sql, *arguments)

        monkeypatch.setattr(type(mine.database), "look", listening)
        await append(mine, *(encoded(f"key-{number % 7}", number) for number in range(30)))
        found: list[Any] = []
        while len(found) < 30:
            batch, records = await fetch(subscription)
            await commit(mine, subscription, batch)
            found += records
    assert sorted(names(found), key=int) == [str(number) for number in range(30)]
    assert not [sql for sql in asked if "log.event" in sql]


@pytest.mark.parametrize("sequences", [True, False])
async def test_events_of_others_are_read_while_its_own_keep_coming(dsn: str, *, sequences: bool) -> None:
    async with (
        process(dsn) as mine,
        process(dsn, sequences=sequences) as other,
        mine.log.subscribe("g", [MESSAGES]) as subscription,
    ):

        async def chatter() -> None:
            number = 0
            while True:
                await append(mine, *(encoded(f"mine-{key}", number) for key in range(20)))
                number += 1
                await asyncio.sleep(0.002)

        theirs = [f"theirs-{number}" for number in range(40)]
        found: list[str] = []
        async with running(chatter), asyncio.timeout(20):
            for name in theirs:
                await append(other, encoded("theirs", name), encoded("mine-3", name))
            while len(found) < 2 * len(theirs):
                batch, records = await fetch(subscription)
                await commit(mine, subscription, batch)
                found += [name for name in names(records) if name.startswith("theirs")]
    assert sorted(found) == sorted([*theirs, *theirs])
    firsts = [name for place, name in enumerate(found) if name not in found[:place]]
    assert firsts == theirs


async def test_what_was_rewound_is_read_again_in_order(dsn: str) -> None:
    async with process(dsn) as mine, mine.log.subscribe("g", [MESSAGES]) as subscription:
        assert (await fetch(subscription, max_wait=AT_ONCE))[1] == []
        await append(mine, *(encoded("k", number) for number in range(5)))
        batch, first = await fetch(subscription, max_records=3)
        subscription.rewind(batch)
        again: list[Any] = []
        while len(again) < 5:
            batch, records = await fetch(subscription)
            await commit(mine, subscription, batch)
            again += records
    assert names(first) == ["0", "1", "2"]
    assert names(again) == ["0", "1", "2", "3", "4"]


async def test_a_reader_of_less_than_a_record_a_shard_sleeps_when_there_is_nothing(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with process(dsn) as mine, mine.log.subscribe("g", [MESSAGES]) as subscription:
        assert (await fetch(subscription, max_wait=AT_ONCE))[1] == []
        looks = 0
        look = type(mine.database).look

        async def counting(database: Any, sql: str, *arguments: Any) -> Any:
            nonlocal looks
            looks += "log.position" in sql and "log.event" in sql
            return await look(database, sql, *arguments)

        monkeypatch.setattr(type(mine.database), "look", counting)
        assert (await fetch(subscription, max_records=1, max_wait=timedelta(seconds=1)))[1] == []
    # One for each poll of 50 ms, and not one after the other.
    assert looks <= 25
