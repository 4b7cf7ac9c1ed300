"""Two texts are one answer, however a network re-wrote it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tickets.domain.text import is_same, normalize


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("Hello", "hello"),
        ("Hello  there\n", " Hello there"),
        ("Tom & Jerry", "Tom &amp; Jerry"),
        ("Tom & Jerry", "Tom &amp;amp; Jerry"),
        ("It's fine", "It&#39;s fine"),
        ("Thanks ❤️", "Thanks ❤"),
        ("x\u200by", "xy"),
        ("\ufeffHi", "Hi"),
        ("Straße", "STRASSE"),
        ("ｆｕｌｌ", "full"),
        ("e\u0301", "é"),
        ("Hi @ann", "@bob hi @ann"),
        ("see https://example.com/a?b=1", "see https://t.co/xyz"),
        ("a\u00a0b", "a b"),
        ("", "\u200b"),
    ],
)
def test_what_networks_do_to_texts_does_not_matter(ours: str, theirs: str) -> None:
    assert normalize(ours) == normalize(theirs)


@pytest.mark.parametrize(("ours", "theirs"), [("Yes", "No"), ("Call 1", "Call 2"), ("Hi", None), ("a b", "ab")])
def test_other_words_are_another_answer(ours: str, theirs: str | None) -> None:
    assert normalize(ours) != normalize(theirs)


@given(st.text(max_size=60))
def test_spaces_around_and_case_never_matter(words: str) -> None:
    assert normalize(f"  {words}\n") == normalize(words)


@pytest.mark.parametrize(
    ("ours", "theirs", "files", "expected"),
    [
        ("hi", "hi", (False, False), True),
        ("hi", "hi", (True, False), True),
        ("hi", "", (True, True), False),
        ("", "", (True, True), True),
        ("", "", (True, False), False),
        ("", "", (False, False), False),
    ],
)
def test_without_words_only_files_can_be_the_same(
    *, ours: str, theirs: str, files: tuple[bool, bool], expected: bool
) -> None:
    assert is_same(ours, theirs, ours_has_files=files[0], theirs_has_files=files[1]) is expected
