"""`/v1/hooks`: REST hooks, as automation platforms subscribe and unsubscribe by themselves."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from services.notifier.api.endpoints import Manager
from services.notifier.handlers.endpoints import Endpoints, Wish
from shared.db.transaction import Transaction
from shared.web.problems import problems

router = APIRouter(tags=["webhooks"])


class NewHook(BaseModel):
    """One target for one type of event."""

    model_config = ConfigDict(extra="forbid")

    target_url: str = Field(max_length=2048, examples=["https://hooks.example/catch/1"])
    event: str = Field(max_length=100, examples=["ticket.created"])


class HookView(BaseModel):
    """What unsubscribes it."""

    id: str


@router.post(
    "/v1/hooks", operation_id="createHook", status_code=201, response_model=HookView, responses=problems(403, 409, 422)
)
async def create_hook(call: Manager, body: NewHook) -> Response:
    """Subscribes; the target gets the same bodies as endpoints, and ends it with `410`."""

    async def work(tx: Transaction) -> HookView:
        wish = Wish(url=body.target_url, event_types=[body.event])
        made, _ = await call.resource(Endpoints).create(tx, call.principal, wish, kind="hook")
        return HookView(id=made.id)

    return await call.perform(work)


@router.delete("/v1/hooks/{hook_id}", operation_id="deleteHook", status_code=204, responses=problems(403, 404))
async def delete_hook(call: Manager, hook_id: Annotated[str, Path(max_length=64)]) -> Response:
    """Unsubscribes."""
    return await call.perform(lambda tx: call.resource(Endpoints).remove(tx, call.principal, hook_id, kind="hook"))
