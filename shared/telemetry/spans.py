"""Spans: how long each step of a trace took, recorded where an exporter runs, and free where none does."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from typing import Final, Literal, Protocol

from opentelemetry import context as otel_context
from opentelemetry import trace as otel

from shared.telemetry import traces
from shared.telemetry.traces import TraceContext

Kind = Literal["server", "consumer", "client"]
Attributes = Mapping[str, str | int]

MOST_LINKS: Final = 128
"""Of one batch: what the standard's own limit keeps anyway."""

_SERVER_ERROR: Final = 500
_PER_SECOND: Final = 1_000_000_000
_KINDS: Final[Mapping[Kind, otel.SpanKind]] = {
    "server": otel.SpanKind.SERVER,
    "consumer": otel.SpanKind.CONSUMER,
    "client": otel.SpanKind.CLIENT,
}
_UNRECORDED: Final = nullcontext(otel.INVALID_SPAN)


class Naming(Protocol):
    """Gives the next span of this task these ids instead of new ones."""

    def naming(self, trace: TraceContext) -> AbstractContextManager[None]: ...


class Spans:
    """Where steps are recorded. Without a tracer none is, and contexts pass through as they came."""

    def __init__(self, tracer: otel.Tracer | None = None, naming: Naming | None = None) -> None:
        self._tracer = tracer
        self._naming = naming

    @property
    def is_on(self) -> bool:
        """Whether anything is recorded."""
        return self._tracer is not None

    @contextmanager
    def serving(self, name: str, caller: TraceContext | None, attributes: Attributes) -> Iterator[otel.Span]:
        """Answering a request. A step of its caller's trace, or of a new one, is current meanwhile, recorded or not."""
        if self._tracer is None:
            with traces.entered((caller or traces.new()).child()):
                yield otel.INVALID_SPAN
            return
        with _recorded(self._tracer, name, "server", attributes, parent=traces.as_otel(caller)) as span:
            yield span

    def calling(self, name: str, attributes: Attributes) -> AbstractContextManager[otel.Span]:
        """A call to the outside, as part of the current step."""
        if self._tracer is None:
            return _UNRECORDED
        return _recorded(self._tracer, name, "client", attributes)

    def handling(
        self, name: str, producers: Iterable[str | None], attributes: Attributes
    ) -> AbstractContextManager[otel.Span]:
        """A batch: a trace of its own, linked to the steps (their `traceparent`s) that its events come from."""
        if self._tracer is None:
            return _UNRECORDED
        distinct = dict.fromkeys(filter(None, producers))
        found = [trace for header in list(distinct)[:MOST_LINKS] if (trace := traces.parse(header))]
        links = [otel.Link(traces.span_context(trace)) for trace in found]
        return _recorded(self._tracer, name, "consumer", attributes, parent=otel_context.Context(), links=links)

    def began(self, traceparents: Iterable[str], name: str, *, since: datetime, until: datetime) -> None:
        """Records the first step of traces whose ids are given: everything later hangs below it."""
        if self._tracer is None or self._naming is None:
            return
        start, end = (int(at.timestamp() * _PER_SECOND) for at in (since, until))
        for header in traceparents:
            if trace := traces.parse(header):
                with self._naming.naming(trace):
                    span = self._tracer.start_span(name, otel_context.Context(), start_time=start)
                span.end(end)


OFF: Final = Spans()
"""Records nothing."""


def answered(span: otel.Span, status: int, *, name: str | None = None) -> None:
    """What became of a request: its status, and the name of what answered it once that is known."""
    if not span.is_recording():
        return
    if name is not None:
        span.update_name(name)
    span.set_attribute("http.response.status_code", status)
    if status >= _SERVER_ERROR:
        span.set_status(otel.StatusCode.ERROR)


@contextmanager
def _recorded(
    tracer: otel.Tracer,
    name: str,
    kind: Kind,
    attributes: Attributes,
    *,
    parent: otel_context.Context | None = None,
    links: Sequence[otel.Link] = (),
) -> Iterator[otel.Span]:
    # An exception's text may hold what a customer wrote: only its class is recorded.
    with tracer.start_as_current_span(
        name,
        context=parent,
        kind=_KINDS[kind],
        attributes=attributes,
        links=links,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield span
        except BaseException as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(otel.StatusCode.ERROR)
            raise
