"""Metrics are declared once, cheap to use, and kept in an object of their own."""

from typing import get_args

import pytest

from shared.telemetry.metrics import METRICS, CounterName, GaugeName, HistogramName, Metrics, reference


def _lines(metrics: Metrics) -> list[str]:
    return metrics.exposition()[0].decode().splitlines()


def test_values_appear_under_their_names_and_labels() -> None:
    metrics = Metrics()
    metrics.counter("baton_webhooks_total", network="telegram", outcome="accepted").inc()
    metrics.counter("baton_webhooks_total", network="telegram", outcome="accepted").inc(2)
    metrics.gauge("baton_stream_clients").set(4)
    metrics.histogram("baton_webhook_seconds").observe(0.003)
    lines = _lines(metrics)

    assert 'baton_webhooks_total{network="telegram",outcome="accepted"} 3.0' in lines
    assert "baton_stream_clients 4.0" in lines
    assert 'baton_webhook_seconds_bucket{le="0.005"} 1.0' in lines


def test_two_processes_worth_of_metrics_do_not_mix() -> None:
    one, two = Metrics(), Metrics()
    one.gauge("baton_stream_clients").set(1)

    assert "baton_stream_clients 0.0" in _lines(two)


def test_the_same_labels_give_the_same_child() -> None:
    metrics = Metrics()

    assert metrics.counter("baton_events_total", type="a") is metrics.counter("baton_events_total", type="a")


def test_wrong_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="label"):
        Metrics().counter("baton_webhooks_total", network="telegram")
    with pytest.raises(ValueError, match="label"):
        Metrics().counter("baton_webhooks_total")


def test_every_declared_name_has_the_kind_that_its_type_says() -> None:
    by_kind = {"counter": CounterName, "gauge": GaugeName, "histogram": HistogramName}

    assert {name: metric.kind for name, metric in METRICS.items()} == {
        name: kind for kind, names in by_kind.items() for name in get_args(names)
    }


def test_creation_stamps_are_left_out_and_the_process_is_in() -> None:
    metrics = Metrics()
    metrics.counter("baton_events_total", type="a").inc()
    text = metrics.exposition()[0].decode()

    assert "baton_webhook_seconds_created" not in text
    assert "baton_events_total_created" not in text
    assert "process_resident_memory_bytes" in text


@pytest.mark.parametrize(
    ("accept", "content_type"), [("", "text/plain"), ("application/openmetrics-text", "application/openmetrics-text")]
)
def test_the_scraper_gets_the_form_it_accepts(accept: str, content_type: str) -> None:
    assert Metrics().exposition(accept)[1].startswith(content_type)


def test_the_reference_names_every_metric() -> None:
    page = reference()

    assert all(f"| `{name}` | {metric.kind} |" in page for name, metric in METRICS.items())
