"""What counts as saying the same: how it is put does not, what is said does."""

import pytest
from hypothesis import given

from services.router.domain import duplicates
from tests.support.random_rules import messages

APP = "My app crashes since the update"


@pytest.mark.parametrize(
    "same",
    [
        APP.upper(),
        f"{APP}!!! 😡",
        f"  {APP.replace(' ', '  ')}…",
        f"@brand {APP} @ann",
        "My app: crashes - since the update?",
        "Ｍｙ app crashes since the up\u200bdate",
    ],
)
def test_case_signs_and_mentions_make_no_difference(same):
    assert duplicates.name(same) == duplicates.name(APP)


@pytest.mark.parametrize(
    "other", [f"{APP} 2", "My app crashes since the upgrade", "the update crashes My app since", APP.replace(" ", "")]
)
def test_other_words_or_numbers_are_something_else(other):
    assert duplicates.name(other) != duplicates.name(APP)


@pytest.mark.parametrize("little", [None, "", "thanks!", "👍👍👍👍👍👍", "@brand @other hello", "退款"])
def test_too_little_is_the_same_as_nothing(little):
    assert duplicates.name(little) is None


def test_scripts_with_much_in_a_character_need_few_of_them():
    assert duplicates.name("我要退款") is not None


def test_whoever_shares_a_page_says_what_all_say_who_share_it():
    page = "https://news.example/brand-scandal"
    assert duplicates.name(f"Is this true?? {page}") == duplicates.name(f"wow {page}!") != duplicates.name("wow, this!")
    home = "https://brand.example/"
    assert duplicates.name(f"Is {home} down for others") != duplicates.name(f"Who made {home} so slow")


@given(messages)
def test_a_name_is_short_and_always_the_same(facts):
    name = duplicates.name(facts.text)
    assert name == duplicates.name(facts.text)
    assert name is None or len(name) == duplicates.LENGTH
