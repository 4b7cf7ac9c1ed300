"""Trace context is parsed as the standard says, and travels with the task."""

import asyncio

import pytest

from shared.telemetry import traces

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
HEADER = f"00-{TRACE}-{SPAN}-01"


def test_a_header_survives_the_round_trip() -> None:
    trace = traces.parse(HEADER, "vendor=1")

    assert trace is not None
    assert (trace.trace_id, trace.span_id, trace.sampled, trace.state) == (TRACE, SPAN, True, "vendor=1")
    assert trace.traceparent == HEADER


@pytest.mark.parametrize(
    "header",
    [
        "",
        "garbage",
        HEADER.upper(),
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE[1:]}-{SPAN}-01",
    ],
)
def test_a_malformed_header_counts_as_absent(header: str) -> None:
    assert traces.parse(header) is None


def test_a_later_version_may_say_more() -> None:
    assert traces.parse(f"01-{TRACE}-{SPAN}-00-more") == traces.TraceContext(
        trace_id=TRACE, span_id=SPAN, sampled=False
    )


def test_a_child_stays_in_the_trace() -> None:
    parent = traces.parse(HEADER, "vendor=1")
    assert parent is not None
    child = parent.child(lambda size: b"\x01" * size)

    assert child == traces.TraceContext(trace_id=TRACE, span_id="01" * 8, sampled=True, state="vendor=1")


def test_an_id_of_zeroes_is_never_made() -> None:
    trace = traces.new(bytes)

    assert traces.parse(trace.traceparent) == trace


def test_the_current_step_is_restored_on_leaving() -> None:
    outer, inner = traces.new(), traces.new()
    with traces.entered(outer):
        with traces.entered(inner):
            assert traces.current() == inner
        with traces.entered(None):
            assert traces.current() is None
        assert traces.current() == outer
    assert traces.current() is None


async def test_tasks_do_not_see_each_others_steps() -> None:
    both_inside = asyncio.Barrier(2)

    async def step() -> bool:
        mine = traces.new()
        with traces.entered(mine):
            await both_inside.wait()
            return traces.current() == mine

    async with asyncio.TaskGroup() as group:
        first, second = group.create_task(step()), group.create_task(step())

    assert first.result()
    assert second.result()


def test_headers_carry_the_step_over() -> None:
    headers: dict[str, str] = {}
    trace = traces.parse(HEADER, "vendor=1")
    with traces.entered(trace):
        traces.inject(headers)

    assert headers == {"traceparent": HEADER, "tracestate": "vendor=1"}
    assert traces.extract(headers) == trace


def test_without_a_step_no_header_is_added() -> None:
    headers: dict[str, str] = {}
    traces.inject(headers)

    assert headers == {}
    assert traces.extract(headers) is None
