"""Builds the router for the host."""

from typing import Final

from fastapi import APIRouter

from services.router import NAME
from services.router.api import rulesets, shadows, trials, usage
from services.router.handlers.backtests import Backtests
from services.router.handlers.deciding import Router
from services.router.handlers.shadows import Shadows
from services.router.store.rule_counts import writer_of
from shared.events.catalogue import MESSAGES
from shared.host import Runtime, Service
from shared.log.consumer import Consume

LARGEST_RULESET: Final = 8 * 1024 * 1024
"""Bytes of a request that keeps one; 10,000 rules are about 2 MB."""


def build(runtime: Runtime) -> Service:
    """One consumer and the routes."""
    deciding = Router(Shadows(writer_of(runtime.ids.new("rtr")), runtime.metrics))
    router = APIRouter()
    for part in (rulesets, shadows, trials, usage):
        router.include_router(part.router)
    return Service(
        name=NAME,
        router=router,
        body_limits={"/v1/rulesets": LARGEST_RULESET},
        consumes=[Consume(group=NAME, topics=(MESSAGES,), schema=NAME, handler=deciding.on_messages)],
        resources=[Backtests(runtime)],
    )
