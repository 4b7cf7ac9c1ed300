"""`GET /v1/changes`: the feed in pages, by number."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from services.notifier.api.stream import Listener, Types, visible
from services.notifier.domain import event_types
from services.notifier.domain.feed import Entry
from services.notifier.handlers import changes
from shared.web.problems import problems

router = APIRouter(tags=["feed"])


class Change(BaseModel):
    """What happened, in the shape that the stream and webhooks have too."""

    type: str = Field(examples=["ticket.updated.v1"])
    timestamp: datetime
    id: str = Field(description="The event's id: the same wherever and however often it is shown")
    sequence: int = Field(description="Its place: numbers of a workspace have no gaps")
    data: dict[str, Any]


class Changes(BaseModel):
    """One page of the feed."""

    data: list[Change]
    next_after: int = Field(description="Pass it as `after` to go on")
    has_more: bool


class EventTypeView(BaseModel):
    """A type of event, and what its `data` is."""

    name: str
    description: str
    json_schema: dict[str, Any] = Field(alias="schema")
    example: dict[str, Any]


class EventTypes(BaseModel):
    """All of them."""

    data: list[EventTypeView]


@router.get("/v1/changes", operation_id="listChanges", response_model=Changes, responses=problems(400, 403, 410))
async def list_changes(
    call: Listener,
    types: Types,
    after: Annotated[
        int | None, Query(ge=0, le=2**62, description="The last number read; none: from the oldest")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """What happened behind a number; `410` when some of it is no longer kept. A page may be empty and not the last."""
    async with call.transaction() as tx:
        page = await changes.page(
            tx, call.workspace_id, after=after, limit=limit, chosen=visible(call.principal, types)
        )
    data = [_view(entry) for entry in page.entries]
    return call.answer({"data": data, "next_after": page.next_after, "has_more": page.has_more})


@router.get("/v1/event-types", operation_id="listEventTypes", response_model=EventTypes, responses=problems(403))
async def list_event_types(call: Listener) -> Response:
    """Everything that can be subscribed to."""
    return call.answer(
        {
            "data": [
                {
                    "name": name,
                    "description": event_types.description(name),
                    "schema": event_types.schema(name),
                    "example": event_types.example(name),
                }
                for name in event_types.FEED_TYPES
            ]
        }
    )


def _view(entry: Entry) -> dict[str, Any]:
    return {
        "type": entry.type,
        "timestamp": entry.at.astimezone(UTC),
        "id": entry.event_id,
        "sequence": entry.number,
        "data": msgspec.Raw(entry.data),
    }
