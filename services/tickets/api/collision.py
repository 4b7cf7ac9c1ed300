"""`/v1/collisions`: the ledger of second answers."""

from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel
from starlette.responses import Response

from services.tickets.api.lease import ActorView, Reader
from services.tickets.domain.outcome import Collision
from services.tickets.store import collisions
from services.tickets.store.collisions import Filter
from shared.events.tickets import CollisionKind
from shared.web.auth import Principal
from shared.web.pages import Page, Paged
from shared.web.problems import problems

Outcome = Literal["prevented", "overridden", "happened"]

ORDER: Final = "newest"

router = APIRouter(tags=["collision"])


class CollisionView(BaseModel):
    """A second answer: refused, knowingly given, or found afterwards."""

    id: str
    ticket_id: str
    outcome: Outcome
    kind: CollisionKind
    agent_id: str | None
    other: ActorView | None
    reply_id: str | None
    message_id: str | None
    created_at: datetime


class CountView(BaseModel):
    """How often it came to this."""

    outcome: Outcome
    kind: CollisionKind
    count: int


class Wanted(BaseModel):
    """What a caller filters by."""

    outcome: Outcome | None = None
    kind: CollisionKind | None = None
    agent: str | None = None
    ticket: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def filter(self, principal: Principal) -> Filter:
        """With the tickets that the caller may know of."""
        return Filter(
            workspace_id=principal.workspace_id, teams=principal.teams, owner=principal.agent_id, **self.model_dump()
        )


async def _wanted(
    *,
    outcome: Outcome | None = None,
    kind: CollisionKind | None = None,
    agent: Annotated[str | None, Query(max_length=128, description="Whose answer it was")] = None,
    ticket: Annotated[str | None, Query(max_length=128)] = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
) -> Wanted:
    return Wanted(outcome=outcome, kind=kind, agent=agent, ticket=ticket, since=since, until=until)


Filtered = Annotated[Wanted, Depends(_wanted)]


@router.get(
    "/v1/collisions",
    operation_id="listCollisions",
    response_model=Paged[CollisionView],
    responses=problems(400, 403),
)
async def list_collisions(call: Reader, page: Page, wanted: Filtered) -> Response:
    """Second answers, newest first."""
    before = page.after_id(order=ORDER)
    async with call.transaction() as tx:
        rows = await collisions.page(tx, wanted.filter(call.principal), before=before, limit=page.limit + 1)
    shown, cursor = page.cut(rows, key=lambda line: (line.id,), order=ORDER)
    return call.listing([_view(line) for line in shown], cursor)


@router.get(
    "/v1/collisions/counts",
    operation_id="countCollisions",
    response_model=list[CountView],
    responses=problems(400, 403),
)
async def count_collisions(call: Reader, wanted: Filtered) -> Response:
    """How many of each outcome and kind."""
    async with call.transaction() as tx:
        counts = await collisions.counts(tx, wanted.filter(call.principal))
    return call.answer(counts)


def _view(line: Collision) -> CollisionView:
    return CollisionView.model_validate(line, from_attributes=True)
