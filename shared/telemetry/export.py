"""The exporter of spans: runs where a collector is named and the extra `otel` is installed, else is not even loaded."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from importlib.metadata import version
from typing import Final

import structlog

from shared.telemetry.spans import OFF, Spans
from shared.telemetry.traces import TraceContext

COLLECTOR: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""OpenTelemetry's own variables; the SDK reads the others of its standard (headers, sampler, resource) by itself."""

LAST_FLUSH: Final = 5.0
"""Seconds that a leaving process waits for its collector."""


@asynccontextmanager
async def exporting() -> AsyncIterator[Spans]:
    """Where this process records its steps; what is recorded by the end is still sent."""
    if not any(os.environ.get(name) for name in COLLECTOR):
        yield OFF
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
    except ImportError:
        structlog.get_logger().warning("traces_are_not_exported", hint="install the extra `otel`")
        yield OFF
        return
    named = _Named()

    class Ids(RandomIdGenerator):
        def generate_trace_id(self) -> int:
            given = named.current.get()
            return int(given.trace_id, 16) if given else super().generate_trace_id()

        def generate_span_id(self) -> int:
            given = named.current.get()
            return int(given.span_id, 16) if given else super().generate_span_id()

    exporter = OTLPSpanExporter()
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "baton"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False, id_generator=Ids())
    provider.add_span_processor(BatchSpanProcessor(exporter))
    shutdown: Callable[[], None] = exporter.shutdown
    try:
        yield Spans(provider.get_tracer("baton", version("baton")), named)
    finally:
        async with asyncio.TaskGroup() as group:
            leaving = group.create_task(asyncio.to_thread(provider.shutdown))
            if not (await asyncio.wait([leaving], timeout=LAST_FLUSH))[0]:
                # Ends what is being sent, and its repetitions.
                shutdown()


class _Named:
    """Ids for the next span of this task."""

    def __init__(self) -> None:
        self.current: ContextVar[TraceContext | None] = ContextVar("named", default=None)

    @contextmanager
    def naming(self, trace: TraceContext) -> Iterator[None]:
        token = self.current.set(trace)
        try:
            yield
        finally:
            self.current.reset(token)
