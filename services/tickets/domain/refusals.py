"""Why an action on a ticket is refused, each with the facts that its caller needs."""

from shared.errors import Conflict, Forbidden


class TicketMerged(Conflict):
    """The ticket was merged into another one; `into` is where to go on."""

    code = "ticket-merged"
    title = "The ticket was merged into another one"


class AlreadyOwned(Conflict):
    """Somebody owns the ticket already; `owner` says who."""

    code = "already-owned"
    title = "Somebody else owns the ticket"


class OfferPending(Conflict):
    """The ticket is offered to somebody, who has until `expires_at` to answer."""

    code = "offer-pending"
    title = "The ticket is offered to somebody else"


class NotOffered(Conflict):
    """There is no offer to the caller that could be accepted or declined."""

    code = "not-offered"
    title = "The ticket is not offered to you"


class AtCapacity(Conflict):
    """The agent has as many tickets as it may have."""

    code = "at-capacity"
    title = "The agent has no capacity left"


class AgentAbsent(Conflict):
    """The agent is disabled, away, offline or off duty."""

    code = "agent-absent"
    title = "The agent is not available"


class WrongState(Conflict):
    """The ticket's state does not allow this."""

    code = "wrong-state"
    title = "The ticket's state does not allow this"


class AnotherOpen(Conflict):
    """The customer has another open ticket; `ticket` is its id."""

    code = "another-open"
    title = "The customer has another open ticket"


class QueueEmpty(Conflict):
    """There is nothing in the team's queue that the caller could take."""

    code = "queue-empty"
    title = "The queue is empty"


class NotYours(Forbidden):
    """The ticket belongs to somebody else, and the key may not supervise."""

    code = "not-yours"
    title = "The ticket belongs to somebody else"


class CustomerMerged(Conflict):
    """The customer was linked into another one; `into` is where to go on."""

    code = "customer-merged"
    title = "The customer was linked into another one"


class AtHome(Conflict):
    """The account was created with this customer: there is nowhere to return it to."""

    code = "at-home"
    title = "The account belongs to this customer"
