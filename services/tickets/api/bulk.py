"""`POST /v1/tickets/bulk`: one action on up to a hundred tickets, with a result for each."""

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, Field, model_validator
from starlette.responses import Response

from services.tickets.api.lease import Writer
from services.tickets.api.shapes import Body, Ref, Tag, Words
from services.tickets.handlers import bulk
from services.tickets.handlers.bulk import Item, Result
from services.tickets.handlers.ledger import Desk
from shared.db.transaction import Transaction
from shared.events.routing import Priority
from shared.web.problems import problems

router = APIRouter(tags=["tickets"])


class ItemBody(Body):
    """One ticket, and the version that was read."""

    id: Ref
    version: int = Field(ge=1, le=2**62)


class BulkBody(Body):
    """An action, its arguments, and the tickets that it is done to."""

    action: Literal["claim", "release", "transfer", "snooze", "resolve", "reopen", "tags", "amend"]
    items: list[ItemBody] = Field(min_length=1, max_length=bulk.MOST)
    team: Ref | None = None
    agent: Ref | None = None
    reason: Words | None = None
    override: bool | None = None
    until: AwareDatetime | None = None
    add: list[Tag] | None = Field(None, max_length=50)
    remove: list[Tag] | None = Field(None, max_length=50)
    priority: Priority | None = None
    state: Literal["open", "pending"] | None = None

    @model_validator(mode="after")
    def _fits(self) -> "BulkBody":
        allowed, needed = _ARGUMENTS[self.action]
        given = self.model_dump(exclude={"action", "items"}, exclude_none=True).keys()
        if extra := sorted(given - allowed):
            raise ValueError(f"{self.action} takes no {extra[0]}")
        if missing := sorted(needed - given):
            raise ValueError(f"{self.action} needs {missing[0]}")
        if len({item.id for item in self.items}) < len(self.items):
            raise ValueError("a ticket is named twice")
        return self

    def wanted(self) -> list[Item]:
        """As the handlers take it."""
        given: dict[str, Any] = self.model_dump(exclude={"action", "items"}, exclude_none=True)
        if self.action == "tags":
            given = {"add": [], "remove": []} | given
        return [Item(id=item.id, version=item.version, arguments=given) for item in self.items]


_ARGUMENTS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "claim": (frozenset(), frozenset()),
    "release": (frozenset({"reason"}), frozenset()),
    "transfer": (frozenset({"team", "agent", "reason", "override"}), frozenset({"reason"})),
    "snooze": (frozenset({"until"}), frozenset({"until"})),
    "resolve": (frozenset(), frozenset()),
    "reopen": (frozenset(), frozenset()),
    "tags": (frozenset({"add", "remove"}), frozenset()),
    "amend": (frozenset({"priority", "state"}), frozenset()),
}


class ResultView(BaseModel):
    """What became of one ticket; `problem` says why it was refused."""

    id: str
    status: int
    version: int | None
    problem: dict[str, Any] | None


class ResultsView(BaseModel):
    """What became of each ticket, in the order in which they were named."""

    results: list[ResultView]


@router.post(
    "/v1/tickets/bulk",
    operation_id="bulkAct",
    response_model=ResultsView,
    responses=problems(403, 422),
)
async def act(body: BulkBody, call: Writer) -> Response:
    """Does one thing to many tickets; each is refused or done by itself."""
    items = body.wanted()

    async def work(tx: Transaction) -> dict[str, list[Result]]:
        return {"results": await bulk.perform(tx, call.resource(Desk), call.principal, body.action, items)}

    return await call.perform(work)
