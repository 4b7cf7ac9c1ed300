"""One answer of HTTP/1.1, read from pieces of any size; knows nothing of connections."""

from typing import Final

import httptools

from shared.egress.outcome import Response

HEAD_LIMIT: Final = 64 * 1024
"""Bytes of an answer's head, interim answers included."""

_MOST_FIELDS: Final = 256
_MOST_INTERIM: Final = 8
_PER_BYTE: Final = 8
"""Bytes that may come for each of a body: one that is a chunk of its own takes six."""

_SWITCHING_PROTOCOLS: Final = 101
_NOT_HTTP: Final = "the answer is not HTTP"
_CUT_SHORT: Final = "the answer's body is cut short"


class Broken(ConnectionError):
    """No whole answer came; the message says why, in words that tell nothing about addresses."""


class _Stop(Exception):
    """Tells the parser that nothing further is wanted."""


class Answer:
    """The answer to one request: `feed` and `ended` say whether it is whole, or raise Broken.

    A parser of its own for each: nothing of one answer, such as what trails its body, can become part of the next.
    """

    __slots__ = (
        "_body_limit",
        "_expects_body",
        "_fields",
        "_interim",
        "_is_whole",
        "_length",
        "_limit",
        "_parser",
        "_parts",
        "_received",
        "_status",
        "_truncated",
        "is_last",
    )

    def __init__(self, *, body_limit: int, expects_body: bool = True) -> None:
        self._body_limit = body_limit
        self._expects_body = expects_body
        self._limit = HEAD_LIMIT + _PER_BYTE * body_limit
        self._received = 0
        self._interim = 0
        self._fields: list[tuple[bytes, bytes]] = []
        self._status = 0
        self._parts: list[bytes] = []
        self._length = 0
        self._truncated = False
        self._is_whole = False
        self.is_last = False
        """Whether the connection can take no further request: its end is near, or what came is more than was asked."""
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> bool:
        """Reads on. Not to be called again once the answer is whole."""
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.is_last = True
            if not self._is_whole:
                raise Broken(self._wrong()) from None
        if not self._is_whole and self._received > (self._limit if self._status else HEAD_LIMIT):
            raise Broken(self._wrong())
        return self._is_whole

    def ended(self) -> bool:
        """The other side has said all. Only a body without a length of its own is whole by that."""
        self.is_last = True
        if not self._is_whole:
            if not self._status:
                raise Broken("the connection ended early")
            if not self._ends_with_connection():
                raise Broken(_CUT_SHORT)
            self._is_whole = True
        return True

    def response(self) -> Response:
        """What came, once it is whole. Fields that came more than once are joined by commas."""
        headers: dict[str, str] = {}
        for raw, value in self._fields:
            name, text = raw.decode("latin-1").lower(), value.strip(b" \t").decode("latin-1")
            headers[name] = f"{headers[name]}, {text}" if name in headers else text
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        return Response(status=self._status, headers=headers, body=body[: self._body_limit], truncated=self._truncated)

    def close(self) -> None:
        """Parts from its parser: they know each other, and would both wait for the garbage collector."""
        del self._parser

    def _wrong(self) -> str:
        return _CUT_SHORT if self._status else _NOT_HTTP

    def _ends_with_connection(self) -> bool:
        """As the parser sees it, which does not tell."""
        headers = self.response().headers
        coding = headers.get("transfer-encoding")
        if coding is not None:
            return coding.rpartition(",")[2].strip().lower() != "chunked"
        return "content-length" not in headers

    # -- what the parser says -----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """After a whole answer nobody has asked for another one."""
        if self._is_whole:
            raise _Stop

    def on_header(self, name: bytes, value: bytes) -> None:
        """What trails a body is dropped."""
        if not self._status:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """An interim answer (100, 103) is followed by another head."""
        status = self._parser.get_status_code()
        if status < 200:
            self._interim += 1
            if status < 100 or status == _SWITCHING_PROTOCOLS or self._interim > _MOST_INTERIM:
                raise _Stop
            self._fields.clear()
            return
        if len(self._fields) > _MOST_FIELDS or (
            self._received > HEAD_LIMIT and sum(len(name) + len(value) for name, value in self._fields) > HEAD_LIMIT
        ):
            raise _Stop
        self._status = status
        if not self._expects_body:
            # The parser cannot know, and would take what comes next for the body.
            self._is_whole = True
            raise _Stop

    def on_body(self, body: bytes) -> None:
        """What is left beyond the limit would have to be read before the connection could be used again."""
        self._parts.append(body)
        self._length += len(body)
        if self._length > self._body_limit:
            self._truncated = self._is_whole = True
            raise _Stop

    def on_message_complete(self) -> None:
        """Also said of interim answers."""
        if self._status:
            self._is_whole = True
            self.is_last = not self._parser.should_keep_alive()
