"""What a batch's columns hold arrives in Postgres as it is, whichever way it travels."""

from typing import Any

import pytest

from shared.db import columns
from shared.db.pool import Database
from shared.db.scope import Owner

TEXTS = "SELECT t FROM unnest($1::text[]) WITH ORDINALITY AS n(t, place) ORDER BY place"
DOCUMENTS = "SELECT d FROM unnest($1::jsonb[]) WITH ORDINALITY AS n(d, place) ORDER BY place"

ODD_TEXTS: list[list[str | None]] = [
    [],
    [""],
    ["", ""],
    [None],
    [None, "", "a", None],
    ["a\x1fb", "c"],
    ["\x1e"],
    ["\x1e", None],
    ["a\x1eb", None],
    ['{"quoted\\"}', "NULL", "null", "\\N", "line\nbreak\r\n", "\t"],
    ["😡 ¿qué?", "注文", "e\u0301"],
]


@pytest.mark.parametrize("texts", ODD_TEXTS, ids=repr)
async def test_texts_arrive_as_they_are(database: Database, texts: list[str | None]) -> None:
    async with database.transaction(Owner()) as tx:
        assert [row["t"] for row in await tx.fetch(TEXTS, texts)] == texts
        assert [row["t"] for row in await tx.fetch(TEXTS, tuple(texts))] == texts


@pytest.mark.parametrize(
    "documents",
    [[], [{}], [{"a": "x\x1fy\x1e"}, None, ["b", 1, None], "text", 2.5, True]],
    ids=repr,
)
async def test_documents_arrive_as_they_are(database: Database, documents: list[Any]) -> None:
    async with database.transaction(Owner()) as tx:
        assert [row["d"] for row in await tx.fetch(DOCUMENTS, documents)] == documents


async def test_columns_of_one_statement_keep_their_places(database: Database) -> None:
    sql = "SELECT * FROM unnest($2::text[], $1::int[], $3::text[]) AS n(a, b, c)"
    async with database.transaction(Owner()) as tx:
        rows = await tx.fetch(sql, [1, 2], ["a", None], ["x", "y"])
    assert [tuple(row) for row in rows] == [("a", 1, "x"), (None, 2, "y")]


def test_ordinary_texts_travel_as_one() -> None:
    sql, packed = columns.packed(TEXTS, (["a", None, "b"],))
    assert (packed, "string_to_array($1" in sql) == ("a\x1f\x1e\x1fb", True)


@pytest.mark.parametrize(
    "sql",
    ["SELECT 1 WHERE 'a' = ANY($1::text[])", "SELECT $1::text[], t FROM unnest($1::text[]) AS t"],
)
def test_arrays_outside_of_unnest_stay_arrays(sql: str) -> None:
    assert columns.packed(sql, (["a"],)) == (sql, ["a"])
