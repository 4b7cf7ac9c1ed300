"""Sealed secrets open only with their key and in their place, and keys can be rotated."""

import asyncio
import base64
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Misconfigured
from shared.sealing import KeyRing, KeyUnknown, SealBroken, from_settings, load_or_create, new_key
from shared.settings import KernelSettings

OLD, NEW = b"o" * 32, b"n" * 32
CANARY = "canary-51d2"


def _ring(*keys: bytes) -> KeyRing:
    return KeyRing(keys or (NEW,))


@given(secret=st.binary(max_size=300), context=st.text(max_size=50))
def test_what_was_sealed_opens_in_its_place(secret: bytes, context: str) -> None:
    ring = _ring()
    context = context.encode("utf-8", "ignore").decode()

    assert ring.open(ring.seal(secret, context=context), context=context) == secret


def test_text_opens_as_text() -> None:
    ring = _ring()

    assert ring.open_text(ring.seal("żółw", context="c"), context="c") == "żółw"


def test_neither_token_nor_repr_shows_the_secret_or_the_key() -> None:
    ring = _ring(OLD)
    token = ring.seal(CANARY, context="c")

    assert CANARY.encode() not in token
    assert OLD not in token
    assert "oooo" not in repr(ring)
    assert OLD.hex() not in repr(ring)


def test_the_same_secret_never_looks_the_same_twice() -> None:
    ring = _ring()

    assert ring.seal(CANARY, context="c") != ring.seal(CANARY, context="c")


def test_a_secret_moved_to_another_place_stays_shut() -> None:
    ring = _ring()
    token = ring.seal(CANARY, context="channel:chn_1:app_secret")

    with pytest.raises(SealBroken, match="chn_2"):
        ring.open(token, context="channel:chn_2:app_secret")


@given(position=st.integers(min_value=0, max_value=len(CANARY) + 36), flip=st.integers(min_value=1, max_value=255))
def test_any_altered_byte_is_noticed(position: int, flip: int) -> None:
    ring = _ring()
    token = bytearray(ring.seal(CANARY, context="c"))
    token[position] ^= flip

    with pytest.raises((SealBroken, KeyUnknown)):
        ring.open(bytes(token), context="c")


@pytest.mark.parametrize("length", [0, 1, 9, 20, 21, 30])
def test_a_cut_token_is_refused(length: int) -> None:
    ring = _ring()

    with pytest.raises(SealBroken):
        ring.open(ring.seal("", context="c")[:length], context="c")


def test_after_rotation_old_secrets_open_and_new_ones_use_the_new_key() -> None:
    token = _ring(OLD).seal(CANARY, context="c")
    rotated = _ring(NEW, OLD)

    assert rotated.open_text(token, context="c") == CANARY
    assert not rotated.is_current(token)
    again = rotated.seal(CANARY, context="c")
    assert rotated.is_current(again)
    assert _ring(NEW).open_text(again, context="c") == CANARY


def test_a_secret_under_an_unknown_key_says_which_key_is_missing() -> None:
    token = _ring(OLD).seal(CANARY, context="channel:chn_1")
    old_id = repr(_ring(OLD)).removeprefix("KeyRing(").removesuffix(")")

    with pytest.raises(KeyUnknown, match=rf"channel:chn_1 was sealed under key {old_id}.*BATON_SEALING_KEYS"):
        _ring(NEW).open(token, context="channel:chn_1")


def test_keys_are_read_in_either_alphabet_and_with_any_separator() -> None:
    high = b"\xff" * 32
    text = f"{base64.b64encode(high).decode()},\n {base64.urlsafe_b64encode(OLD).decode()}"

    assert repr(KeyRing.parse(text)) == repr(_ring(high, OLD))
    assert repr(KeyRing.parse(base64.urlsafe_b64encode(high).decode())) == repr(_ring(high))


@pytest.mark.parametrize("text", ["", " , ", "too-short", "!!!", base64.b64encode(b"x" * 31).decode(), "ü" * 44])
def test_keys_that_are_none_are_refused_without_being_shown(text: str) -> None:
    with pytest.raises(Misconfigured, match="sealing key") as caught:
        KeyRing.parse(text)

    assert not text.strip(" ,") or text not in str(caught.value)


def test_a_new_key_is_a_key() -> None:
    assert repr(KeyRing.parse(new_key())) != repr(KeyRing.parse(new_key()))


def test_a_made_ring_is_private_and_the_same_next_time(tmp_path: Path) -> None:
    path = tmp_path / "data" / "keys"
    first = load_or_create(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create(path).open_text(first.seal(CANARY, context="c"), context="c") == CANARY
    assert list(path.parent.iterdir()) == [path]


async def test_starters_at_the_same_time_get_the_same_ring(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(asyncio.to_thread(load_or_create, path)) for _ in range(8)]

    assert len({repr(task.result()) for task in tasks}) == 1


def test_a_ring_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    load_or_create(path)
    path.chmod(0o640)

    with pytest.raises(Misconfigured, match="chmod 600"):
        load_or_create(path)


def test_configured_keys_win(tmp_path: Path) -> None:
    key = base64.b64encode(OLD).decode()

    assert repr(from_settings(KernelSettings.load(sealing_keys=key, data_dir=tmp_path))) == repr(_ring(OLD))
    assert list(tmp_path.iterdir()) == []


def test_with_the_embedded_database_the_data_directory_keeps_the_ring(tmp_path: Path) -> None:
    settings = KernelSettings.load(data_dir=tmp_path)

    assert repr(from_settings(settings)) == repr(from_settings(settings))


def test_beside_a_shared_database_no_ring_is_made_up(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="BATON_SEALING_KEYS is needed"):
        from_settings(KernelSettings.load(database_url="postgresql://db/baton", data_dir=tmp_path))
