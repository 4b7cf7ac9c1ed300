"""Texts that rules want classified: asked before the batch's transaction, and never waited for beyond a deadline."""

import asyncio
import hashlib
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from math import inf

import structlog

from services.router.adapters import classifier
from services.router.domain.classified import LONGEST, Classified, Late, Outcome, Unusable, Values, afterwards
from services.router.settings import RouterSettings
from shared.egress import EgressRefused
from shared.errors import Misconfigured
from shared.host import Runtime
from shared.log.consumer import Beforehand


class Classifier:
    """What one process knows from the classifier, by text, and whether it may be asked at the moment."""

    def __init__(self, runtime: Runtime, settings: RouterSettings, url: str) -> None:
        try:
            runtime.egress.check_url(url)
        except EgressRefused as error:
            raise Misconfigured(f"BATON_CLASSIFIER_URL cannot be called: {error}") from error
        self._runtime = runtime
        self._settings = settings
        self._url = url
        self._token = settings.classifier_token.get_secret_value() if settings.classifier_token else None
        self._within = timedelta(milliseconds=settings.classifier_timeout_ms)
        self._known: OrderedDict[bytes, tuple[Classified, float]] = OrderedDict()
        """What the next message with this text gets, and until when."""
        self._failures = 0
        self._resting_until = -inf

    def classify(self, texts: Mapping[str, str]) -> dict[str, Classified]:
        """What is known about each text, by the caller's id. Raises Beforehand where something has to be asked first.

        Called again after that, it gives what came of it: an answer, or that there was none in time.
        """
        keys = {id_: _key(text) for id_, text in texts.items()}
        now = self._runtime.clock.elapsed()
        found = {key: self._look(key, now) for key in keys.values()}
        if missing := {key: texts[id_][:LONGEST] for id_, key in keys.items() if found[key] is None}:
            raise Beforehand(lambda: self._ask(missing))
        given = {id_: one for id_, key in keys.items() if (one := found[key]) is not None}
        for key, one in found.items():
            if one is not None and key in self._known:
                self._known[key] = (afterwards(one), self._known[key][1])
        for outcome, count in Counter(one.outcome for one in given.values()).items():
            self._runtime.metrics.counter("baton_classified_texts_total", outcome=outcome).inc(count)
        return given

    def _look(self, key: bytes, now: float) -> Classified | None:
        known, until = self._known.get(key, (None, -inf))
        if known is not None and now < until:
            self._known.move_to_end(key)
            return known
        return Classified(outcome="resting") if now < self._resting_until else None

    async def _ask(self, missing: Mapping[bytes, str]) -> None:
        keys, size = list(missing), self._settings.classifier_batch
        async with asyncio.TaskGroup() as group:
            for start in range(0, len(keys), size):
                group.create_task(self._ask_some({key: missing[key] for key in keys[start : start + size]}))

    async def _ask_some(self, texts: Mapping[bytes, str]) -> None:
        clock, started = self._runtime.clock, self._runtime.clock.elapsed()
        answers: Sequence[Values] = ()
        outcome: Outcome = "answered"
        try:
            answers = await classifier.ask(
                self._runtime.egress, self._url, list(texts.values()), token=self._token, within=self._within
            )
        except Unusable as error:
            outcome = "late" if isinstance(error, Late) else "failed"
            structlog.get_logger().warning("classifier_failed", texts=len(texts), reason=str(error))
        except Exception as error:  # noqa: BLE001 - what is asked beside must not stop what has to be decided
            outcome = "failed"
            structlog.get_logger().error("classifier_failed", texts=len(texts), exc_info=error)
        ended = clock.elapsed()
        seconds = ended - started
        self._runtime.metrics.histogram("baton_classifier_seconds").observe(seconds)
        milliseconds = round(seconds * 1000, 1)
        if outcome == "answered":
            self._failures, self._resting_until = 0, -inf
            given = [Classified(outcome=outcome, milliseconds=milliseconds, **one) for one in answers]
            self._keep(dict(zip(texts, given, strict=True)), until=inf)
            return
        until = ended + self._settings.classifier_rest_ms / 1000
        self._failures += 1
        if self._failures >= self._settings.classifier_failures:
            self._resting_until = until
        self._keep(dict.fromkeys(texts, Classified(outcome=outcome, milliseconds=milliseconds)), until=until)

    def _keep(self, given: Mapping[bytes, Classified], *, until: float) -> None:
        for key, one in given.items():
            self._known[key] = (one, until)
            self._known.move_to_end(key)
        while len(self._known) > self._settings.classifier_cache:
            self._known.popitem(last=False)


def _key(text: str) -> bytes:
    return hashlib.sha256(text[:LONGEST].encode("utf-8", "surrogatepass")).digest()
