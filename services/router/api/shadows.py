"""Candidates that run beside the version in force, without effect."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from starlette.responses import Response

from services.router.handlers import shadows
from services.router.store.shadows import Shadow
from shared.db.transaction import Transaction
from shared.web.calls import Call, requires
from shared.web.problems import problems

Reader = Annotated[Call, requires("rules:read")]
Writer = Annotated[Call, requires("rules:write")]
Version = Annotated[int, Path(ge=1, le=2_000_000_000)]

router = APIRouter(tags=["routing"])


class Changed(BaseModel):
    """How many messages would go from one to the other; a tag or an operation comes from null when it is added."""

    aspect: str = Field(
        description="outcome, team, agent, priority, lane, auto_reply, private_reply, tag, flag or moderation"
    )
    before: str | None
    after: str | None
    messages: int


class ShadowView(BaseModel):
    """One run of a candidate."""

    version: int
    state: str = Field(description="running or ended")
    author: str
    started_at: datetime
    ended_at: datetime | None
    ended: str | None = Field(description="stopped, activated (another version was put in force) or failed")
    ended_by: str | None
    error: str | None
    messages: int
    different: int
    elsewhere: int
    changes: list[Changed]
    examples: list[dict[str, Any]] = Field(description="The last differences, newest first")


@router.post(
    "/v1/rulesets/{version}/shadow",
    operation_id="startShadow",
    status_code=201,
    response_model=ShadowView,
    responses=problems(403, 404, 409, 422),
)
async def start_shadow(call: Writer, version: Version) -> Response:
    """Lets a version decide beside the one in force, without effect; one at a time, until another is activated."""

    async def work(tx: Transaction) -> ShadowView:
        return _view(await shadows.start(tx, call.workspace_id, version, author=call.principal.id))

    return await call.perform(work)


@router.get(
    "/v1/rulesets/{version}/shadow",
    operation_id="getShadow",
    response_model=ShadowView,
    responses=problems(403, 404),
)
async def get_shadow(call: Reader, version: Version) -> Response:
    """What the last run of a version would have done otherwise, counted, with the last examples."""
    async with call.transaction() as tx:
        found = await shadows.report(tx, call.workspace_id, version)
    return call.answer(_view(found))


@router.delete("/v1/rulesets/shadow", operation_id="stopShadow", status_code=204, responses=problems(403, 404))
async def stop_shadow(call: Writer) -> Response:
    """Ends the candidate that runs; its report stays."""

    async def work(tx: Transaction) -> None:
        await shadows.stop(tx, call.workspace_id, by=call.principal.id)

    return await call.perform(work)


def _view(found: Shadow) -> ShadowView:
    totals = {aspect: messages for aspect, before, after, messages in found.counts if before is None and after is None}
    changes = [
        Changed(aspect=aspect, before=before, after=after, messages=messages)
        for aspect, before, after, messages in found.counts
        if aspect not in totals
    ]
    return ShadowView(
        version=found.version,
        state="running" if found.ended_at is None else "ended",
        author=found.author,
        started_at=found.started_at,
        ended_at=found.ended_at,
        ended=found.ended,
        ended_by=found.ended_by,
        error=found.error,
        messages=totals.get("messages", 0),
        different=totals.get("different", 0),
        elsewhere=totals.get("elsewhere", 0),
        changes=changes,
        examples=list(found.examples),
    )
