"""`POST /v1/tickets/bulk`: one action on up to a hundred tickets, with a result for each."""

from collections.abc import Iterable
from typing import Any, Final, Literal

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, Field, model_validator
from starlette.responses import Response

from services.tickets.api.lease import Writer
from services.tickets.api.reply import (
    AttachmentBody,
    Fence,
    Kind,
    Name,
    QueuedView,
    ReplyBody,
    Seq,
    Text,
    check_says_something,
)
from services.tickets.api.shapes import Body, Ref, Tag, Words
from services.tickets.domain.reply import Order
from services.tickets.handlers import bulk
from services.tickets.handlers.bulk import Item, Result
from services.tickets.handlers.ledger import Desk
from shared.db.transaction import Transaction
from shared.events.routing import Priority
from shared.web.problems import problems

router = APIRouter(tags=["tickets"])


class ItemBody(Body):
    """One ticket, and what was read of it: its version, or for `reply` its last line."""

    id: Ref
    version: int | None = Field(None, ge=1, le=2**62, description="All actions but `reply` need it")
    seen_seq: Seq | None = Field(None, description="`reply` needs it: `last_seq` as it was shown to the writer")
    fence: Fence | None = None
    in_reply_to: Name | None = Field(None, description="For `reply`; the customer's latest message when left out")


class BulkBody(Body):
    """An action, its arguments, and the tickets that it is done to."""

    action: Literal["claim", "release", "transfer", "snooze", "resolve", "reopen", "tags", "amend", "reply"]
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
    text: Text | None = Field(None, description="What `reply` says to each")
    kind: Kind | None = None
    attachments: list[AttachmentBody] | None = Field(None, max_length=20)
    template: Name | None = None

    @model_validator(mode="after")
    def _fits(self) -> "BulkBody":
        allowed, needed = _ARGUMENTS[self.action]
        _check(self.action, self._arguments().keys(), allowed, needed)
        allowed, needed = (_READ_TO_REPLY, _SEEN) if self.action == "reply" else (_VERSION, _VERSION)
        for item in self.items:
            _check(f"an item of {self.action}", item.model_dump(exclude={"id"}, exclude_none=True), allowed, needed)
        if self.action == "reply":
            check_says_something(self.text or "", self.attachments or (), self.template)
        if len({item.id for item in self.items}) < len(self.items):
            raise ValueError("a ticket is named twice")
        return self

    def _arguments(self) -> dict[str, Any]:
        return self.model_dump(exclude={"action", "items"}, exclude_none=True)

    def wanted(self) -> list[Item]:
        """As the handlers take it."""
        given = self._arguments()
        if self.action == "tags":
            given = {"add": [], "remove": []} | given
        return [Item(id=item.id, version=item.version or 0, arguments=given) for item in self.items]

    def orders(self) -> list[tuple[str, Order]]:
        """What `reply` says to whom, as the handlers take it."""
        said = self._arguments()
        read = {item.id: item.model_dump(exclude={"id"}, exclude_none=True) for item in self.items}
        return [(ticket_id, ReplyBody(**said, **known).order()) for ticket_id, known in read.items()]


def _check(what: str, given: Iterable[str], allowed: frozenset[str], needed: frozenset[str]) -> None:
    if extra := sorted(set(given) - allowed):
        raise ValueError(f"{what} takes no {extra[0]}")
    if missing := sorted(needed - set(given)):
        raise ValueError(f"{what} needs {missing[0]}")


_VERSION: Final = frozenset({"version"})
_SEEN: Final = frozenset({"seen_seq"})
_READ_TO_REPLY: Final = frozenset({"seen_seq", "fence", "in_reply_to"})
_ARGUMENTS: Final[dict[str, tuple[frozenset[str], frozenset[str]]]] = {
    "claim": (frozenset(), frozenset()),
    "release": (frozenset({"reason"}), frozenset()),
    "transfer": (frozenset({"team", "agent", "reason", "override"}), frozenset({"reason"})),
    "snooze": (frozenset({"until"}), frozenset({"until"})),
    "resolve": (frozenset(), frozenset()),
    "reopen": (frozenset(), frozenset()),
    "tags": (frozenset({"add", "remove"}), frozenset()),
    "amend": (frozenset({"priority", "state"}), frozenset()),
    "reply": (frozenset({"text", "kind", "attachments", "template", "override"}), frozenset()),
}


class ResultView(BaseModel):
    """What became of one ticket; `problem` says why it was refused."""

    id: str
    status: int
    version: int | None
    reply: QueuedView | None
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

    async def work(tx: Transaction) -> dict[str, list[Result]]:
        desk, who = call.resource(Desk), call.principal
        if body.action == "reply":
            return {"results": await bulk.answer(tx, desk, who, body.orders())}
        return {"results": await bulk.perform(tx, desk, who, body.action, body.wanted())}

    return await call.perform(work)
