"""Rulesets made ready to decide, without holding up whoever else this process serves."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

from services.router.domain import rules
from services.router.domain.compile import Ruleset, compile_rules

T = TypeVar("T")

LARGE: Final = 500
"""Rules; what has more goes to a thread: ten thousand take most of a second."""


async def compiled(document: Any) -> Ruleset:
    """A version, compiled; raises what its parsing and compiling raise."""
    return await aside(document, lambda: compile_rules(rules.parse(document)))


async def aside(document: Any, work: Callable[[], T]) -> T:
    """What takes the longer the more rules there are, beside everything else where there are many."""
    found = document.get("rules") if isinstance(document, dict) else None
    if isinstance(found, list) and len(found) > LARGE:
        return await asyncio.to_thread(work)
    return work()
