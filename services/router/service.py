"""Builds the router for the host."""

from datetime import timedelta
from typing import Final

from fastapi import APIRouter

from services.router import NAME
from services.router.api import plans, rulesets, shadows, structures, surge_policies, surges, trials, usage
from services.router.handlers import duplicates
from services.router.handlers.backtests import Backtests
from services.router.handlers.classifying import Classifier
from services.router.handlers.deciding import Router
from services.router.handlers.following import Forgetting
from services.router.handlers.gathering import Untold
from services.router.handlers.plans import carry_out
from services.router.handlers.remembered import Versions
from services.router.handlers.shadows import Shadows
from services.router.handlers.surging import LOOK_TIMER, Surges
from services.router.handlers.triggering import Triggers
from services.router.settings import RouterSettings
from services.router.store import rounds, sayings, silences
from services.router.store.rule_counts import writer_of
from shared.db.plans import KIND as PLAN_TIMER
from shared.db.plans import effect
from shared.db.plans import lock as lock_plan
from shared.db.timers import Timer, Timers
from shared.db.transaction import Transaction
from shared.events.catalogue import MESSAGES, TICKETS
from shared.host import Runtime, Service
from shared.log.consumer import Consume

TICKETS_GROUP: Final = f"{NAME}-tickets"
"""A group of its own: no message waits behind what is told of tickets."""

TICKETS_REST: Final = timedelta(milliseconds=100)
"""Rules may know a ticket that much later; a transaction for each of its events would cost as much as deciding."""

LARGEST_RULESET: Final = 8 * 1024 * 1024
"""Bytes of a request that keeps one; 10,000 rules are about 2 MB."""


def build(runtime: Runtime) -> Service:
    """Two consumers, the timers, what forgets, and the routes."""
    settings = RouterSettings.load()
    classifier = Classifier(runtime, settings, settings.classifier_url) if settings.classifier_url else None
    versions, writer = Versions(), writer_of(runtime.ids.new("rtr"))
    deciding = Router(Shadows(writer, runtime.metrics), classifier=classifier, versions=versions)
    triggers = Triggers(versions, writer=writer)
    # An event that the log still holds may come again: the ticket's version is what tells that it was there before.
    closed_for = timedelta(days=runtime.settings.log_retention_days + 1)
    forgetting = Forgetting(runtime.database, closed_for=closed_for)
    surging = Surges(runtime.ids, runtime.metrics)
    effects = {
        silences.KIND: triggers.on_silence,
        rounds.KIND: triggers.on_round,
        LOOK_TIMER: surging.on_timer,
        sayings.KIND: duplicates.on_timer,
        PLAN_TIMER: effect(carry_out, ids=runtime.ids, metrics=runtime.metrics),
    }

    async def lock(tx: Transaction, timer: Timer) -> None:
        await surging.lock(tx, timer)
        await lock_plan(tx, timer)

    router = APIRouter()
    # Plans stand before versions, whose path would take theirs.
    for part in (plans, rulesets, structures, shadows, surge_policies, surges, trials, usage):
        router.include_router(part.router)
    return Service(
        name=NAME,
        router=router,
        body_limits={"/v1/rulesets": LARGEST_RULESET},
        consumes=[
            Consume(group=NAME, topics=(MESSAGES,), schema=NAME, handler=deciding.on_messages),
            Consume(
                group=TICKETS_GROUP, topics=(TICKETS,), schema=NAME, handler=triggers.on_tickets, rest=TICKETS_REST
            ),
        ],
        tasks={
            "retention": forgetting.run,
            "timers": Timers(runtime.database, NAME, effects, lock=lock).run,
        },
        resources=[
            Backtests(runtime),
            surging,
            Untold(frozenset() if classifier else frozenset({"sentiment", "urgency"})),
        ],
    )
