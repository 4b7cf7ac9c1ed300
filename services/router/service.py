"""Builds the router for the host."""

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


def build(runtime: Runtime) -> Service:
    """One consumer and the routes."""
    deciding = Router(Shadows(writer_of(runtime.ids.new("rtr")), runtime.metrics))
    router = APIRouter()
    for part in (rulesets, shadows, trials, usage):
        router.include_router(part.router)
    return Service(
        name=NAME,
        router=router,
        consumes=[Consume(group=NAME, topics=(MESSAGES,), schema=NAME, handler=deciding.on_messages)],
        resources=[Backtests(runtime)],
    )
