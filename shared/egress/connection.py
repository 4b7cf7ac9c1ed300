"""One connection, which carries one request at a time, and is closed as soon as it is not what it should be."""

import asyncio
import select
from collections.abc import Callable
from typing import Final, cast

from shared.egress.answer import Answer, Broken
from shared.egress.outcome import Attempt, Response

_ENDED_EARLY: Final = "the connection ended early"


class Connection(asyncio.Protocol):
    """Whoever asked and gives up must call `abort`: what is still to come would be the answer to somebody else."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        opened: Callable[["Connection"], None],
        lost: Callable[["Connection"], None],
    ) -> None:
        self._loop = loop
        self._opened = opened
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._readable = select.poll()
        self._answer: Answer | None = None
        self._asked: asyncio.Future[Response] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def ask(
        self, request: bytes, *, attempt: Attempt, deadline: float, body_limit: int, expects_body: bool
    ) -> asyncio.Future[Response]:
        """Sends the request, whole; the answer, or OSError (Broken and TimeoutError are such) by the loop's `deadline`.

        Raises Broken, and `attempt` tells that nothing was handed over, where the connection has ended already.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            raise Broken(_ENDED_EARLY)
        asked: asyncio.Future[Response] = self._loop.create_future()
        self._asked = asked
        self._answer = Answer(body_limit=body_limit, expects_body=expects_body)
        self._deadline = deadline
        if self._timer is None or deadline < self._timer_at:
            self._set_timer()
        attempt.handed_over = True
        transport.write(request)
        return asked

    def is_free(self) -> bool:
        """Whether it is open, and nobody waits on it."""
        return self._answer is None and self._transport is not None and not self._transport.is_closing()

    def is_silent(self) -> bool:
        """Whether it is free, and the other side has neither ended it nor said more than it was asked.

        The socket itself is asked: what has arrived there and was not read yet would be taken for the next answer.
        """
        return self.is_free() and not self._readable.poll(0)

    def abort(self) -> None:
        """Closes it at once; whoever waits is told that it ended."""
        if self._answer is not None:
            self._fail(Broken(_ENDED_EARLY))
        elif self._transport is not None:
            self._transport.abort()

    # -- what the loop says -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected and, for TLS, the certificate is one of this name."""
        self._transport = cast(asyncio.Transport, transport)
        self._readable.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._opened(self)

    def data_received(self, data: bytes) -> None:
        """A piece of an answer, or something that nobody has asked for."""
        answer = self._answer
        if answer is None:
            self.abort()
            return
        try:
            is_whole = answer.feed(data)
        except Broken as error:
            self._fail(error)
            return
        if is_whole:
            self._finish(answer)

    def eof_received(self) -> None:
        """Also half a connection is none: nothing more is sent to whoever says no more."""
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed by either side."""
        self._end(exc)
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._lost(self)

    # -- how an exchange ends -----------------------------------------------------------------------------------------

    def _end(self, error: Exception | None) -> None:
        answer = self._answer
        if answer is None:
            self.abort()
            return
        try:
            if error is not None:
                raise error if isinstance(error, OSError) else Broken(_ENDED_EARLY)
            answer.ended()
        except OSError as failure:
            self._fail(failure)
            return
        self._finish(answer)

    def _finish(self, answer: Answer) -> None:
        transport = cast(asyncio.Transport, self._transport)
        # A request of which half is still to be sent would be the beginning of the next one.
        if answer.is_last or transport.get_write_buffer_size():
            transport.abort()
        asked = self._settle()
        if asked is not None:
            asked.set_result(answer.response())

    def _fail(self, error: OSError) -> None:
        cast(asyncio.Transport, self._transport).abort()
        asked = self._settle()
        if asked is not None:
            asked.set_exception(error)
            # Whoever is cancelled at this moment will not ask for it, and nothing is wrong with that.
            asked.exception()

    def _settle(self) -> asyncio.Future[Response] | None:
        """Who still waits for the answer; from here on nobody does."""
        answer, asked = self._answer, self._asked
        self._answer = self._asked = None
        if answer is not None:
            answer.close()
        return None if asked is None or asked.done() else asked

    # -- the deadline -------------------------------------------------------------------------------------------------

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._deadline
        self._timer = self._loop.call_at(self._deadline, self._look_at_the_time)

    def _look_at_the_time(self) -> None:
        """One timer for many requests: to set and cancel one for each costs as much as reading its answer's head."""
        self._timer = None
        if self._answer is None:
            return
        if self._deadline > self._timer_at:
            self._set_timer()
            return
        self._fail(TimeoutError())
