"""The Kafka client's own log lines: counted, and told once in a while instead of a hundred times a second."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from shared.telemetry.metrics import Metrics

AGAIN_AFTER: Final = 30.0
"""Seconds after which the same line is told again, with how often it was not told meanwhile."""

_MOST: Final = 200


class Noise(logging.Handler):
    """While a broker is away the client tries, and says so, about a hundred times a second."""

    def __init__(self, metrics: Metrics) -> None:
        super().__init__(logging.INFO)
        self._metrics = metrics
        self._told: dict[tuple[str, int], tuple[float, int]] = {}

    @contextmanager
    def caught(self, logger: logging.Logger) -> Iterator[None]:
        """Takes the place of the handlers that this logger's lines would reach."""
        before = logger.propagate
        logger.propagate = False
        logger.addHandler(self)
        try:
            yield
        finally:
            logger.removeHandler(self)
            logger.propagate = before

    def emit(self, record: logging.LogRecord) -> None:
        """Counts a line; tells it if its place in the client's code has been silent for a while."""
        level = record.levelname.lower()
        self._metrics.counter("baton_kafka_client_lines_total", level=level).inc()
        if record.levelno < logging.WARNING:
            return
        place = (record.name, record.lineno)
        told_at, kept_back = self._told.get(place, (float("-inf"), 0))
        if record.created - told_at < AGAIN_AFTER:
            self._told[place] = (told_at, kept_back + 1)
            return
        if len(self._told) >= _MOST:
            self._told.clear()
        self._told[place] = (record.created, 0)
        structlog.get_logger().warning(
            "kafka_client", said=record.getMessage(), by=record.name, level=level, kept_back=kept_back
        )
