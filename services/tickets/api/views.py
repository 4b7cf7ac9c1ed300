"""`/v1/views`: lists of tickets with a name; a view's `query` is what `GET /v1/tickets` takes."""

from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from services.tickets.api.lease import Reader, Writer
from services.tickets.api.shapes import Body, Id, Name, Ref
from services.tickets.api.tickets import State
from services.tickets.handlers import views as handlers
from services.tickets.store import views
from services.tickets.store.listing import Sort
from services.tickets.store.views import View
from shared.db.transaction import Transaction
from shared.events.routing import Priority
from shared.web.calls import Answer
from shared.web.pages import Page, Paged
from shared.web.problems import problems

router = APIRouter(tags=["views"])


class QueryBody(Body):
    """Parameters of `GET /v1/tickets`."""

    team: Ref | None = None
    owner: Ref | None = None
    state: list[State] | None = Field(None, max_length=7)
    priority: Priority | None = None
    tag: list[Ref] | None = Field(None, max_length=5)
    network: Ref | None = None
    customer: Ref | None = None
    q: str | None = Field(None, min_length=2, max_length=200)
    sort: Sort | None = None


class ViewBody(Body):
    """A view to be."""

    name: Name
    query: QueryBody
    shared: bool = Field(False, description="For everybody; needs tickets:supervise")


class ViewPatch(Body):
    """What may change; a query replaces the one before."""

    name: Name | None = None
    query: QueryBody | None = None


class ViewView(BaseModel):
    """A list of tickets with a name."""

    id: str
    name: str
    scope: Literal["own", "shared"]
    query: dict[str, Any]
    version: int
    created_at: datetime


@router.post(
    "/v1/views", operation_id="createView", status_code=201, response_model=ViewView, responses=problems(403, 422)
)
async def create_view(body: ViewBody, call: Writer) -> Response:
    """A new view, of the caller's own or for everybody."""
    query = body.query.model_dump(exclude_none=True)

    async def work(tx: Transaction) -> Answer:
        who = call.principal
        return _answer(await handlers.create(tx, call.ids, who, name=body.name, query=query, shared=body.shared))

    return await call.perform(work)


@router.get("/v1/views", operation_id="listViews", response_model=Paged[ViewView], responses=problems(400, 403))
async def list_views(call: Reader, page: Page) -> Response:
    """Everybody's views, and the caller's own."""
    after = page.after_id() or ""
    async with call.transaction() as tx:
        found = await views.page(
            tx, call.workspace_id, agent_id=call.principal.agent_id, after=after, limit=page.limit + 1
        )
    shown, cursor = page.cut(found, key=lambda view: (view.id,))
    return call.listing([_shown(view) for view in shown], cursor)


@router.patch(
    "/v1/views/{view_id}",
    operation_id="amendView",
    response_model=ViewView,
    responses=problems(400, 403, 404, 412, 422, 428),
)
async def amend_view(view_id: Id, body: ViewPatch, call: Writer) -> Response:
    """Another name, another query."""
    version, query = call.version(), body.query.model_dump(exclude_none=True) if body.query else None

    async def work(tx: Transaction) -> Answer:
        amended = await handlers.amend(tx, call.principal, view_id, version=version, name=body.name, query=query)
        return _answer(amended)

    return await call.perform(work)


@router.delete("/v1/views/{view_id}", operation_id="deleteView", status_code=204, responses=problems(403, 404))
async def delete_view(view_id: Id, call: Writer) -> Response:
    """Ends a view; the tickets stay."""

    async def work(tx: Transaction) -> None:
        await handlers.delete(tx, call.principal, view_id)

    return await call.perform(work)


def _answer(view: View) -> Answer:
    return Answer(body=_shown(view), version=view.version)


def _shown(view: View) -> dict[str, Any]:
    return {
        "id": view.id,
        "name": view.name,
        "scope": "shared" if view.agent_id is None else "own",
        "query": view.query,
        "version": view.version,
        "created_at": view.created_at,
    }
