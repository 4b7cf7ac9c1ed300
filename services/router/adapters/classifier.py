"""One question to the classifier, over HTTP, through the one way out."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from services.router.domain import classified
from services.router.domain.classified import Late, Unusable, Values
from shared.egress import Egress, EgressRefused, NotSent, OutcomeUnknown

ANSWER_LIMIT: Final = 1024 * 1024
"""Bytes of an answer that are read."""


async def ask(egress: Egress, url: str, texts: Sequence[str], *, token: str | None, within: timedelta) -> list[Values]:
    """What it says about each text, never later than `within`; Unusable where it says nothing that can be used."""
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
    body = classified.question(texts)
    try:
        async with asyncio.timeout(within.total_seconds()):
            # It changes nothing there, so that a kept connection may be used.
            response = await egress.deliver(
                "POST", url, headers=headers, body=body, timeout=within * 2, body_limit=ANSWER_LIMIT
            )
    except TimeoutError as error:
        raise Late("no answer in time") from error
    except (EgressRefused, NotSent, OutcomeUnknown) as error:
        raise Unusable(str(error)) from error
    if response.status != 200:
        raise Unusable(f"status {response.status}")
    if response.truncated:
        raise Unusable("the answer is too long")
    return classified.read(response.body, count=len(texts))
