"""Builds tickets for the host."""

from functools import partial
from typing import Final

from fastapi import APIRouter

from services.tickets import NAME
from services.tickets.api import (
    acting,
    bulk,
    collision,
    customers,
    duties,
    keys,
    lease,
    moderation,
    plans,
    reply,
    staff,
    structures,
    tickets,
    views,
)
from services.tickets.handlers import ticks
from services.tickets.handlers.administration import Environment
from services.tickets.handlers.deliveries import on_delivery
from services.tickets.handlers.indexing import Indexing
from services.tickets.handlers.lease import Heart
from services.tickets.handlers.ledger import Desk
from services.tickets.handlers.routed import on_routed
from services.tickets.settings import TicketsSettings
from shared.db.timers import Timers
from shared.events.catalogue import DELIVERIES, ROUTING
from shared.host import Runtime, Service
from shared.log.consumer import Consume

DELIVERIES_GROUP: Final = f"{NAME}-deliveries"
"""A group of its own: what became of a reply does not wait behind a burst of messages."""


def build(runtime: Runtime) -> Service:
    """Two consumers, the timers, the index of words, and the routes."""
    settings = TicketsSettings.load()
    desk = Desk(ids=runtime.ids, metrics=runtime.metrics)
    timers = Timers(runtime.database, NAME, ticks.handlers(desk), lock=ticks.lock)
    router = APIRouter()
    for part in (
        bulk,
        tickets,
        acting,
        lease,
        reply,
        moderation,
        collision,
        customers,
        staff,
        duties,
        # Before structures, whose path would take theirs.
        plans,
        structures,
        keys,
        views,
    ):
        router.include_router(part.router)
    return Service(
        name=NAME,
        router=router,
        consumes=[
            Consume(
                group=NAME,
                topics=(ROUTING,),
                schema=NAME,
                handler=partial(on_routed, desk=desk),
                members=settings.tickets_members,
                max_records=settings.tickets_batch,
            ),
            Consume(group=DELIVERIES_GROUP, topics=(DELIVERIES,), schema=NAME, handler=partial(on_delivery, desk=desk)),
        ],
        tasks={"timers": timers.run, "indexing": Indexing(runtime.database).run},
        resources=[desk, Heart(runtime.database, desk), Environment(settings.key_environment)],
    )
