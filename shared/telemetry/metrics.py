"""Every metric by name, kind, labels and meaning, and the one registry object that holds their values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client import Metric as Family
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

CounterName = Literal[
    "baton_webhooks_total",
    "baton_inbox_deliveries_total",
    "baton_events_total",
    "baton_dead_letters_total",
    "baton_replies_total",
    "baton_moderations_total",
    "baton_collisions_total",
    "baton_rule_replies_total",
    "baton_lease_total",
    "baton_escalations_total",
    "baton_deliveries_total",
    "baton_http_requests_total",
    "baton_task_failures_total",
    "baton_kafka_client_lines_total",
    "baton_backtest_messages_total",
    "baton_shadow_failures_total",
    "baton_classified_texts_total",
    "baton_surges_total",
    "baton_plans_total",
]
GaugeName = Literal["baton_consumer_lag", "baton_parked_keys", "baton_stream_clients", "baton_event_loop_lag_seconds"]
HistogramName = Literal[
    "baton_webhook_seconds", "baton_consumer_batch_seconds", "baton_http_request_seconds", "baton_classifier_seconds"
]
MetricName = CounterName | GaugeName | HistogramName


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric says, and by what it is split."""

    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()


METRICS: Final[Mapping[MetricName, Metric]] = {
    "baton_webhooks_total": Metric("counter", "Webhook requests, by what became of them.", ("network", "outcome")),
    "baton_webhook_seconds": Metric("histogram", "From a webhook to our answer; one request in sixteen is measured."),
    "baton_inbox_deliveries_total": Metric("counter", "Raw deliveries, by the state they reached.", ("state",)),
    "baton_events_total": Metric("counter", "Events written to the log.", ("type",)),
    "baton_consumer_lag": Metric("gauge", "Events that a group has not handled yet.", ("group",)),
    "baton_consumer_batch_seconds": Metric("histogram", "How long a group takes for one batch.", ("group",)),
    "baton_dead_letters_total": Metric("counter", "Events that a group gave up on.", ("group",)),
    "baton_parked_keys": Metric("gauge", "Keys that wait behind an event that fails.", ("group",)),
    "baton_replies_total": Metric("counter", "Replies, by the state they reached.", ("state",)),
    "baton_moderations_total": Metric("counter", "Operations on items of networks, by outcome.", ("outcome",)),
    "baton_collisions_total": Metric(
        "counter", "Second answers: prevented, overridden, happened; by what stood in the way.", ("outcome", "kind")
    ),
    "baton_rule_replies_total": Metric(
        "counter", "What rules said by themselves: queued, refused, or why it was withheld.", ("outcome",)
    ),
    "baton_lease_total": Metric("counter", "Attempts to take or keep a lease, by outcome.", ("outcome",)),
    "baton_escalations_total": Metric("counter", "Tickets that were escalated, by why.", ("reason",)),
    "baton_deliveries_total": Metric("counter", "Pushes to endpoints and staff channels, by outcome.", ("outcome",)),
    "baton_http_requests_total": Metric("counter", "API requests.", ("route", "method", "status")),
    "baton_http_request_seconds": Metric("histogram", "From an API request to its answer.", ("route",)),
    "baton_stream_clients": Metric("gauge", "Clients on the live stream."),
    "baton_event_loop_lag_seconds": Metric("gauge", "How late the event loop woke when it was last looked at."),
    "baton_task_failures_total": Metric("counter", "Failures of background tasks, which start again.", ("task",)),
    "baton_backtest_messages_total": Metric("counter", "Messages of the past that backtests looked at."),
    "baton_shadow_failures_total": Metric("counter", "Candidates that could not decide beside the version in force."),
    "baton_classified_texts_total": Metric(
        "counter",
        "Texts that rules wanted classified: answered, remembered, late, failed, or resting (not asked).",
        ("outcome",),
    ),
    "baton_classifier_seconds": Metric("histogram", "How long one question to the classifier took, answered or not."),
    "baton_surges_total": Metric(
        "counter", "Surges: began, or ended by calm, lasting (it is usual now), person or policy.", ("change",)
    ),
    "baton_plans_total": Metric("counter", "Plans whose instant came: done, or failed.", ("outcome",)),
    "baton_kafka_client_lines_total": Metric(
        "counter", "Lines that the Kafka client logged; the log shows each kind once in 30 s.", ("level",)
    ),
}

_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_Collector = Counter | Gauge | Histogram


class Metrics:
    """The metrics of one process. Asking for one costs a look-up, so callers need not keep what they get."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._families: dict[str, _Collector] = {name: self._register(name) for name in METRICS}
        self._children: dict[tuple[Any, ...], Any] = {}

    def counter(self, name: CounterName, **labels: str) -> Counter:
        """What only grows."""
        child: Counter = self._child(name, labels)
        return child

    def gauge(self, name: GaugeName, **labels: str) -> Gauge:
        """What goes up and down."""
        child: Gauge = self._child(name, labels)
        return child

    def histogram(self, name: HistogramName, **labels: str) -> Histogram:
        """How long something takes, in seconds."""
        child: Histogram = self._child(name, labels)
        return child

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """All values in the form that the scraper accepts, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(_WithoutBirthdays(self._registry)), content_type

    def _child(self, name: MetricName, labels: dict[str, str]) -> Any:
        key = (name, *labels.items())
        child = self._children.get(key)
        if child is None:
            family = self._families[name]
            child = self._children[key] = family.labels(**labels) if labels or METRICS[name].labels else family
        return child

    def _register(self, name: MetricName) -> _Collector:
        metric = METRICS[name]
        match metric.kind:
            case "counter":
                return Counter(name, metric.meaning, metric.labels, registry=self._registry)
            case "gauge":
                return Gauge(name, metric.meaning, metric.labels, registry=self._registry)
            case "histogram":
                return Histogram(name, metric.meaning, metric.labels, registry=self._registry, buckets=_BUCKETS)


class _WithoutBirthdays(Collector):
    """Leaves out the client's `_created` samples, which double the series and which nothing here reads."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Family]:
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family


def reference() -> str:
    """The metrics as a markdown page."""
    rows = [
        f"| `{name}` | {metric.kind} | {', '.join(f'`{label}`' for label in metric.labels)} | {metric.meaning} |"
        for name, metric in METRICS.items()
    ]
    return "\n".join(
        [
            "# Metrics",
            "",
            "Served at `/metrics`, beside the `process_*` and `python_info` metrics of the runtime.",
            "",
            "| name | kind | labels | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )
