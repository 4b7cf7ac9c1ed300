"""One push to an endpoint, through the egress made for many."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from services.notifier.domain import webhooks
from services.notifier.domain.webhooks import NO_ANSWER, Verdict
from shared.egress import Egress, EgressRefused, NotSent, OutcomeUnknown

ANSWER_LIMIT: Final = 4 * 1024
"""Bytes of an answer that are read."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What one push came to, as the log shows it."""

    verdict: Verdict
    milliseconds: float
    status: int | None = None
    answer: str = ""
    error: str | None = None

    def log(self, at: datetime) -> Mapping[str, object]:
        """The entry of the delivery's log."""
        return {
            "at": at.isoformat(),
            "status": self.status,
            "ms": round(self.milliseconds, 1),
            "answer": self.answer,
            "error": self.error,
        }


async def push(
    egress: Egress, url: str, *, message_id: str, body: bytes, keys: Sequence[bytes], at: datetime, within: timedelta
) -> Attempt:
    """Signs and sends; whatever happens is an attempt."""
    headers = webhooks.headers(message_id, body, at=at, keys=keys)
    started = time.perf_counter()
    try:
        response = await egress.deliver(
            "POST", url, headers=headers, body=body, timeout=within, body_limit=ANSWER_LIMIT
        )
    except (EgressRefused, NotSent, OutcomeUnknown) as error:
        return Attempt(verdict=NO_ANSWER, milliseconds=(time.perf_counter() - started) * 1000, error=str(error))
    return Attempt(
        verdict=webhooks.judge(response.status, response.headers),
        milliseconds=(time.perf_counter() - started) * 1000,
        status=response.status,
        answer=webhooks.shown(response.body),
    )
