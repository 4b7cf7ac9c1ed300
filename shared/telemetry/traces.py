"""W3C trace context: taken from whoever called, carried through the log, handed on.

The current step lives in OpenTelemetry's context, so that spans of its SDK, where one runs, join in; none is needed.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry import trace as otel

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"

_HEADER: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_SAMPLED: Final = 1
_LONGEST_STATE: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceContext:
    """One step of one trace."""

    trace_id: str
    span_id: str
    sampled: bool = True
    state: str = ""
    """Other vendors' `tracestate`, passed on as it came."""

    @property
    def traceparent(self) -> str:
        """The header's value."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"

    def child(self, random: Callable[[int], bytes] = os.urandom) -> "TraceContext":
        """The next step of the same trace."""
        return TraceContext(trace_id=self.trace_id, span_id=_id(8, random), sampled=self.sampled, state=self.state)


def new(random: Callable[[int], bytes] = os.urandom) -> TraceContext:
    """The first step of a new trace."""
    return TraceContext(trace_id=_id(16, random), span_id=_id(8, random))


def begun_by(identifier: str) -> str:
    """The header of the trace that a thing with a UUID in its id begins: whoever knows the thing finds its trace."""
    digits = identifier.rpartition("_")[2]
    return f"00-{digits}-{digits[-2 * 8 :]}-{_SAMPLED:02x}"


def _id(size: int, random: Callable[[int], bytes]) -> str:
    # All zeroes means "none" in the standard.
    return random(size).hex().replace("0" * 2 * size, "0" * (2 * size - 1) + "1")


def parse(traceparent: str, tracestate: str = "") -> TraceContext | None:
    """A header's trace; None for anything malformed, which the standard says to treat as absent."""
    match = _HEADER.fullmatch(traceparent.strip())
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest) or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    state = tracestate.strip() if len(tracestate) <= _LONGEST_STATE else ""
    return TraceContext(trace_id=trace_id, span_id=span_id, sampled=bool(int(flags, 16) & _SAMPLED), state=state)


def current() -> TraceContext | None:
    """The step that is being taken, if any."""
    span = otel.get_current_span().get_span_context()
    if not span.is_valid:
        return None
    return TraceContext(
        trace_id=f"{span.trace_id:032x}",
        span_id=f"{span.span_id:016x}",
        sampled=bool(span.trace_flags & _SAMPLED),
        state=span.trace_state.to_header(),
    )


@contextmanager
def entered(trace: TraceContext | None) -> Iterator[None]:
    """Makes this the current step; None means that there is none."""
    token = otel_context.attach(as_otel(trace))
    try:
        yield
    finally:
        otel_context.detach(token)


def as_otel(trace: TraceContext | None) -> otel_context.Context:
    """A context in which this is the current step."""
    span = otel.INVALID_SPAN if trace is None else otel.NonRecordingSpan(span_context(trace))
    return otel.set_span_in_context(span)


def span_context(trace: TraceContext) -> otel.SpanContext:
    """A step as OpenTelemetry writes it."""
    return otel.SpanContext(
        trace_id=int(trace.trace_id, 16),
        span_id=int(trace.span_id, 16),
        is_remote=True,
        trace_flags=otel.TraceFlags(int(trace.sampled)),
        trace_state=otel.TraceState.from_header([trace.state]),
    )


def inject(headers: MutableMapping[str, str]) -> None:
    """Adds the current step to outgoing headers, if there is one."""
    if trace := current():
        headers[TRACEPARENT] = trace.traceparent
        if trace.state:
            headers[TRACESTATE] = trace.state


def extract(headers: Mapping[str, str]) -> TraceContext | None:
    """The caller's step out of incoming headers, whose names are lower-case."""
    return parse(headers.get(TRACEPARENT, ""), headers.get(TRACESTATE, ""))
