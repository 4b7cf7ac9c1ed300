"""`/v1/surges`: what came in far above the usual, and when that was over."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from services.router.api.surge_policies import PolicyRules, actor_of, written
from services.router.handlers.surging import Surges
from services.router.store import surges
from services.router.store.surges import Surge
from shared.db.transaction import Transaction
from shared.errors import NotFound
from shared.web.calls import Call, requires
from shared.web.pages import Page, Paged
from shared.web.problems import problems

Watcher = Annotated[Call, requires("tickets:read")]
Supervisor = Annotated[Call, requires("tickets:supervise")]
SurgeId = Annotated[str, Path(min_length=1, max_length=64)]

router = APIRouter(tags=["surges"])


class VolumeView(BaseModel):
    """What a window held, and what it usually holds at that hour of the week."""

    messages: int
    usual: float | None


class SurgeView(BaseModel):
    """One surge: its numbers, the policy by which it began, and how it ended."""

    id: str
    subject: str = Field(description="`workspace`, `channel:<id>`, `lane:<lane>` or `tag:<tag>`")
    state: Literal["open", "ended"]
    minutes: int = Field(description="Length of the window")
    began_at: datetime
    began: VolumeView
    peak_at: datetime
    peak: int
    calm_since: datetime | None
    ended_at: datetime | None
    ended: Literal["calm", "lasting", "person", "policy"] | None = Field(
        description="calm; lasting (after a week it is usual); by a person; or with its policy, which was given up"
    )
    ended_by: str | None
    last: VolumeView | None = Field(description="The window with which it ended")
    policy: PolicyRules
    policy_version: int
    policy_author: str


@router.get("/v1/surges", operation_id="listSurges", response_model=Paged[SurgeView], responses=problems(400, 403))
async def list_surges(
    call: Watcher,
    page: Page,
    *,
    state: Annotated[Literal["open", "ended"] | None, Query()] = None,
    subject: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """All surges, newest first."""
    async with call.transaction() as tx:
        found = await surges.page(
            tx,
            call.workspace_id,
            before=page.after_id(),
            is_open=None if state is None else state == "open",
            subject=subject,
            limit=page.limit + 1,
        )
    shown, cursor = page.cut(found, key=lambda one: (one.id,))
    return call.listing([_view(one) for one in shown], cursor)


@router.get("/v1/surges/{surge_id}", operation_id="getSurge", response_model=SurgeView, responses=problems(403, 404))
async def get_surge(call: Watcher, surge_id: SurgeId) -> Response:
    """One surge."""
    async with call.transaction() as tx:
        found = await surges.load(tx, call.workspace_id, surge_id)
    if found is None:
        raise NotFound(f"there is no surge {surge_id}")
    return call.answer(_view(found))


@router.post(
    "/v1/surges/{surge_id}/end",
    operation_id="endSurge",
    response_model=SurgeView,
    responses=problems(403, 404, 409),
)
async def end_surge(call: Supervisor, surge_id: SurgeId) -> Response:
    """Ends a surge by hand; its subject begins none before it was calm once."""

    async def work(tx: Transaction) -> SurgeView:
        by = actor_of(call.principal)
        return _view(await call.resource(Surges).end(tx, call.workspace_id, surge_id, by=by))

    return await call.perform(work)


def _view(one: Surge) -> SurgeView:
    last = VolumeView(messages=one.ended_messages, usual=one.ended_usual) if one.ended_messages is not None else None
    return SurgeView(
        id=one.id,
        subject=one.subject,
        state="open" if one.ended_at is None else "ended",
        minutes=one.minutes,
        began_at=one.began_at,
        began=VolumeView(messages=one.messages, usual=one.usual),
        peak_at=one.peak_at,
        peak=one.peak_messages,
        calm_since=one.calm_since,
        ended_at=one.ended_at,
        ended=one.ended,
        ended_by=one.ended_by,
        last=last,
        policy=PolicyRules(**written(one.policy)),
        policy_version=one.policy_version,
        policy_author=one.policy_author,
    )
