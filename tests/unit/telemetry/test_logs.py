"""Log lines are JSON with their trace, and never show a secret or a customer's words."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from shared.telemetry import logs, traces

CANARY = "canary-9c1e-0123456789abcdef"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    logs.configure(level="debug", stream=written)
    yield written
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def _fail(hidden: str) -> None:
    raise ConnectionError(f"postgresql://baton:{hidden}@db/baton")


def test_a_line_is_json_with_level_time_trace_and_what_is_bound(stream: io.StringIO) -> None:
    trace = traces.new()
    with traces.entered(trace), logs.bound(workspace_id="wsp_1"):
        structlog.get_logger().warning("ticket_parked", ticket_id="tkt_1")

    (line,) = _lines(stream)
    assert line["event"] == "ticket_parked"
    assert line["level"] == "warning"
    assert line["timestamp"].endswith("Z")
    assert line["trace_id"] == trace.trace_id
    assert (line["workspace_id"], line["ticket_id"]) == ("wsp_1", "tkt_1")


def test_the_standard_library_speaks_the_same_way(stream: io.StringIO) -> None:
    logging.getLogger("aiokafka").warning("lost %s", "broker-1")

    (line,) = _lines(stream)
    assert (line["event"], line["logger"], line["level"]) == ("lost broker-1", "aiokafka", "warning")


def test_lines_below_the_level_are_dropped(stream: io.StringIO) -> None:
    logs.configure(level="warning", stream=stream)
    structlog.get_logger().info("quiet")
    logging.getLogger("any").info("quiet")

    assert _lines(stream) == []


def test_request_lines_of_http_clients_stay_out(stream: io.StringIO) -> None:
    logging.getLogger("httpx").info("HTTP Request: GET https://example.com/?access_token=%s", CANARY)

    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    "name",
    [
        "text",
        "customerText",
        "body",
        "raw_body",
        "token",
        "access_token",
        "pageAccessTokens",
        "Authorization",
        "set-cookie",
        "X-Api-Key",
        "api_key",
        "app_secret",
        "webhook_secrets",
        "password",
        "x-hub-signature-256",
        "database_url",
        "sealing_keys",
        "credentials",
    ],
)
@pytest.mark.parametrize(
    "value", [CANARY, {"a": CANARY}, [CANARY], CANARY.encode()], ids=["text", "object", "list", "bytes"]
)
def test_what_is_kept_under_a_telling_name_is_redacted(stream: io.StringIO, name: str, value: object) -> None:
    structlog.get_logger().info("stored", **{name: value}, nested={"deeper": [{name: value}]})

    assert CANARY not in stream.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://baton:{CANARY}@db/baton refused",
        f"GET https://graph.example.com/me?fields=id&access_token={CANARY}&x=1",
        f"POST https://api.example.org/bot123456:{CANARY}/sendMessage",
        f"Authorization: Bearer {CANARY}",
        f"headers={{'authorization': 'Bearer {CANARY}'}}",
        f"sent with bearer {CANARY}",
        f'{{"app_secret": "{CANARY}"}}',
        f"whsec_{CANARY}",
        f"baton_live_key1_{CANARY}",
    ],
)
def test_what_looks_like_a_secret_inside_text_is_redacted(stream: io.StringIO, text: str) -> None:
    structlog.get_logger().info("failed", reason=text)
    structlog.get_logger().info(text)
    logging.getLogger("any").error(text)

    assert CANARY not in stream.getvalue()
    assert len(_lines(stream)) == 3


def test_a_traceback_shows_neither_secrets_nor_local_variables(stream: io.StringIO) -> None:
    try:
        _fail(CANARY)
    except ConnectionError:
        structlog.get_logger().exception("failed")
        logging.getLogger("any").exception("failed")

    assert [line["exception"].startswith("Traceback") for line in _lines(stream)] == [True, True]
    assert CANARY not in stream.getvalue()


def test_raw_bytes_and_foreign_objects_are_not_shown(stream: io.StringIO) -> None:
    structlog.get_logger().info("odd", payload=CANARY.encode(), thing=ValueError(f"token={CANARY}"))

    assert CANARY not in stream.getvalue()


@pytest.mark.parametrize("name", ["context", "partition_key", "key", "ticket_id", "textile"])
def test_other_names_keep_their_values(stream: io.StringIO, name: str) -> None:
    structlog.get_logger().info("seen", **{name: "value", "count": 3})

    (line,) = _lines(stream)
    assert (line[name], line["count"]) == ("value", 3)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("run", ["a" * 100_000, "a-" * 50_000, "://" * 30_000, "token " * 20_000, "/bot1" * 20_000])
def test_long_lines_are_cleaned_within_the_time_limit_of_a_test(run: str) -> None:
    # A pattern that backtracks takes hours on these.
    assert logs.redact(None, "info", {"event": run})["event"]


def test_on_a_terminal_lines_are_for_people() -> None:
    written = io.StringIO()
    logs.configure(form="console", stream=written)
    try:
        structlog.get_logger().info("started", token=CANARY, port=8123)
    finally:
        structlog.reset_defaults()
        logging.getLogger().handlers.clear()

    assert "started" in written.getvalue()
    assert "8123" in written.getvalue()
    assert CANARY not in written.getvalue()
