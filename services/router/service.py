"""Builds the router for the host."""

from services.router import NAME
from services.router.api import router
from services.router.handlers import Router
from shared.events.catalogue import MESSAGES
from shared.host import Runtime, Service
from shared.log.consumer import Consume


def build(_: Runtime) -> Service:
    """One consumer and the routes."""
    deciding = Router()
    return Service(
        name=NAME,
        router=router,
        consumes=[Consume(group=NAME, topics=(MESSAGES,), schema=NAME, handler=deciding.on_messages)],
    )
