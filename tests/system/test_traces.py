"""With a collector, one trace leads from a customer's message to the answer; without one, nothing is even loaded."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.callers import Api, connected
from tests.support.forks import Forks
from tests.support.page import connected_page
from tests.support.receiving import Receiver, receiving
from tests.support.system import System

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"


@pytest.fixture
def alone(tmp_path: Path, forks: Forks) -> Iterator[System]:
    """A system of the test's own."""
    system = System(tmp_path, forks)
    yield system
    system.end()


class Spans:
    """What a collector was sent."""

    def __init__(self, receiver: Receiver) -> None:
        self.services: set[str] = set()
        self.all: list[Span] = []
        for push in receiver.pushes:
            for resource in ExportTraceServiceRequest.FromString(push.raw).resource_spans:
                self.services |= {a.value.string_value for a in resource.resource.attributes if a.key == "service.name"}
                self.all += [span for scope in resource.scope_spans for span in scope.spans]

    def called(self, name: str, trace: str | None = None) -> list[Span]:
        """Those of this name, in one trace or in any."""
        return [span for span in self.all if span.name == name and trace in (None, span.trace_id.hex())]


@pytest.mark.slow
async def test_one_trace_leads_from_the_answer_of_an_agent_to_the_networks_api(alone: System):
    async with receiving() as collector:
        base = collector.url.rstrip("/")
        alone.start(OTEL_EXPORTER_OTLP_ENDPOINT=base, OTEL_BSP_SCHEDULE_DELAY="200")
        async with connected(alone) as http, connected_page(Api(http, alone.admin)) as page:
            alice = Api(http, alone.agents[0].key)
            _, _, ticket = await page.asked("Where is my secret parcel?")
            body = {"text": "It is on its way", "seen_seq": ticket["last_seq"]}
            path = f"/v1/tickets/{ticket['id']}/replies"
            queued = await alice.post(path, body, traceparent=f"00-{TRACE}-{CALLER}-01")
            assert queued.status_code == 202, queued.text
            assert (await alice.settled(queued.json()["id"]))["state"] == "sent"
            # Its echo may have told so before the notifier's own event has arrived.
            await page.quiet(ticket, calm=0.5)
            first = min(await page.admin.every("/v1/inbox", channel_id=page.id), key=lambda one: one["received_at"])
            refused = await http.get("/v1/tickets")
            assert refused.status_code == 401
        assert alone.stop() == 0

        spans = Spans(collector)
        assert spans.services == {"baton"}

        # The request is a step of its caller's trace, and the call to the network one of the request's.
        [request] = spans.called("POST /v1/tickets/{ticket_id}/replies")
        assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, CALLER)
        assert request.kind == Span.SPAN_KIND_SERVER
        [call] = spans.called("POST", TRACE)
        assert (call.parent_span_id, call.kind) == (request.span_id, Span.SPAN_KIND_CLIENT)

        # Batches are linked to the steps that wrote their events: into the log, and back.
        steps = {
            group: {link.span_id.hex() for span in spans.called(f"process {group}") for link in span.links}
            for group in ("router", "tickets", "notifier", "tickets-deliveries")
        }
        asked = first["id"].rpartition("_")[2]
        [begun] = spans.called("normalize", asked)
        assert not begun.parent_span_id
        assert all(begun.span_id.hex() in steps[group] for group in ("router", "tickets", "notifier"))
        assert all(request.span_id.hex() in steps[group] for group in ("notifier", "tickets-deliveries"))

        # The webhook is seen too, and nothing that anybody wrote is.
        assert spans.called("POST /webhooks/")
        assert all(span.kind == Span.SPAN_KIND_SERVER for span in spans.called("POST /webhooks/"))
        everything = b"".join(push.raw for push in collector.pushes)
        for secret in (b"parcel", b"on its way", alone.admin.encode(), alice.key.encode()):
            assert secret not in everything


@pytest.mark.slow
async def test_a_collector_that_is_away_holds_up_neither_answers_nor_the_end(alone: System):
    alone.start(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    async with connected(alone) as http:
        assert (await http.get("/v1/tickets", headers=Api(http, alone.admin).headers())).status_code == 200
    assert alone.stop() == 0


def _run(code: str, **environment: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=Path(__file__).parents[2], capture_output=True, check=False
    )
    assert ran.returncode == 0, ran.stderr.decode()
    return ran.stdout.decode().strip()


LOADED = """
import asyncio, sys
from services import assembly
from shared.telemetry.export import exporting
async def main():
    async with exporting() as spans:
        print(spans.is_on, any(name.startswith("opentelemetry.sdk") for name in sys.modules))
asyncio.run(main())
"""


def test_without_a_collector_the_sdk_is_not_loaded():
    assert _run(LOADED) == "False False"


def test_a_collector_without_the_extra_is_told_and_changes_nothing():
    missing = 'import sys; sys.modules["opentelemetry.sdk"] = None\n'
    said = _run(missing + LOADED, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9").splitlines()
    assert "traces_are_not_exported" in said[0]
    assert said[-1].startswith("False")
