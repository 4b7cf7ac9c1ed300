"""`/v1/tickets`: lists, one ticket, its timeline and assignments."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel
from starlette.responses import Response

from services.tickets.api.lease import Reader
from services.tickets.api.shapes import AssignmentView, Id, LineView, ListedTicketView, WholeTicketView
from services.tickets.domain.ticket import ACTIVE, RANK_OF
from services.tickets.handlers import reading
from services.tickets.store import listing, timeline
from services.tickets.store.listing import Filter, Sort
from shared.errors import Forbidden
from shared.events.routing import Priority
from shared.web.auth import Principal
from shared.web.calls import etag
from shared.web.pages import Page, Paged
from shared.web.problems import problems

State = Literal["open", "pending", "snoozed", "resolved", "merged", "active", "any"]

_STATES: Final[dict[str, frozenset[str]]] = {
    "active": ACTIVE,
    "any": ACTIVE | {"resolved"},
    **{name: frozenset({name}) for name in ("open", "pending", "snoozed", "resolved", "merged")},
}
_NEVER: Final = 2**62

router = APIRouter(tags=["tickets"])


class Wanted(BaseModel):
    """What a caller filters by."""

    team: str | None
    owner: str | None
    states: frozenset[str]
    rank: int | None
    tags: tuple[str, ...]
    network: str | None
    customer: str | None
    words: str | None

    def filter(self, principal: Principal) -> Filter:
        """With the tickets that the caller may see."""
        fields = self.model_dump()
        if self.owner == "me":
            if principal.agent_id is None:
                raise Forbidden("`owner=me` needs a key that belongs to an agent")
            fields["owner"] = principal.agent_id
        return Filter(
            workspace_id=principal.workspace_id,
            visible_teams=principal.teams,
            visible_owner=principal.agent_id,
            **fields,
        )


async def _wanted(
    *,
    team: Annotated[str | None, Query(max_length=63)] = None,
    owner: Annotated[str | None, Query(max_length=128, description="An agent's id, `me`, or `none`")] = None,
    state: Annotated[list[State] | None, Query(description="`active` when left out")] = None,
    priority: Priority | None = None,
    tag: Annotated[list[str] | None, Query(max_length=5, description="All of these")] = None,
    network: Annotated[str | None, Query(max_length=64)] = None,
    customer: Annotated[str | None, Query(max_length=128)] = None,
    q: Annotated[
        str | None,
        Query(
            min_length=2,
            max_length=200,
            description="Part of a message's text or a customer's name; words that very many messages have are looked "
            "for in the next 2,500 tickets that the other filters leave",
        ),
    ] = None,
) -> Wanted:
    return Wanted(
        team=team,
        owner=owner,
        states=frozenset().union(*(_STATES[name] for name in state or ("active",))),
        rank=None if priority is None else RANK_OF[priority],
        tags=tuple(tag or ()),
        network=network,
        customer=customer,
        words=q,
    )


Filtered = Annotated[Wanted, Depends(_wanted)]


@router.get(
    "/v1/tickets",
    operation_id="listTickets",
    response_model=Paged[ListedTicketView],
    responses=problems(400, 403),
)
async def list_tickets(call: Reader, page: Page, wanted: Filtered, sort: Sort = "priority") -> Response:
    """Tickets: the most urgent and oldest first, or (`sort=updated`) what changed last."""
    after: Any = page.after(tuple[int, str] if sort == "priority" else tuple[datetime, str], order=sort)
    async with call.transaction() as tx:
        found = await listing.page(tx, wanted.filter(call.principal), sort=sort, after=after, limit=page.limit + 1)
        shown, cursor = page.cut(found, key=lambda ticket: listing.key_of(ticket, sort), order=sort)
        rows = await reading.listed(tx, shown)
    return call.listing(rows, cursor)


@router.get(
    "/v1/tickets/{ticket_id}",
    operation_id="getTicket",
    response_model=WholeTicketView,
    responses=problems(403, 404),
)
async def get_ticket(ticket_id: Id, call: Reader) -> Response:
    """One ticket, with its lease, who is present, its conversations and until when they can be answered."""
    async with call.transaction() as tx:
        ticket = await reading.find(tx, call.principal, ticket_id)
        shown = await reading.whole(tx, call.principal, ticket)
    # No 304: lease and presence change without a new version.
    return call.answer(shown, headers={"ETag": etag(ticket.version)})


@router.get(
    "/v1/tickets/{ticket_id}/timeline",
    operation_id="getTimeline",
    response_model=Paged[LineView],
    responses=problems(400, 403, 404),
)
async def get_timeline(ticket_id: Id, call: Reader, page: Page, order: Literal["asc", "desc"] = "asc") -> Response:
    """What was said and done, by `seq`."""
    place = page.after(int, order=order)
    async with call.transaction() as tx:
        ticket = await reading.find(tx, call.principal, ticket_id)
        if order == "asc":
            lines = await timeline.page(tx, ticket.id, after=place or 0, limit=page.limit + 1)
        else:
            lines = await timeline.page_back(tx, ticket.id, before=place or _NEVER, limit=page.limit + 1)
    shown, cursor = page.cut(lines, key=lambda entry: (entry.seq,), order=order)
    return call.listing([reading.line(entry) for entry in shown], cursor)


@router.get(
    "/v1/tickets/{ticket_id}/assignments",
    operation_id="listAssignments",
    response_model=Paged[AssignmentView],
    responses=problems(400, 403, 404),
)
async def list_assignments(ticket_id: Id, call: Reader, page: Page) -> Response:
    """Who was to own the ticket and who did, why, and why not the others; as they stood then, the best 25 of them."""
    async with call.transaction() as tx:
        ticket = await reading.find(tx, call.principal, ticket_id)
        steps = await reading.assignment_rows(tx, ticket, after=page.after_id() or "", limit=page.limit + 1)
    shown, cursor = page.cut(steps, key=lambda step: (step["id"],))
    return call.listing(shown, cursor)
