"""Answers to what went ahead are kept from asyncpg, however the bytes are cut."""

import struct
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.db.session import _Lane

READY = b"Z" + struct.pack("!i", 5) + b"T"


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


class Peer:
    """Transport and asyncpg's protocol in one: keeps what it is given."""

    def __init__(self) -> None:
        self.written = b""
        self.received = b""
        self.is_aborted = False

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None

    def is_closing(self) -> bool:
        return self.is_aborted

    def write(self, data: bytes) -> None:
        self.written += data

    def abort(self) -> None:
        self.is_aborted = True

    def data_received(self, data: bytes) -> None:
        assert data
        self.received += data


def told(lane: _Lane, data: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, stop in pairwise(places):
        if start < stop:
            lane.data_received(data[start:stop])


@given(st.integers(0, 3), st.lists(st.integers(0, 10_000), max_size=12))
def test_only_the_answers_to_what_went_ahead_are_kept_back(count: int, cuts: list[int]) -> None:
    peer = Peer()
    lane = _Lane(peer, peer)
    for _ in range(count):
        lane.send_ahead("BEGIN")
    setting, notice, news = message(b"S", b"a\0b\0"), message(b"N", b"careful"), message(b"A", b"hear")
    ahead = (
        message(b"C", b"BEGIN\0")
        + setting
        + notice
        + message(b"T", b"columns")
        + message(b"D", b"Z" * 40)
        + news
        + READY
    )
    own = message(b"2") + message(b"D", b"row") + message(b"C", b"SELECT 1\0") + setting + READY
    told(lane, ahead * count + own * 2, cuts)
    assert peer.received == (setting + notice + news) * count + own * 2
    assert peer.written == message(b"Q", b"BEGIN\0") * count


@given(st.lists(st.integers(0, 10_000), max_size=12))
def test_a_connection_is_lost_with_what_went_ahead(cuts: list[int]) -> None:
    peer = Peer()
    lane = _Lane(peer, peer)
    lane.send_ahead("BEGIN")
    told(lane, message(b"E", b"no") + READY + message(b"D", b"written all the same"), cuts)
    assert peer.is_aborted
    lane.send_ahead("BEGIN")
    assert peer.written == message(b"Q", b"BEGIN\0")


OWN = message(b"2") + message(b"D", b"Z" * 40) + message(b"C", b"SELECT 1\0")
IDLE = message(b"Z", b"I")


@given(st.integers(0, 2), st.lists(st.integers(0, 10_000), max_size=12))
def test_a_statement_and_the_commit_behind_it_are_answered_as_one(ahead: int, cuts: list[int]) -> None:
    peer = Peer()
    lane = _Lane(peer, peer)
    for _ in range(ahead):
        lane.send_ahead("BEGIN")
    begun = (message(b"C", b"BEGIN\0") + READY) * ahead
    lane.send_behind("COMMIT")
    notice = message(b"N", b"careful")
    after = message(b"2") + READY
    told(lane, begun + OWN + READY + notice + message(b"C", b"COMMIT\0") + IDLE + after, cuts)
    assert peer.received == OWN + notice + IDLE + after


@pytest.mark.parametrize("place", ["statement", "commit"])
@given(cuts=st.lists(st.integers(0, 10_000), max_size=12))
def test_an_error_of_either_is_told(place: str, cuts: list[int]) -> None:
    peer = Peer()
    lane = _Lane(peer, peer)
    lane.send_behind("COMMIT")
    error = message(b"E", b"no")
    if place == "statement":
        told(lane, error + READY + message(b"C", b"ROLLBACK\0") + IDLE, cuts)
        assert peer.received == error + IDLE
    else:
        told(lane, OWN + READY + error + IDLE, cuts)
        assert peer.received == OWN + error + IDLE
