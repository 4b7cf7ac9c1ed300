"""A token carries its key's id and a checksum; nothing that is not a token reaches the database."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ids import TimeOrderedIds
from shared.platform import keys


def new_token() -> str:
    return keys.token("test", TimeOrderedIds().new("key"), keys.new_secret())


def test_a_token_gives_back_what_it_was_made_of() -> None:
    key_id, secret = TimeOrderedIds().new("key"), keys.new_secret()

    assert keys.parse(keys.token("live", key_id, secret)) == keys.Parsed(key_id=key_id, secret=secret)


def test_secrets_are_43_characters_and_never_the_same() -> None:
    secrets = {keys.new_secret() for _ in range(100)}

    assert len(secrets) == 100
    assert {len(secret) for secret in secrets} == {43}


@given(st.integers(0, 200), st.sampled_from("0aZ_-"))
def test_a_mistyped_token_is_no_token(place: int, character: str) -> None:
    token = keys.token("test", "key_" + "0" * 32, "b" * 43)
    place %= len(token)
    mistyped = token[:place] + character + token[place + 1 :]

    assert (keys.parse(mistyped) is None) == (mistyped != token)


@pytest.mark.parametrize(
    "form",
    ["", "baton", "baton_test__", "{0}\n", " {0}", "{0}{0}"],
    ids=["empty", "word", "prefix", "line", "space", "twice"],
)
def test_what_looks_different_is_no_token(form: str) -> None:
    assert keys.parse(form.format(new_token())) is None


def test_only_the_right_secret_fits_its_hash() -> None:
    secret = keys.new_secret()

    assert keys.is_secret(secret, keys.secret_hash(secret))
    assert not keys.is_secret(keys.new_secret(), keys.secret_hash(secret))
