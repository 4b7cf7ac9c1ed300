"""`/v1/tickets/{id}/messages/{message_id}/moderation`: hiding, showing, deleting and liking items on their networks."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from services.tickets.api.lease import ActorView, Reader
from services.tickets.api.shapes import Body, Id
from services.tickets.domain.moderation import Moderation
from services.tickets.handlers import moderating
from services.tickets.handlers.ledger import Desk
from shared.db.transaction import Transaction
from shared.events.messages import Operation
from shared.web.calls import Call, requires
from shared.web.problems import problems

Moderator = Annotated[Call, requires("tickets:moderate")]

router = APIRouter(tags=["tickets"])


class ModerationBody(Body):
    """What is to be done."""

    operation: Operation


class ModerationView(BaseModel):
    """An operation on an item, and what became of it."""

    id: str
    message_id: str
    operation: Operation
    actor: ActorView
    rule: str | None = Field(description="Which rule asked for it; null: the actor did")
    state: Literal["requested", "done", "failed", "unsupported"]
    reason: str | None
    code: str | None
    created_at: datetime
    settled_at: datetime | None


@router.post(
    "/v1/tickets/{ticket_id}/messages/{message_id}/moderation",
    operation_id="moderateMessage",
    status_code=202,
    response_model=ModerationView,
    responses=problems(403, 404, 409, 422),
)
async def moderate_message(ticket_id: Id, message_id: Id, body: ModerationBody, call: Moderator) -> Response:
    """Asks the network to hide, show again, delete or like a message; what is under way or done is not asked again."""

    async def work(tx: Transaction) -> ModerationView:
        desk, operation = call.resource(Desk), body.operation
        found = await moderating.moderate(
            tx, desk, call.principal, ticket_id, message_id=message_id, operation=operation
        )
        return _shown(found)

    return await call.perform(work)


@router.get(
    "/v1/tickets/{ticket_id}/messages/{message_id}/moderation",
    operation_id="listModeration",
    response_model=list[ModerationView],
    responses=problems(403, 404),
)
async def list_moderation(ticket_id: Id, message_id: Id, call: Reader) -> Response:
    """What was asked to be done to a message, by whom or by which rule, and what became of it."""
    async with call.transaction() as tx:
        found = await moderating.of_message(tx, call.principal, ticket_id, message_id)
    return call.answer([_shown(one) for one in found])


def _shown(one: Moderation) -> ModerationView:
    return ModerationView.model_validate(one, from_attributes=True)
