"""Builds the router for the host."""

from services.router import NAME
from services.router.api import rulesets
from services.router.handlers.deciding import Router
from shared.events.catalogue import MESSAGES
from shared.host import Runtime, Service
from shared.log.consumer import Consume


def build(_: Runtime) -> Service:
    """One consumer and the routes."""
    deciding = Router()
    return Service(
        name=NAME,
        router=rulesets.router,
        consumes=[Consume(group=NAME, topics=(MESSAGES,), schema=NAME, handler=deciding.on_messages)],
    )
