"""What goes ahead of a statement or behind it travels with it, and asyncpg hears only what it asked for."""

import struct
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.db.session import _Lane

READY = b"Z" + struct.pack("!i", 5) + b"T"
SYNC = b"S" + struct.pack("!i", 4)
BEGIN, BIND = ("BEGIN",), ("SELECT set_config('a', $1, true)", "w1,w2")


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def kinds(data: bytes) -> str:
    found = ""
    while data:
        kind, length = struct.unpack_from("!ci", data)
        found, data = found + kind.decode(), data[1 + length :]
    return found


class Peer:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_aborted = False

    def get_extra_info(self, name: str) -> str:
        return name

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def abort(self) -> None:
        self.is_aborted = True


@pytest.fixture
def peer() -> Peer:
    return Peer()


def told(lane: _Lane, data: bytes, cuts: list[int]) -> bytes:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return b"".join(lane.answered(data[start:stop]) for start, stop in pairwise(places) if start < stop)


def test_what_goes_ahead_waits_for_the_statement_and_goes_in_one_piece(peer: Peer) -> None:
    lane = _Lane(peer)
    lane.send_ahead([BEGIN, BIND], "COMMIT")
    assert peer.written == []
    own = message(b"B", b"own") + message(b"E", b"own") + SYNC
    lane.write(memoryview(own))
    [first] = peer.written
    assert kinds(first) == "PPBEPBEBES"
    assert first.endswith(own)
    assert b"\0\0\0\x05w1,w2" in first
    lane.send_ahead([BEGIN, BIND], "COMMIT")
    lane.writelines([own[:10], own[10:]])
    assert kinds(peer.written[1]) == "BEBEBES", "what is prepared once is known"
    lane.write(own)
    assert peer.written[2] == own
    assert lane.get_extra_info("socket") == "socket"


def test_commit_goes_behind_the_arguments_and_before_the_server_answers(peer: Peer) -> None:
    lane = _Lane(peer)
    lane.send_ahead([BEGIN], "COMMIT")
    lane.ends = True
    lane.write(message(b"P", b"prepare") + message(b"H"))
    assert kinds(peer.written[0]) == "PPBEPH", "what is only prepared is not committed"
    lane.write(message(b"B", b"own") + message(b"E", b"own") + SYNC)
    assert kinds(peer.written[1]) == "BEBES"
    lane.write(message(b"B", b"own") + message(b"E", b"own") + SYNC)
    assert kinds(peer.written[2]) == "BES"


SETTING, NOTICE, NEWS = message(b"S", b"a\0b\0"), message(b"N", b"careful"), message(b"A", b"hear")


@given(st.integers(0, 3), st.lists(st.integers(0, 10_000), max_size=12))
def test_only_the_answers_to_what_went_ahead_are_kept_back(count: int, cuts: list[int]) -> None:
    lane = _Lane(Peer())
    for _ in range(count):
        lane.send_ahead([BEGIN, BIND], "COMMIT")
    ahead = (
        message(b"1")
        + message(b"2")
        + message(b"C", b"BEGIN\0")
        + SETTING
        + NOTICE
        + message(b"2")
        + message(b"D", b"Z" * 40)
        + NEWS
        + message(b"C", b"SELECT 1\0")
    )
    own = message(b"2") + message(b"D", b"row") + message(b"C", b"SELECT 1\0") + SETTING + READY
    assert told(lane, ahead * count + own * 2, cuts) == (SETTING + NOTICE + NEWS) * count + own * 2


@given(st.lists(st.integers(0, 10_000), max_size=12))
def test_a_connection_is_lost_with_what_went_ahead(cuts: list[int]) -> None:
    peer = Peer()
    lane = _Lane(peer)
    lane.send_ahead([BEGIN, BIND], "COMMIT")
    assert told(lane, message(b"2") + NOTICE + message(b"E", b"no"), cuts) == NOTICE
    assert peer.is_aborted
