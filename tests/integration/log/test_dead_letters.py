"""Operators see what failed, try it again in the order of its key, or drop it, within their own workspace."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shared.db.pool import Database
from shared.db.scope import Workspace
from shared.db.transaction import Transaction
from shared.errors import NotFound, Rejected
from shared.events.catalogue import MESSAGES
from shared.log import dead_letters
from shared.log.dead_letters import DeadLetter
from shared.log.port import Log
from tests.support.consuming import Diary, consume, consuming, say, seen, until_seen
from tests.support.waiting import answer


@asynccontextmanager
async def operating(database: Database, workspace: str = "w1") -> AsyncIterator[Transaction]:
    async with database.transaction(Workspace(workspace), schema="demo") as tx:
        yield tx


async def listed(database: Database, workspace: str = "w1") -> list[DeadLetter]:
    async with operating(database, workspace) as tx:
        return await dead_letters.page(tx)


@pytest.fixture
async def letter(database: Database, log: Log, diary: Diary) -> DeadLetter:
    """One dead letter named `bad` of key `k`, between `one` and `two`, which were handled."""
    diary.faults = {"bad": Rejected("never")}
    await say(database, "k", "one", "bad", "two")
    async with consuming(database, log, consume(diary)):
        await until_seen(database, 2)
    (letter,) = await listed(database)
    return letter


async def test_a_letter_shows_what_failed_where_and_why(database: Database, letter: DeadLetter) -> None:
    assert (letter.consumer_group, letter.topic, letter.key) == ("demo", MESSAGES, "k")
    assert (letter.event_type, letter.position, letter.attempts) == ("channel.changed.v1", 1, 1)
    assert letter.error_class == "Rejected"
    assert letter.error_message.startswith("never (consuming.py:")
    async with operating(database) as tx:
        content = await dead_letters.show(tx, letter.id)
    assert content.letter == letter
    assert dict(content.headers)["ce_type"] == b"channel.changed.v1"
    assert b'"bad"' in content.value


async def test_the_newest_come_first_in_pages(database: Database, log: Log, diary: Diary) -> None:
    names = [f"bad-{n}" for n in range(5)]
    diary.faults = {name: Rejected("never") for name in names}
    async with consuming(database, log, consume(diary)):
        for number, name in enumerate(names):
            await say(database, name, name)
            await answer(lambda number=number: _has(database, number + 1))
    async with operating(database) as tx:
        first = await dead_letters.page(tx, limit=3)
        second = await dead_letters.page(tx, before=first[-1].id, limit=3)
    assert [letter.key for letter in (*first, *second)] == names[::-1]


async def _has(database: Database, count: int) -> bool:
    return len(await listed(database)) == count


async def test_a_re_driven_event_is_handled_again_and_its_letter_is_gone(
    database: Database, log: Log, diary: Diary, letter: DeadLetter
) -> None:
    diary.faults.clear()
    async with operating(database) as tx:
        parked = await dead_letters.redrive(tx, letter.id)
    assert (parked.key, parked.waiting, parked.attempts) == ("k", 1, 0)
    async with consuming(database, log, consume(diary)):
        assert await until_seen(database, 3) == ["one", "two", "bad"]
    assert await listed(database) == []
    assert sum((await log.lag("demo", [MESSAGES])).values()) == 0


async def test_a_re_driven_event_that_fails_again_is_a_letter_again(
    database: Database, log: Log, diary: Diary, letter: DeadLetter
) -> None:
    async with operating(database) as tx:
        await dead_letters.redrive(tx, letter.id)
    async with consuming(database, log, consume(diary)):
        (again,) = await answer(lambda: listed(database))
    assert again.id != letter.id
    assert (again.position, again.key) == (letter.position, letter.key)


async def test_a_re_driven_event_goes_behind_what_waits_already(
    database: Database, log: Log, diary: Diary, letter: DeadLetter
) -> None:
    diary.faults = {"worse": ValueError("bug")}
    async with consuming(database, log, consume(diary, tries=1000)):
        await say(database, "k", "worse", "three")
        await answer(lambda: _parked(database))
        async with operating(database) as tx:
            await dead_letters.redrive(tx, letter.id)
        await say(database, "k", "four")
        await asyncio.sleep(0.1)
        diary.faults.clear()
        await until_seen(database, 6)
    assert await seen(database) == ["one", "two", "worse", "three", "bad", "four"]


async def _parked(database: Database) -> list[dead_letters.ParkedKey]:
    async with operating(database) as tx:
        return await dead_letters.parked_keys(tx)


async def test_a_dropped_letter_is_gone(database: Database, letter: DeadLetter) -> None:
    async with operating(database) as tx:
        assert await dead_letters.drop(tx, letter.id) == letter
    assert await listed(database) == []


@pytest.mark.parametrize("act", [dead_letters.show, dead_letters.redrive, dead_letters.drop])
async def test_nobody_touches_a_letter_of_another_workspace(database: Database, letter: DeadLetter, act) -> None:
    assert await listed(database, "w2") == []
    with pytest.raises(NotFound):
        async with operating(database, "w2") as tx:
            await act(tx, letter.id)
    assert await listed(database) == [letter]


async def test_a_letter_that_two_people_re_drive_is_handled_once(
    database: Database, log: Log, diary: Diary, letter: DeadLetter
) -> None:
    diary.faults.clear()
    refusals: list[NotFound] = []

    async def redrive() -> None:
        try:
            async with operating(database) as tx:
                await dead_letters.redrive(tx, letter.id)
        except NotFound as refusal:
            refusals.append(refusal)

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(redrive())
    async with consuming(database, log, consume(diary)):
        await until_seen(database, 3)
        await asyncio.sleep(0.1)
    assert len(refusals) == 3
    assert await seen(database) == ["one", "two", "bad"]


async def test_parked_keys_are_listed_in_pages(database: Database, log: Log, diary: Diary) -> None:
    diary.faults = {"bad": ValueError("bug")}
    for key in ("a", "b", "c"):
        await say(database, key, "bad", "next")
    async with consuming(database, log, consume(diary, tries=1000)):
        await answer(lambda: _count(database, 3))
    async with operating(database) as tx:
        first = await dead_letters.parked_keys(tx, limit=2)
        second = await dead_letters.parked_keys(tx, after=(first[-1].consumer_group, first[-1].key), limit=2)
    assert [(key.key, key.waiting) for key in (*first, *second)] == [("a", 2), ("b", 2), ("c", 2)]
    assert first[0].reason.startswith("ValueError: bug")
    async with operating(database, "w2") as tx:
        assert await dead_letters.parked_keys(tx) == []


async def _count(database: Database, count: int) -> bool:
    return len(await _parked(database)) == count
