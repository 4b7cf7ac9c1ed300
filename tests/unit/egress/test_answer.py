"""An answer is the same in whatever pieces it comes, and whatever comes is an answer or Broken."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.egress.answer import HEAD_LIMIT, Answer, Broken
from shared.egress.outcome import Response

LIMIT = 50


@dataclass(frozen=True)
class Sent:
    """What a server says, and what it means by it."""

    wire: bytes
    response: Response
    is_last: bool = False


def _read(pieces: Sequence[bytes], *, expects_body: bool = True) -> tuple[Response, bool]:
    answer = Answer(body_limit=LIMIT, expects_body=expects_body)
    if not any(answer.feed(piece) for piece in pieces):
        answer.ended()
    return answer.response(), answer.is_last


def _head(status: int, fields: dict[str, str]) -> bytes:
    return f"HTTP/1.1 {status} Some Reason\r\n".encode() + b"".join(
        f"{name}: {value}\r\n".encode("latin-1") for name, value in fields.items()
    )


_TOKEN = st.text("abcxyzABC-_0189", min_size=1, max_size=10).map(lambda name: f"x-{name}")
_VALUE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=20)
_FIELDS = st.dictionaries(_TOKEN, _VALUE, max_size=5).filter(
    lambda fields: len({name.lower() for name in fields}) == len(fields)
)
_STATUS = st.integers(200, 599).filter(lambda status: status not in (204, 304))
_INTERIM = st.lists(
    st.sampled_from([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"]), max_size=3
)


@st.composite
def _answers(draw: st.DrawFn) -> Sent:
    status, fields, body = draw(_STATUS), draw(_FIELDS), draw(st.binary(max_size=LIMIT + 10))
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    wire = b"".join(draw(_INTERIM)) + _head(status, fields)
    added: dict[str, str] = {}
    if framing == "length":
        added = {"content-length": str(len(body))}
        tail = b"\r\n" + body
    elif framing == "chunked":
        added = {"transfer-encoding": "chunked"}
        tail = b"\r\n" + draw(_chunks(body))
    else:
        tail = b"\r\n" + body
    wire += b"".join(f"{name.title()}: {value}\r\n".encode() for name, value in added.items()) + tail
    truncated = len(body) > LIMIT
    headers = {name.lower(): value for name, value in fields.items()} | added
    response = Response(status=status, headers=headers, body=body[:LIMIT], truncated=truncated)
    return Sent(wire, response, is_last=truncated or framing == "close")


@st.composite
def _chunks(draw: st.DrawFn, body: bytes) -> bytes:
    cuts = draw(st.lists(st.integers(0, len(body)), max_size=5).map(sorted))
    parts = [body[start:end] for start, end in pairwise([0, *cuts, len(body)]) if start < end]
    extension, trailer = draw(st.sampled_from([b"", b";name=value"])), draw(st.sampled_from([b"", b"X-Sum: 1\r\n"]))
    return b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts) + b"0\r\n" + trailer + b"\r\n"


@st.composite
def _in_pieces(draw: st.DrawFn, wire: bytes) -> list[bytes]:
    cuts = draw(st.lists(st.integers(0, len(wire)), max_size=12).map(sorted))
    return [wire[start:end] for start, end in pairwise([0, *cuts, len(wire)])]


@given(data=st.data(), sent=_answers())
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(data: st.DataObject, sent: Sent) -> None:
    assert _read(data.draw(_in_pieces(sent.wire))) == (sent.response, sent.is_last)


@given(sent=_answers(), more=st.binary(min_size=1).filter(lambda more: more.strip(b"\r\n") != b""))
def test_what_comes_after_an_answer_is_no_part_of_it_and_ends_the_connection(sent: Sent, more: bytes) -> None:
    if sent.is_last:
        return
    response, is_last = _read([sent.wire + more])

    assert response == sent.response
    assert is_last


_FRAGMENTS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 101 No\r\n",
        b"HTTP/1.0 204 \r\n",
        b"HTTP/1.1 100 \r\n\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Connection: upgrade\r\nUpgrade: x\r\n",
        b"X-A: b\r\n c\r\n",
        b"\r\n",
        b"\n",
        b"\x00",
        b": ",
        b"5\r\nhello\r\n",
        b"0\r\n",
        b"ffffffffffffffff\r\n",
        b"hello",
        b"x" * 100,
    ]
)


@given(pieces=st.lists(_FRAGMENTS | st.binary(max_size=20), max_size=12))
def test_whatever_comes_is_an_answer_or_broken(pieces: list[bytes]) -> None:
    try:
        response, _ = _read(pieces)
    except Broken:
        return

    assert 200 <= response.status <= 999
    assert len(response.body) <= LIMIT


@given(pieces=st.lists(st.binary(min_size=1, max_size=400), min_size=1, max_size=4))
def test_nothing_can_be_endless(pieces: list[bytes]) -> None:
    for start in (
        b"",
        b"HTTP/1.1 200 ",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ):
        answer = Answer(body_limit=LIMIT)
        length = 0
        try:
            is_whole = answer.feed(start)
            while not is_whole:
                for piece in pieces:
                    length += len(piece)
                    if is_whole := answer.feed(piece):
                        break
        except Broken:
            pass
        assert length <= 2 * HEAD_LIMIT


def test_fields_that_come_more_than_once_are_joined_and_their_names_are_in_lower_case() -> None:
    wire = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX-Empty:\r\nset-cookie: b=2 \r\nContent-Length: 0\r\n\r\n"

    assert _read([wire])[0].headers == {"set-cookie": "a=1, b=2", "x-empty": "", "content-length": "0"}


def test_what_trails_a_body_is_not_told() -> None:
    wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nRetry-After: 9\r\n\r\n"

    assert _read([wire])[0].headers == {"transfer-encoding": "chunked"}


@pytest.mark.parametrize("coding", ["gzip", "chunked, gzip", "identity"])
def test_a_body_in_a_coding_without_an_end_ends_with_the_connection(coding: str) -> None:
    response, is_last = _read([f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\nbody".encode()])

    assert (response.body, is_last) == (b"body", True)


@pytest.mark.parametrize("coding", ["chunked", "gzip, Chunked", "gzip\r\nTransfer-Encoding: chunked"])
def test_half_a_body_in_chunks_is_broken(coding: str) -> None:
    with pytest.raises(Broken, match="cut short"):
        _read([f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n4\r\nbody\r\n".encode()])


@pytest.mark.parametrize(
    ("wire", "is_last"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nUpgrade: h2\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", True),
    ],
)
def test_an_answer_says_whether_another_may_follow(wire: bytes, *, is_last: bool) -> None:
    assert _read([wire])[1] == is_last


def test_a_head_may_be_the_whole_answer() -> None:
    response, is_last = _read([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"], expects_body=False)

    assert (response.headers, response.body, is_last) == ({"content-length": "5"}, b"", True)
