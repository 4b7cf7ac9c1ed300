"""Ticket events as tickets would publish them, with only the fields that a test names."""

from datetime import UTC, datetime
from typing import Any

from shared import ids
from shared.events import envelope
from shared.events.customers import CustomerChanged, CustomerView
from shared.events.payload import SYSTEM
from shared.events.tickets import Account, CustomerRef, TicketCreated, TicketEvent, TicketView
from tests.support.messages import message

AT = datetime(2026, 11, 22, 9, 5, tzinfo=UTC)


def account(external_id: str, *, network: str = "facebook", scope: str = "chn_1") -> Account:
    """A customer's account."""
    return Account(network=network, external_id=external_id, scope=scope)


def view(version: int, **changes: Any) -> TicketView:
    """A ticket of the community team that nobody owns."""
    fields: dict[str, Any] = {
        "id": "tkt_1",
        "state": "open",
        "team": "community",
        "owner": None,
        "priority": "normal",
        "customer": CustomerRef(id="cus_1"),
        "last_seq": version,
        "version": version,
    }
    return TicketView(**(fields | changes))


def told(kind: type[TicketEvent], version: int, *, workspace: str = "wsp_1", **fields: Any) -> TicketEvent:
    """One event; what the ticket itself is like comes as `ticket`."""
    ticket = view(version, **fields.pop("ticket", {}))
    at = fields.pop("at", AT)
    return kind(workspace_id=workspace, ticket=ticket, actor=SYSTEM, at=at, **fields)


def created(author: str = "c1", *, workspace: str = "wsp_1", **fields: Any) -> TicketEvent:
    """A ticket that a message of this author opened."""
    said = message(f"of-{author}", workspace=workspace, author=author)
    return told(TicketCreated, 1, workspace=workspace, message=said, **fields)


def customer(version: int, *, workspace: str = "wsp_1", **fields: Any) -> CustomerChanged:
    """A change of a customer, `cus_1` unless the test says otherwise."""
    view = CustomerView(**({"id": "cus_1", "version": version} | fields))
    return CustomerChanged(workspace_id=workspace, customer=view, actor=SYSTEM, at=AT)


def event(data: TicketEvent | CustomerChanged) -> envelope.Event:
    """The payload in its envelope."""
    if isinstance(data, CustomerChanged):
        id_ = ids.digest("evt", data.customer.id, str(data.customer.version))
        return envelope.new(data, event_id=id_, key=data.customer.id, time=data.at)
    id_ = ids.digest("evt", type(data).__name__, data.ticket.id, str(data.ticket.version))
    return envelope.new(data, event_id=id_, key=data.ticket.id, time=data.at)
