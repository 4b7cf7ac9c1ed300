"""`POST /v1/tickets/{id}/…`: what agents do. All but notes want `If-Match` with the version that was read."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from services.tickets.api.lease import Writer
from services.tickets.api.shapes import (
    AmendBody,
    ClaimBody,
    Id,
    MergeBody,
    NoteBody,
    NoteView,
    ReasonBody,
    SnoozeBody,
    TagsBody,
    TicketView,
    TransferBody,
)
from services.tickets.domain.ticket import Ticket
from services.tickets.handlers import joining, owning, queues, reading, states
from services.tickets.handlers.ledger import Desk
from services.tickets.handlers.owning import Target
from services.tickets.handlers.states import Note
from shared.db.transaction import Transaction
from shared.web.calls import Answer, Call, requires
from shared.web.problems import problems

Supervisor = Annotated[Call, requires("tickets:write", "tickets:supervise")]

router = APIRouter(tags=["tickets"])

_PROBLEMS = problems(400, 403, 404, 409, 412, 428)
_PROBLEMS_OF_BODY = problems(400, 403, 404, 409, 412, 422, 428)


async def _answer(call: Call, work: Callable[[Transaction, Desk], Awaitable[Ticket]]) -> Response:
    async def shown(tx: Transaction) -> Answer:
        ticket = await work(tx, call.resource(Desk))
        stamped = await reading.stamped(tx, ticket)
        return Answer(body=reading.summary(stamped), version=stamped.version)

    return await call.perform(shown)


@router.patch(
    "/v1/tickets/{ticket_id}",
    operation_id="amendTicket",
    response_model=TicketView,
    responses=_PROBLEMS_OF_BODY,
)
async def amend(ticket_id: Id, body: AmendBody, call: Writer) -> Response:
    """Sets priority, or whether the ticket waits for something."""
    version, fields = call.version(), body.model_dump()
    return await _answer(
        call, lambda tx, desk: states.amend(tx, desk, call.principal, ticket_id, version=version, **fields)
    )


@router.post(
    "/v1/tickets/{ticket_id}/claim", operation_id="claimTicket", response_model=TicketView, responses=_PROBLEMS
)
async def claim(ticket_id: Id, call: Writer, body: ClaimBody | None = None) -> Response:
    """Takes a ticket that a queue owns, or that is offered to the caller."""
    version, agent, override = call.version(), call.agent_id(), bool(body and body.override)
    return await _answer(
        call,
        lambda tx, desk: owning.claim(
            tx, desk, call.principal, ticket_id, agent=agent, version=version, override=override
        ),
    )


@router.post(
    "/v1/tickets/{ticket_id}/release", operation_id="releaseTicket", response_model=TicketView, responses=_PROBLEMS
)
async def release(ticket_id: Id, call: Writer, body: ReasonBody | None = None) -> Response:
    """Gives the ticket back: another member with room gets it, or the queue."""
    version, reason = call.version(), body.reason if body else None
    return await _answer(
        call, lambda tx, desk: owning.release(tx, desk, call.principal, ticket_id, version=version, reason=reason)
    )


@router.post(
    "/v1/tickets/{ticket_id}/transfer",
    operation_id="transferTicket",
    response_model=TicketView,
    responses=_PROBLEMS_OF_BODY,
)
async def transfer(ticket_id: Id, body: TransferBody, call: Writer) -> Response:
    """Hands the ticket over to a team, an agent, or an agent of a team."""
    version, target = call.version(), Target(**body.model_dump())
    return await _answer(
        call, lambda tx, desk: owning.transfer(tx, desk, call.principal, ticket_id, version=version, target=target)
    )


@router.post(
    "/v1/tickets/{ticket_id}/accept", operation_id="acceptTicket", response_model=TicketView, responses=_PROBLEMS
)
async def accept(ticket_id: Id, call: Writer) -> Response:
    """Takes what was offered."""
    version, agent = call.version(), call.agent_id()
    return await _answer(
        call, lambda tx, desk: owning.accept(tx, desk, call.principal, ticket_id, agent=agent, version=version)
    )


@router.post(
    "/v1/tickets/{ticket_id}/decline", operation_id="declineTicket", response_model=TicketView, responses=_PROBLEMS
)
async def decline(ticket_id: Id, call: Writer, body: ReasonBody | None = None) -> Response:
    """Does not take what was offered: the next one is asked."""
    version, agent, reason = call.version(), call.agent_id(), body.reason if body else None
    return await _answer(
        call,
        lambda tx, desk: owning.decline(
            tx, desk, call.principal, ticket_id, agent=agent, version=version, reason=reason
        ),
    )


@router.post(
    "/v1/tickets/{ticket_id}/snooze",
    operation_id="snoozeTicket",
    response_model=TicketView,
    responses=_PROBLEMS_OF_BODY,
)
async def snooze(ticket_id: Id, body: SnoozeBody, call: Writer) -> Response:
    """Puts the ticket away until an instant, or until the customer writes."""
    version = call.version()
    return await _answer(
        call, lambda tx, desk: states.snooze(tx, desk, call.principal, ticket_id, version=version, until=body.until)
    )


@router.post(
    "/v1/tickets/{ticket_id}/resolve", operation_id="resolveTicket", response_model=TicketView, responses=_PROBLEMS
)
async def resolve(ticket_id: Id, call: Writer) -> Response:
    """Nothing is left to do."""
    version = call.version()
    return await _answer(call, lambda tx, desk: states.resolve(tx, desk, call.principal, ticket_id, version=version))


@router.post(
    "/v1/tickets/{ticket_id}/reopen", operation_id="reopenTicket", response_model=TicketView, responses=_PROBLEMS
)
async def reopen(ticket_id: Id, call: Writer) -> Response:
    """There is something left to do."""
    version = call.version()
    return await _answer(call, lambda tx, desk: states.reopen(tx, desk, call.principal, ticket_id, version=version))


@router.post(
    "/v1/tickets/{ticket_id}/merge",
    operation_id="mergeTicket",
    response_model=TicketView,
    responses=_PROBLEMS_OF_BODY,
)
async def merge(ticket_id: Id, body: MergeBody, call: Supervisor) -> Response:
    """Merges this ticket into another one, which is the answer; their customers are linked."""
    version = call.version()
    return await _answer(
        call, lambda tx, desk: joining.merge(tx, desk, call.principal, ticket_id, into=body.into, version=version)
    )


@router.post(
    "/v1/tickets/{ticket_id}/tags", operation_id="tagTicket", response_model=TicketView, responses=_PROBLEMS_OF_BODY
)
async def tag(ticket_id: Id, body: TagsBody, call: Writer) -> Response:
    """Adds and removes tags."""
    version, fields = call.version(), body.model_dump()
    return await _answer(
        call, lambda tx, desk: states.tag(tx, desk, call.principal, ticket_id, version=version, **fields)
    )


@router.post(
    "/v1/tickets/{ticket_id}/notes",
    operation_id="addNote",
    status_code=201,
    response_model=NoteView,
    responses=problems(403, 404, 422),
)
async def add_note(ticket_id: Id, body: NoteBody, call: Writer) -> Response:
    """Adds an internal text, which no network ever sees."""

    async def work(tx: Transaction) -> Note:
        return await states.note(tx, call.resource(Desk), call.principal, ticket_id, text=body.text)

    return await call.perform(work)


@router.post(
    "/v1/teams/{team_id}/next",
    operation_id="takeNext",
    response_model=TicketView,
    responses=problems(403, 404, 409),
)
async def take_next(team_id: Id, call: Writer, body: ClaimBody | None = None) -> Response:
    """Claims the oldest of the most urgent tickets in a team's queue; nobody else gets the same one."""
    agent, override = call.agent_id(), bool(body and body.override)
    return await _answer(
        call, lambda tx, desk: queues.take_next(tx, desk, call.principal, team_id, agent, override=override)
    )
