"""Builds the notifier for the host."""

from services.notifier import NAME
from services.notifier.api import router
from services.notifier.domain.event_types import TOPICS
from services.notifier.handlers.deliverer import Deliverer
from services.notifier.handlers.endpoints import Endpoints
from services.notifier.handlers.feed import TicketEvents
from services.notifier.handlers.following import Hub
from services.notifier.handlers.keeping import Keeping
from services.notifier.handlers.sender import Sender
from services.notifier.handlers.streaming import Streams
from services.notifier.settings import NotifierSettings
from shared.host import Runtime, Service
from shared.log.consumer import Consume


def build(runtime: Runtime) -> Service:
    """One consumer; loops that send replies, read the feed, push to endpoints and forget; and the routes."""
    settings = NotifierSettings.load()
    hub = Hub(runtime, settings)
    sender = Sender(runtime, settings)
    deliverer = Deliverer(runtime, settings, hub)
    events = TicketEvents(wake=sender.wake, offer=hub.offer)
    return Service(
        name=NAME,
        router=router,
        consumes=[Consume(group=NAME, topics=TOPICS, schema=NAME, handler=events.on_events, is_outward=True)],
        tasks={
            "replies": sender.run,
            "feed": hub.run,
            "deliveries": deliverer.run,
            "retention": Keeping(runtime, settings).run,
        },
        resources=[
            runtime,
            Streams(runtime, settings, hub),
            Endpoints(runtime, settings, wake=deliverer.wake),
        ],
    )
