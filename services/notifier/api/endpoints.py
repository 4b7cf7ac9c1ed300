"""`/v1/endpoints`: where events are pushed to, and what became of each push."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.responses import Response

from services.notifier.domain.endpoints import Delivery, DeliveryState, Endpoint, EndpointState, Health
from services.notifier.handlers import endpoints as handlers
from services.notifier.handlers.endpoints import Endpoints, Wish
from services.notifier.store import deliveries as delivery_store
from services.notifier.store import endpoints as store
from shared.db.transaction import Transaction
from shared.web.calls import Answer, Call, requires
from shared.web.pages import Page, Paged
from shared.web.problems import problems

Manager = Annotated[Call, requires("webhooks:manage")]
EndpointId = Annotated[str, Path(max_length=64)]
Number = Annotated[int, Path(ge=1, le=2**62, description="The event's sequence number")]
Url = Annotated[str, Field(max_length=2048, examples=["https://crm.example/baton"])]
Types = Annotated[list[str], Field(min_length=1, max_length=100, examples=[["ticket.*", "reply.settled"]])]
Teams = Annotated[list[str], Field(min_length=1, max_length=100)]

router = APIRouter(tags=["webhooks"])


class NewEndpoint(BaseModel):
    """A subscription; `*` stands for all events, `ticket.*` for all of tickets."""

    model_config = ConfigDict(extra="forbid")

    url: Url
    event_types: Types
    teams: Teams | None = Field(None, description="Only events of tickets of these teams")
    description: str = Field("", max_length=500)

    def wish(self) -> Wish:
        """As the handler takes it."""
        return Wish(**self.model_dump())


class EndpointChange(BaseModel):
    """What should be different."""

    model_config = ConfigDict(extra="forbid")

    url: Url | None = None
    event_types: Types | None = None
    teams: Teams | None = None
    description: str | None = Field(None, max_length=500)

    def wish(self) -> Wish:
        """As the handler takes it."""
        return Wish(**self.model_dump())


class EndpointView(BaseModel):
    """An endpoint and how it does."""

    id: str
    url: str
    description: str
    event_types: list[str]
    teams: list[str] | None
    state: EndpointState
    state_reason: str | None
    behind: int = Field(description="Events of the workspace that it has not been offered yet")
    failures: int = Field(description="Attempts that failed since the last success")
    failing_since: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime


class EndpointSecret(EndpointView):
    """An endpoint with its signing secret, which is shown this once."""

    secret: str = Field(examples=["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"])


class AttemptView(BaseModel):
    """One push."""

    at: datetime
    status: int | None
    ms: float
    answer: str
    error: str | None


class DeliveryView(BaseModel):
    """One event for one endpoint."""

    sequence: int
    event_id: str
    type: str
    state: DeliveryState
    attempts: list[AttemptView]
    next_attempt: datetime | None
    created_at: datetime
    settled_at: datetime | None


class TestView(AttemptView):
    """What a test push came to."""

    delivered: bool


class Replay(BaseModel):
    """From where events are pushed again."""

    model_config = ConfigDict(extra="forbid")

    since: Annotated[int, Field(ge=1, le=2**62)] | AwareDatetime = Field(description="A sequence number, or a time")


class Replayed(BaseModel):
    """How many were queued; `next_since` goes on where this stopped, null when it was all."""

    queued: int
    next_since: int | None


@router.post(
    "/v1/endpoints",
    operation_id="createEndpoint",
    status_code=201,
    response_model=EndpointSecret,
    responses=problems(403, 409, 422),
)
async def create_endpoint(call: Manager, body: NewEndpoint) -> Response:
    """Subscribes to what happens from now on."""

    async def work(tx: Transaction) -> Answer:
        made, secret = await call.resource(Endpoints).create(tx, call.principal, body.wish())
        return Answer(body={**await _view(tx, made), "secret": secret}, version=made.version)

    return await call.perform(work)


@router.get(
    "/v1/endpoints", operation_id="listEndpoints", response_model=Paged[EndpointView], responses=problems(400, 403)
)
async def list_endpoints(call: Manager, page: Page) -> Response:
    """All endpoints, oldest first."""
    async with call.transaction() as tx:
        found = await store.page(
            tx, call.workspace_id, after=page.after(str) or "", limit=page.limit + 1, teams=call.principal.teams
        )
        shown, cursor = page.cut(found, key=lambda each: (each.id,))
        views = await _views(tx, shown)
    return call.listing(views, cursor)


@router.get(
    "/v1/endpoints/{endpoint_id}",
    operation_id="getEndpoint",
    response_model=EndpointView,
    responses=problems(403, 404),
)
async def get_endpoint(call: Manager, endpoint_id: EndpointId) -> Response:
    """One endpoint."""
    async with call.transaction() as tx:
        found = await handlers.load(tx, call.principal, endpoint_id)
        view = await _view(tx, found)
    return call.answer(view, version=found.version)


@router.patch(
    "/v1/endpoints/{endpoint_id}",
    operation_id="changeEndpoint",
    response_model=EndpointView,
    responses=problems(403, 404, 412, 422, 428),
)
async def change_endpoint(call: Manager, endpoint_id: EndpointId, body: EndpointChange) -> Response:
    """Changes what is named; wants `If-Match`."""
    version = call.version()

    async def work(tx: Transaction) -> Answer:
        changed = await call.resource(Endpoints).change(tx, call.principal, endpoint_id, body.wish(), version=version)
        return Answer(body=await _view(tx, changed), version=changed.version)

    return await call.perform(work)


@router.delete(
    "/v1/endpoints/{endpoint_id}", operation_id="deleteEndpoint", status_code=204, responses=problems(403, 404)
)
async def delete_endpoint(call: Manager, endpoint_id: EndpointId) -> Response:
    """Ends the subscription and deletes its log."""
    return await call.perform(lambda tx: call.resource(Endpoints).remove(tx, call.principal, endpoint_id))


@router.post(
    "/v1/endpoints/{endpoint_id}/test",
    operation_id="testEndpoint",
    response_model=TestView,
    responses=problems(403, 404),
)
async def test_endpoint(call: Manager, endpoint_id: EndpointId) -> Response:
    """Pushes a signed `endpoint.test.v1` now, and says how it was answered."""
    async with call.transaction() as tx:
        found = await handlers.load(tx, call.principal, endpoint_id)
    attempt = await call.resource(Endpoints).probe(found)
    return call.answer({**attempt.log(call.clock.now()), "delivered": attempt.verdict.is_delivered})


@router.post(
    "/v1/endpoints/{endpoint_id}/rotate",
    operation_id="rotateEndpointSecret",
    response_model=EndpointSecret,
    responses=problems(403, 404),
)
async def rotate_endpoint_secret(call: Manager, endpoint_id: EndpointId) -> Response:
    """A new secret; deliveries carry signatures of both until the old one ends, a day later."""

    async def work(tx: Transaction) -> Answer:
        rotated, secret = await call.resource(Endpoints).rotate(tx, call.principal, endpoint_id)
        return Answer(body={**await _view(tx, rotated), "secret": secret}, version=rotated.version)

    return await call.perform(work)


@router.post(
    "/v1/endpoints/{endpoint_id}/pause",
    operation_id="pauseEndpoint",
    response_model=EndpointView,
    responses=problems(403, 404),
)
async def pause_endpoint(call: Manager, endpoint_id: EndpointId) -> Response:
    """Pushes nothing until it is resumed; events wait for as long as the feed keeps them."""
    return await _switch(call, endpoint_id, "paused")


@router.post(
    "/v1/endpoints/{endpoint_id}/resume",
    operation_id="resumeEndpoint",
    response_model=EndpointView,
    responses=problems(403, 404),
)
async def resume_endpoint(call: Manager, endpoint_id: EndpointId) -> Response:
    """Goes on where it was paused or disabled."""
    return await _switch(call, endpoint_id, "active")


@router.get(
    "/v1/endpoints/{endpoint_id}/deliveries",
    operation_id="listDeliveries",
    response_model=Paged[DeliveryView],
    responses=problems(400, 403, 404),
)
async def list_deliveries(
    call: Manager, endpoint_id: EndpointId, page: Page, state: Annotated[DeliveryState | None, Query()] = None
) -> Response:
    """What was pushed, newest first, with every attempt."""
    async with call.transaction() as tx:
        await handlers.load(tx, call.principal, endpoint_id)
        before = page.after(int) or 2**63 - 1
        found = await delivery_store.page(tx, endpoint_id, before=before, limit=page.limit + 1, state=state)
    shown, cursor = page.cut(found, key=lambda each: (each.number,))
    return call.listing([_delivery(each) for each in shown], cursor)


@router.post(
    "/v1/endpoints/{endpoint_id}/deliveries/{number}/resend",
    operation_id="resendDelivery",
    status_code=202,
    response_model=DeliveryView,
    responses=problems(403, 404),
)
async def resend_delivery(call: Manager, endpoint_id: EndpointId, number: Number) -> Response:
    """Pushes one event again, under the same `webhook-id`."""

    async def work(tx: Transaction) -> dict[str, Any]:
        return _delivery(await call.resource(Endpoints).resend(tx, call.principal, endpoint_id, number))

    return await call.perform(work)


@router.post(
    "/v1/endpoints/{endpoint_id}/replay",
    operation_id="replayEndpoint",
    status_code=202,
    response_model=Replayed,
    responses=problems(403, 404, 422),
)
async def replay_endpoint(call: Manager, endpoint_id: EndpointId, body: Replay) -> Response:
    """Pushes again everything that it subscribes to, since a number or a time."""

    async def work(tx: Transaction) -> Replayed:
        queued, more = await call.resource(Endpoints).replay(tx, call.principal, endpoint_id, body.since)
        return Replayed(queued=queued, next_since=more)

    return await call.perform(work)


async def _switch(call: Call, endpoint_id: str, state: EndpointState) -> Response:
    async def work(tx: Transaction) -> Answer:
        switched = await call.resource(Endpoints).switch(tx, call.principal, endpoint_id, state)
        return Answer(body=await _view(tx, switched), version=switched.version)

    return await call.perform(work)


async def _view(tx: Transaction, endpoint: Endpoint) -> dict[str, Any]:
    [view] = await _views(tx, [endpoint])
    return view


async def _views(tx: Transaction, endpoints: Sequence[Endpoint]) -> list[dict[str, Any]]:
    health = await store.health(tx, [endpoint.id for endpoint in endpoints])
    unknown = Health(behind=0, failures=0, failing_since=None)
    return [_shown(endpoint, health.get(endpoint.id, unknown)) for endpoint in endpoints]


def _shown(endpoint: Endpoint, health: Health) -> dict[str, Any]:
    names = ("id", "url", "description", "event_types", "teams", "state", "state_reason", "version")
    return {
        **{name: getattr(endpoint, name) for name in names},
        "behind": health.behind,
        "failures": health.failures,
        "failing_since": health.failing_since,
        "created_at": endpoint.created_at,
        "updated_at": endpoint.updated_at,
    }


def _delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "sequence": delivery.number,
        "event_id": delivery.event_id,
        "type": delivery.type,
        "state": delivery.state,
        "attempts": delivery.log,
        "next_attempt": delivery.due_at,
        "created_at": delivery.created_at,
        "settled_at": delivery.settled_at,
    }
