"""`GET /v1/stream`: what happens, as it happens, as server-sent events."""

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query
from pydantic import BaseModel
from starlette.responses import Response

from services.notifier.domain import feed
from services.notifier.domain.event_types import FEED_TYPES
from services.notifier.domain.feed import Filter
from services.notifier.handlers.streaming import PRESENCE_TYPE, Streams
from shared.db.transaction import Transaction
from shared.errors import BadRequest
from shared.platform.store import keys, teams
from shared.web.auth import Principal
from shared.web.calls import Call, requires
from shared.web.problems import problems

Listener = Annotated[Call, requires("stream:read")]

KNOWN: Final = (*FEED_TYPES, PRESENCE_TYPE)
_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "Events"}
}

router = APIRouter(tags=["feed"])


class StreamTicket(BaseModel):
    """Stands for the key that asked for it, once."""

    ticket: str
    expires_at: datetime


async def wanted_types(
    types: Annotated[
        str | None,
        Query(max_length=2000, description="Only these, by comma: `ticket.updated`, `lease.*`", examples=["ticket.*"]),
    ] = None,
) -> frozenset[str] | None:
    """The types that a caller wants; None for all."""
    try:
        return feed.chosen_types([name.strip() for name in types.split(",")] if types else [], known=KNOWN)
    except ValueError as error:
        raise BadRequest(f"there is no event type {error}", known=sorted(KNOWN)) from None


Types = Annotated[frozenset[str] | None, Depends(wanted_types)]


def visible(principal: Principal, types: frozenset[str] | None) -> Filter:
    """What a key may see, of what it wants."""
    return Filter(types=types, teams=principal.teams, agent_id=principal.agent_id)


@router.get(
    "/v1/stream",
    operation_id="followStream",
    response_class=Response,
    responses={**_STREAM, **problems(400, 403, 429, 503)},
)
async def follow_stream(
    call: Listener,
    types: Types,
    *,
    team: Annotated[str | None, Query(max_length=64, description="Only tickets of this team")] = None,
    mine: Annotated[
        bool, Query(description="Only tickets of the key's own agent, and what names that agent or one of its teams")
    ] = False,
    after: Annotated[
        int | None, Query(ge=0, le=2**62, description="As `Last-Event-ID`, for clients that can send no header")
    ] = None,
    ticket: Annotated[str | None, Query(max_length=200, description="Instead of a key; opens one stream, once")] = None,
    last_event_id: Annotated[str | None, Header(max_length=20, description="Resume behind this number")] = None,
) -> Response:
    """Resumes behind `Last-Event-ID` without gaps. `resync` says that the client must read anew what it shows."""
    seen = visible(call.principal, types)
    agent = call.agent_id() if mine else None
    chosen = Filter(
        types=seen.types,
        teams=seen.teams,
        agent_id=seen.agent_id,
        only_team=team,
        only_owner=agent,
        follows=await _followed(call, team, agent),
    )
    del ticket  # the edge has taken it
    number = _number(last_event_id)
    return await call.resource(Streams).open(
        call.workspace_id,
        key_id=call.principal.key_id,
        after=after if number is None else number,
        chosen=chosen,
        recheck=lambda: call.authenticator.confirm(call.principal.key_id),
    )


async def _followed(call: Call, team: str | None, agent: str | None) -> frozenset[str]:
    """Whose flags are shown to whoever asks for the tickets of one team, or for his own."""
    found = {feed.address("team", team)} if team else set()
    if agent is not None:
        async with call.transaction() as tx:
            mine = (await teams.teams_of(tx, call.workspace_id, [agent]))[agent]
        found |= {feed.address("agent", agent), *(feed.address("team", one) for one in mine)}
    return frozenset(found)


@router.post(
    "/v1/stream/tickets",
    operation_id="createStreamTicket",
    status_code=201,
    response_model=StreamTicket,
    responses=problems(403),
)
async def create_stream_ticket(call: Listener) -> Response:
    """For a browser's `EventSource`, which can send no key: `GET /v1/stream?ticket=…`, once, within 30 seconds."""

    async def work(tx: Transaction) -> StreamTicket:
        ticket, expires_at = await keys.issue_ticket(tx, call.workspace_id, call.principal.key_id)
        return StreamTicket(ticket=ticket, expires_at=expires_at)

    return await call.perform(work)


def _number(text: str | None) -> int | None:
    if text is None or not text.strip():
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadRequest("Last-Event-ID must be the number of an event")
    return int(text)
