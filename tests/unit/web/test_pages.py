"""Cursors are opaque, fit one order, and refuse everything else."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.web import pages
from shared.web.pages import BadCursor, PageRequest


@given(st.text(max_size=50), st.integers(-(2**53), 2**53), st.text(max_size=10))
def test_a_cursor_gives_back_the_key_it_was_made_of(text: str, number: int, order: str) -> None:
    cursor = pages.encode((text, number), order=order)

    assert pages.decode(cursor, tuple[str, int], order=order) == (text, number)


def test_a_cursor_keeps_instants() -> None:
    moment = datetime(2026, 5, 4, 3, 2, 1, 123456, tzinfo=UTC)

    assert pages.decode(pages.encode((moment, "a")), tuple[datetime, str]) == (moment, "a")


def test_a_cursor_of_another_order_is_refused() -> None:
    cursor = pages.encode(("a",), order="created")

    with pytest.raises(BadCursor):
        pages.decode(cursor, tuple[str], order="priority")


@pytest.mark.parametrize(
    "cursor",
    ["", "!", "abc", "é", "a" * 5, pages.encode(("a", "b")), pages.encode((1,)), pages.encode(())]
    + [base64.urlsafe_b64encode(raw).decode() for raw in (b"null", b"[]", b'[2,"",["a"]]', b'{"a":1}', b"\xff")],
)
def test_a_cursor_that_is_not_ours_is_refused(cursor: str) -> None:
    with pytest.raises(BadCursor):
        pages.decode(cursor, tuple[str])


def test_the_first_page_begins_at_the_beginning() -> None:
    assert PageRequest(limit=2).after(tuple[str]) is None
    assert PageRequest(limit=2).after_id() is None


def test_a_full_page_with_more_behind_it_has_a_cursor() -> None:
    shown, cursor = PageRequest(limit=2).cut(["a", "b", "c"], key=lambda row: (row,))

    assert shown == ["a", "b"]
    assert PageRequest(limit=2, cursor=cursor).after_id() == "b"


@pytest.mark.parametrize("rows", [[], ["a"], ["a", "b"]])
def test_the_last_page_has_none(rows: list[str]) -> None:
    assert PageRequest(limit=2).cut(rows, key=lambda row: (row,)) == (rows, None)


def test_the_link_keeps_the_other_parameters() -> None:
    assert pages.link("/v1/x", "team=care&cursor=old&q=", "new") == '</v1/x?team=care&q=&cursor=new>; rel="next"'


def test_a_plain_type_stands_for_a_key_of_one_part() -> None:
    assert PageRequest(limit=2, cursor=pages.encode((7,))).after(int) == 7
    with pytest.raises(BadCursor):
        PageRequest(limit=2, cursor=pages.encode((7, 8))).after(int)
