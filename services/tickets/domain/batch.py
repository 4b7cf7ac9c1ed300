"""How a batch of routed messages is cut: answers of the network's own app keep their place among the customer's."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from shared.events.envelope import Event
from shared.events.routing import MessageRouted


@dataclass(slots=True)
class Phase:
    """Events that can be applied together; within one conversation every phase comes after the one before."""

    outbound: bool
    events: list[Event] = field(default_factory=list)


def phases(events: Iterable[Event]) -> list[Phase]:
    """The batch in as few phases as its conversations allow: two where nobody answered twice."""
    cut: list[Phase] = []
    reached: dict[str, int] = {}
    for event in events:
        outbound = is_outbound(event)
        number = reached.get(event.key, 0)
        while number < len(cut) and cut[number].outbound != outbound:
            number += 1
        if number == len(cut):
            cut.append(Phase(outbound))
        cut[number].events.append(event)
        reached[event.key] = number
    return cut


def is_outbound(event: Event) -> bool:
    """Whether it is about what was written for the brand: an echo, an answer in the network's own app, a failure."""
    data = event.data
    if not isinstance(data, MessageRouted) or data.message.direction != "out":
        return False
    return data.verb in {"received", "undelivered"}
