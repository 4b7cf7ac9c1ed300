"""Below ASGI: the protocol answers usual requests itself; every other one goes uvicorn's way, from its first byte."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import structlog
from starlette.responses import Response
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

LARGEST: Final = 64 * 1024
"""Bytes of a body that is kept here; what is longer is read the ordinary way."""

PATIENCE: Final = 1.0
"""Seconds that the rest of a body may take; then whoever reads slow bodies waits for it."""

_UNUSUAL: Final = frozenset({"transfer-encoding", "expect", "upgrade"})

_MOST_NAMES: Final = 1_000

_Fields = Sequence[tuple[bytes, bytes]]
Answer = Callable[[Response | Exception], None]


class Hook(Protocol):
    """Takes whole POST requests below a prefix. It must not block; what it does not take, a mount must answer."""

    def __call__(self, target: bytes, headers: Mapping[str, str], body: bytes, answer: Answer) -> bool:
        """Whether it takes the request: then it calls `answer`, once, now or later. Names are lower-case."""
        ...


class Hooks:
    """All hooks of a process by path prefix, and their answers as they go over the wire."""

    def __init__(self, hooks: Mapping[str, Hook], *, refusal: Callable[[Exception], Response]) -> None:
        # Longest first: the most specific prefix wins.
        self._hooks = [(prefix.encode(), hooks[prefix]) for prefix in sorted(hooks, key=len, reverse=True)]
        self._refusal = refusal
        self._rendered: dict[Response, bytes] = {}
        self._defaults: _Fields = ()
        self._names: dict[bytes, str] = {}

    def find(self, target: bytes) -> Hook | None:
        """The hook of a request's target."""
        for prefix, hook in self._hooks:
            if target.startswith(prefix):
                return hook
        return None

    def read(self, fields: _Fields) -> dict[str, str]:
        """Headers as text. The same few names come again and again: each is only read once."""
        names = self._names
        return {names.get(name) or self._name(name): value.decode("latin-1") for name, value in fields}

    def _name(self, raw: bytes) -> str:
        name = raw.lower().decode("latin-1")
        if len(self._names) < _MOST_NAMES:
            self._names[raw] = name
        return name

    def render(self, outcome: Response | Exception, defaults: _Fields, *, keep_alive: bool) -> bytes:
        """The whole answer. Those that are given again and again are put together once for each second's date."""
        if isinstance(outcome, Exception):
            return _render(self._refusal(outcome), defaults, keep_alive=keep_alive)
        if not keep_alive:
            return _render(outcome, defaults, keep_alive=False)
        if defaults is not self._defaults:
            self._rendered.clear()
            self._defaults = defaults
        rendered = self._rendered.get(outcome)
        if rendered is None:
            rendered = self._rendered[outcome] = _render(outcome, defaults, keep_alive=True)
        return rendered


class _Turn:
    """A request that a hook has taken: it stands where uvicorn keeps the one that runs, so that others wait for it."""

    __slots__ = ("keep_alive", "protocol", "response_complete")

    def __init__(self, protocol: "HookProtocol") -> None:
        self.protocol = protocol
        self.keep_alive = True
        self.response_complete = False

    def answer(self, outcome: Response | Exception) -> None:
        """What comes when it is over changes nothing."""
        if not self.response_complete:
            self.response_complete = True
            self.protocol.write(outcome, keep_alive=self.keep_alive)


class HookProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which hears of a request once it is certain that no hook takes it.

    What the parser says is kept until then, and said again to uvicorn where it goes the ordinary way: so there is one
    parser, one order of answers, and one place that refuses.
    """

    cycle: RequestResponseCycle | _Turn | None  # type: ignore[assignment]  # the request that runs, or the last one

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        hooks: Hooks,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._hooks = hooks
        self._hook: Hook | None = None
        """Whose request is being read."""
        self._is_ordinary = False
        self._fields: dict[str, str] = {}
        self._body = b""
        self._waiting: asyncio.TimerHandle | None = None
        self._heard = self.loop.time()

    # -- the connection ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Also those that never say anything end."""
        super().connection_made(transport)
        self.timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever still answers, answers nobody."""
        if isinstance(self.cycle, _Turn):
            self.cycle.response_complete = True
            self.cycle = None
        self._hook = None
        self._stop_waiting()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """What has begun is finished: a body on its way has the time that slow ones have."""
        if self._hook is not None:
            self._hand_over()
        super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        """Closes what has been silent for too long, unless it waits for us.

        One timer per connection that looks again: to cancel and set one with every request costs as much as parsing it.
        """
        is_waited_for = self.cycle is not None and not self.cycle.response_complete
        rest = self.timeout_keep_alive if is_waited_for else self._heard + self.timeout_keep_alive - self.loop.time()
        if rest > 0:
            self.timeout_keep_alive_task = self.loop.call_later(rest, self.timeout_keep_alive_handler)
            return
        super().timeout_keep_alive_handler()

    def _unset_keepalive_if_required(self) -> None:
        # Called by uvicorn whenever something is heard.
        self._heard = self.loop.time()

    # -- what the parser says ---------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Nothing is known yet."""
        self._is_ordinary = False
        self.url = b""
        self.headers = []
        # What a hook took may still be here; the next request must not be told of it.
        self._body = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        """Kept as it is; what trails a body is uvicorn's."""
        if self._is_ordinary:
            super().on_header(name, value)
            return
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """A hook's request is read on; any other one is uvicorn's from here."""
        hook = self._hooks.find(self.url)
        if hook is not None and self._is_usual():
            self._hook = hook
            return
        self._hand_over()

    def on_body(self, body: bytes) -> None:
        """Almost always all of it."""
        if self._hook is None:
            super().on_body(body)
            return
        self._body = self._body + body if self._body else body
        if len(self._body) > LARGEST:
            self._hand_over()

    def on_message_complete(self) -> None:
        """The hook decides."""
        if self._hook is None:
            super().on_message_complete()
            return
        if self._waiting is not None:
            self._stop_waiting()
        turn = self.cycle = _Turn(self)
        try:
            is_taken = self._hook(self.url, self._fields, self._body, turn.answer)
        except Exception:  # noqa: BLE001 - a bug, and the ordinary way has an answer for those
            structlog.get_logger().exception("hook_failed")
            is_taken = False
        if is_taken:
            self._hook = None
            return
        turn.response_complete = True
        self._hand_over()
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Whoever has only sent a part is waited for, but not for long."""
        super().data_received(data)
        if self._hook is not None and self._waiting is None:
            self._waiting = self.loop.call_later(PATIENCE, self._hand_over)

    # -- deciding, and answering ------------------------------------------------------------------------------------

    def _is_usual(self) -> bool:
        parser = self.parser
        self._fields = fields = self._hooks.read(self.headers)
        return (
            parser.get_method() == b"POST"
            and parser.should_keep_alive()
            # Without this header, only HTTP/1.1 keeps a connection.
            and ("connection" not in fields or parser.get_http_version() == "1.1")
            and _UNUSUAL.isdisjoint(fields)
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and self.limit_concurrency is None
        )

    def _hand_over(self) -> None:
        """uvicorn hears all that the parser has said of this request so far."""
        target, headers, body = self.url, self.headers, self._body
        self._stop_waiting()
        self._hook = None
        self._is_ordinary = True
        self._body = b""
        super().on_message_begin()
        super().on_url(target)
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()
        if body:
            super().on_body(body)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def write(self, outcome: Response | Exception, *, keep_alive: bool) -> None:
        """A hook's answer."""
        transport = self.transport
        if transport.is_closing():
            return
        transport.write(self._hooks.render(outcome, self.server_state.default_headers, keep_alive=keep_alive))
        if not keep_alive:
            transport.close()
        if self.pipeline or self.flow.read_paused:
            self.on_response_complete()
            return
        self.server_state.total_requests += 1
        self._heard = self.loop.time()

    def on_response_complete(self) -> None:
        """As uvicorn does it, but for the timer: the next of the pipeline may begin."""
        self.server_state.total_requests += 1
        self._heard = self.loop.time()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())


def _render(response: Response, defaults: _Fields, *, keep_alive: bool) -> bytes:
    parts = [STATUS_LINE[response.status_code]]
    for name, value in (*defaults, *response.raw_headers):
        parts += [name, b": ", value, b"\r\n"]
    if not keep_alive:
        parts.append(b"connection: close\r\n")
    return b"".join([*parts, b"\r\n", bytes(response.body)])
