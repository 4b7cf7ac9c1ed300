"""`/v1/tickets/{id}/lease` and `/presence`: the right to answer, and who looks on."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from services.tickets.domain.lease import TakeoverMode
from services.tickets.handlers import lease, presence
from services.tickets.handlers.ledger import Desk
from services.tickets.store.presence import Level
from shared.db.transaction import Transaction
from shared.web.calls import Answer, Call, requires
from shared.web.problems import problems

Reader = Annotated[Call, requires("tickets:read")]
Writer = Annotated[Call, requires("tickets:write")]
Session = Annotated[
    str,
    Field(
        pattern=r"^[\x21-\x7e]{1,64}$",
        description="One open screen; two screens of one agent get different fences",
    ),
]

router = APIRouter(tags=["collision"])


class LeaseRequest(BaseModel):
    """Who takes the lease, besides the key's agent."""

    model_config = ConfigDict(extra="forbid")

    session: Session | None = None


class Heartbeat(BaseModel):
    """A sign of life of the holder."""

    model_config = ConfigDict(extra="forbid")

    fence: int = Field(ge=1, le=2**63 - 1, description="The fence that came with the lease")
    active: bool = Field(False, description="Whether somebody is typing: without it the lease ends softly")


class Takeover(BaseModel):
    """How the lease is wanted: by asking where that is needed, or by force."""

    model_config = ConfigDict(extra="forbid")

    mode: TakeoverMode = "auto"
    session: Session | None = None


class Presence(BaseModel):
    """What somebody does at a ticket."""

    model_config = ConfigDict(extra="forbid")

    level: Level
    session: Session


class ActorView(BaseModel):
    """Who does or did something."""

    kind: str
    id: str | None = None
    name: str | None = None


class LeaseView(BaseModel):
    """The right to answer. Count down `expires_in_ms` by your own clock; send `fence` with heartbeats and replies."""

    fence: int | None = Field(description="Null while a takeover is only asked for")
    holder: ActorView
    expires_at: datetime
    expires_in_ms: int
    wanted_by: ActorView | None = None
    wanted_until: datetime | None = Field(None, description="From then on whoever asked may take it")


class AgentView(BaseModel):
    """An agent by name."""

    id: str
    name: str | None


class PresenceView(BaseModel):
    """Somebody at a ticket."""

    agent: AgentView
    session: str
    level: Level
    expires_at: datetime


@router.post(
    "/v1/tickets/{ticket_id}/lease",
    operation_id="acquireLease",
    response_model=LeaseView,
    responses=problems(403, 404, 423),
)
async def acquire(ticket_id: str, call: Writer, body: LeaseRequest | None = None) -> Response:
    """The exclusive right to answer this customer; one's own again keeps its fence."""
    session = body.session if body else None

    async def work(tx: Transaction) -> dict[str, Any]:
        return await lease.acquire(tx, call.resource(Desk), call.principal, ticket_id, session=session)

    return await call.perform(work)


@router.put(
    "/v1/tickets/{ticket_id}/lease",
    operation_id="renewLease",
    response_model=LeaseView,
    responses=problems(403, 404, 409),
)
async def renew(ticket_id: str, body: Heartbeat, call: Writer) -> Response:
    """A heartbeat: keeps the lease and its fence; its answer tells who else wants it."""

    async def work(tx: Transaction) -> dict[str, Any]:
        desk = call.resource(Desk)
        return await lease.heartbeat(tx, desk, call.principal, ticket_id, fence=body.fence, active=body.active)

    if not call.is_keyed:
        heart = call.resource(lease.Heart)
        if kept := await heart.beat(call.principal, ticket_id, fence=body.fence, active=body.active):
            return call.answer(kept)
    return await call.perform(work)


@router.delete(
    "/v1/tickets/{ticket_id}/lease",
    operation_id="releaseLease",
    status_code=204,
    responses=problems(403, 404, 409),
)
async def release(
    ticket_id: str, call: Writer, fence: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None
) -> Response:
    """Gives the lease back; a reply that waits is left alone."""

    async def work(tx: Transaction) -> None:
        await lease.release(tx, call.resource(Desk), call.principal, ticket_id, fence=fence)

    return await call.perform(work)


@router.post(
    "/v1/tickets/{ticket_id}/lease/takeover",
    operation_id="takeOverLease",
    response_model=LeaseView,
    responses={202: {"model": LeaseView, "description": "Asked for"}, **problems(403, 404, 423)},
)
async def take_over(ticket_id: str, call: Writer, body: Takeover) -> Response:
    """Takes the lease from a holder who is idle, a bot, or was asked in time; 202 when it is only asked for."""

    async def work(tx: Transaction) -> Answer:
        desk = call.resource(Desk)
        shown = await lease.take_over(tx, desk, call.principal, ticket_id, mode=body.mode, session=body.session)
        return Answer(body=shown, status=200 if shown["fence"] is not None else 202)

    return await call.perform(work)


@router.put(
    "/v1/tickets/{ticket_id}/presence",
    operation_id="putPresence",
    response_model=PresenceView,
    responses=problems(403, 404),
)
async def put_presence(ticket_id: str, body: Presence, call: Reader) -> Response:
    """A sign of life; it counts until `expires_at`, and is told to others only when it changes."""

    async def work(tx: Transaction) -> dict[str, Any]:
        return await presence.put(tx, call.principal, ticket_id, level=body.level, session=body.session)

    return await call.perform(work)


@router.delete(
    "/v1/tickets/{ticket_id}/presence",
    operation_id="leavePresence",
    status_code=204,
    responses=problems(403, 404),
)
async def leave(ticket_id: str, call: Reader, session: Session | None = None) -> Response:
    """Says that the caller has left, in one session or in all."""

    async def work(tx: Transaction) -> None:
        await presence.leave(tx, call.principal, ticket_id, session=session)

    return await call.perform(work)
