"""`/v1/inbox`: raw deliveries, what became of them, and normalizing them again."""

import base64
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from services.ingest.api.views import EntryView, RawView, Replay, Replaying, entry_view, raw_view
from services.ingest.domain.deliveries import State
from services.ingest.handlers import inbox as handlers
from services.ingest.handlers.inbox import Wanted
from shared.db.transaction import Transaction
from shared.errors import Invalid
from shared.web import pages
from shared.web.calls import Answer, Call, requires
from shared.web.pages import Page, Paged
from shared.web.problems import problems

Reader = Annotated[Call, requires("inbox:read")]
Replayer = Annotated[Call, requires("inbox:replay")]

_REPLAY_ORDER = "replay"

router = APIRouter(tags=["inbox"])


@router.get("/v1/inbox", operation_id="listInbox", response_model=Paged[EntryView], responses=problems(403, 404))
async def list_inbox(
    call: Reader,
    page: Page,
    channel_id: Annotated[str | None, Query(max_length=100)] = None,
    state: Annotated[State | None, Query()] = None,
) -> Response:
    """Deliveries with the events that they became, newest first."""
    async with call.transaction() as tx:
        rows = await handlers.entries(
            tx, call.workspace_id, channel_id=channel_id, state=state, before=page.after_id(), limit=page.limit + 1
        )
    shown, cursor = page.cut(rows, key=lambda entry: (entry.id,))
    return call.listing([entry_view(entry) for entry in shown], cursor)


@router.get("/v1/inbox/{inbox_id}", operation_id="getDelivery", response_model=RawView, responses=problems(403, 404))
async def get_delivery(call: Reader, inbox_id: str) -> Response:
    """One delivery as it came, byte for byte."""
    async with call.transaction() as tx:
        raw = await handlers.raw(tx, call.workspace_id, inbox_id)
    return call.answer(raw_view(raw, text=_text(raw.body), encoded=base64.b64encode(raw.body).decode()))


@router.post(
    "/v1/inbox/replay",
    operation_id="replayInbox",
    status_code=202,
    response_model=Replaying,
    responses=problems(403, 404, 422),
)
async def replay_inbox(call: Replayer, body: Replay) -> Response:
    """Normalizes settled deliveries again: what reads the same changes nothing, what reads otherwise is corrected."""
    wanted = _wanted(body)

    async def work(tx: Transaction) -> Answer:
        replayed = await handlers.replay(tx, call.workspace_id, wanted)
        cursor = pages.encode((replayed.last,), order=_REPLAY_ORDER) if replayed.last else None
        return Answer(body=Replaying(count=replayed.count, next_cursor=cursor))

    return await call.perform(work)


def _wanted(body: Replay) -> Wanted:
    for name, at in (("from", body.received_from), ("to", body.received_to)):
        if at is not None and at.tzinfo is None:
            detail = "a time needs its offset, such as `Z`"
            raise Invalid(detail, errors=[{"pointer": f"#/{name}", "detail": detail}])
    after = pages.decode(body.cursor, tuple[str], order=_REPLAY_ORDER)[0] if body.cursor else None
    return Wanted(**body.model_dump(exclude={"cursor"}), after=after)


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None
