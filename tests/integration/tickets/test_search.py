"""Searching among many texts, of one workspace only."""

from hashlib import md5

import pytest

from services.tickets.handlers.indexing import Indexing
from services.tickets.store import search
from shared.db.scope import Batch
from tests.support.floor import HOME, OTHER, Floor

MANY = 10_100
"""More than the newest texts, among which two characters are looked for."""


@pytest.fixture
async def library(floor: Floor) -> Floor:
    """Many texts of two workspaces; number 7 is the oldest but six."""
    for workspace in (HOME, OTHER):
        await floor.rows(
            f"INSERT INTO tickets.search (id, workspace_id, text, at) SELECT '{workspace}-' || n, '{workspace}', "
            "CASE n WHEN 7 THEN 'Straße 100% größer_42 返金してください' WHEN 4000 THEN 'jazz' ELSE 'hello number ' || n END, "
            f"now() - interval '1 day' + n * interval '1 second' FROM generate_series(1, {MANY}) AS n",
            workspace=workspace,
        )
    return floor


async def find(floor: Floor, words: str, *, workspace: str = HOME) -> list[str] | None:
    return await floor.act(lambda tx: search.find(tx, words), workspace=workspace)


async def test_what_is_rare_is_found_however_old_it_is(library: Floor) -> None:
    for words in ("straße", "100%", "größer_42", "返金して"):
        assert await find(library, words) == [f"{HOME}-7"]


async def test_what_many_say_is_left_to_the_lists(library: Floor) -> None:
    assert await find(library, "HELLO") is None
    assert await find(library, "el") is None


async def test_in_a_small_workspace_everything_is_found(floor: Floor) -> None:
    await floor.rows(
        f"INSERT INTO tickets.search (id, workspace_id, text, at) SELECT n::text, '{HOME}', 'hello', "
        "now() + n * interval '1 second' FROM generate_series(1, 3) AS n"
    )
    assert await find(floor, "hell") == ["3", "2", "1"]
    assert await find(floor, "bye") == []


async def test_wildcards_are_only_characters(library: Floor) -> None:
    assert await find(library, "h%o") == []
    assert await find(library, "hell_") == []
    assert await find(library, "\\") == []


async def test_two_characters_are_looked_for_among_the_newest(library: Floor) -> None:
    assert await find(library, "ZZ") == [f"{HOME}-4000"]
    assert await find(library, "返金") == []


async def test_nothing_of_another_workspace_is_ever_found(library: Floor) -> None:
    assert await find(library, "straße", workspace=OTHER) == [f"{OTHER}-7"]
    assert await find(library, "jazz", workspace=OTHER) == [f"{OTHER}-4000"]


async def test_a_batch_may_not_search_at_all(library: Floor) -> None:
    with pytest.raises(Exception, match="permission denied"):
        async with library.database.transaction(Batch(frozenset({HOME, OTHER})), schema="tickets") as tx:
            await search.find(tx, "hello")


async def test_what_is_new_is_found_before_and_after_the_index_takes_it_in(floor: Floor) -> None:
    await floor.rows(
        f"INSERT INTO tickets.search (id, workspace_id, text, at) SELECT n::text, '{HOME}', 'text ' || md5(n::text), "
        f"now() - n * interval '1 second' FROM generate_series(1, {MANY}) AS n"
    )
    rare = md5(str(MANY).encode()).hexdigest()
    assert await find(floor, rare) == [str(MANY)]
    indexing = Indexing(floor.database)
    # A page is 8 kB: whoever wrote the texts has left more of them than the 256 kB that batches once stopped for.
    assert await indexing.step() > 32
    assert await find(floor, rare) == [str(MANY)]
    assert await indexing.step() == 0
