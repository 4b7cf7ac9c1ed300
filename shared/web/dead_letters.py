"""Dead letters and parked keys of every service in this process, for operators."""

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
import structlog
from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from shared.db.transaction import Transaction
from shared.errors import NotFound
from shared.log import dead_letters
from shared.log.dead_letters import Content, DeadLetter, ParkedKey
from shared.web.calls import Call, requires
from shared.web.pages import Page, Paged
from shared.web.problems import problems

Operator = Annotated[Call, requires("dead-letters:manage")]

_ORDER_OF_PARKED: Final = "parked"

router = APIRouter(prefix="/v1/dead-letters", tags=["operations"])


class Schemas(tuple[str, ...]):
    """The schemas of the services in this process, in order of their names."""

    __slots__ = ()


class DeadLetterView(BaseModel):
    """An event that a service gave up on, and why."""

    service: str
    id: str
    consumer_group: str
    topic: str
    partition: int
    position: int
    key: str
    event_type: str | None
    error_class: str
    error_message: str
    attempts: int
    first_failed_at: datetime
    created_at: datetime


class DeadLetterContent(DeadLetterView):
    """A dead letter with the event as it came."""

    headers: dict[str, str]
    value: Any = Field(description="The event's JSON; null when it is none")
    value_base64: str = Field(description="The bytes as they came")


class ParkedKeyView(BaseModel):
    """A key whose events wait behind one that fails."""

    service: str
    consumer_group: str
    key: str
    attempts: int
    reason: str
    next_at: datetime
    parked_at: datetime
    waiting: int = Field(description="Events in its queue")


@router.get("", operation_id="listDeadLetters", response_model=Paged[DeadLetterView])
async def list_dead_letters(call: Operator, page: Page) -> Response:
    """Events that no handler could take, the newest first."""
    before = page.after_id()
    found: list[DeadLetterView] = []
    async with call.transaction() as tx:
        for schema in call.resource(Schemas):
            with _within(tx, schema):
                letters = await dead_letters.page(tx, before=before, limit=page.limit + 1)
            found += [_letter(schema, letter) for letter in letters]
    found.sort(key=lambda letter: letter.id, reverse=True)
    shown, cursor = page.cut(found, key=lambda letter: (letter.id,))
    return call.listing(shown, cursor)


@router.get("/parked", operation_id="listParkedKeys", response_model=Paged[ParkedKeyView])
async def list_parked_keys(call: Operator, page: Page) -> Response:
    """Keys that wait, by service, group and key."""
    after = page.after(tuple[str, str, str], order=_ORDER_OF_PARKED)
    found: list[ParkedKeyView] = []
    async with call.transaction() as tx:
        for schema in call.resource(Schemas):
            if len(found) > page.limit or (after and schema < after[0]):
                continue
            place = after[1:] if after and after[0] == schema else None
            with _within(tx, schema):
                keys = await dead_letters.parked_keys(tx, after=place, limit=page.limit + 1 - len(found))
            found += [_parked(schema, key) for key in keys]
    shown, cursor = page.cut(found, key=lambda key: (key.service, key.consumer_group, key.key), order=_ORDER_OF_PARKED)
    return call.listing(shown, cursor)


@router.get("/{letter_id}", operation_id="getDeadLetter", response_model=DeadLetterContent, responses=problems(404))
async def get_dead_letter(letter_id: str, call: Operator) -> Response:
    """One dead letter with its event and its error."""
    async with call.transaction() as tx:
        schema, content = await _find(tx, call.resource(Schemas), letter_id)
    return call.answer(_content(schema, content))


@router.post(
    "/{letter_id}/redrive", operation_id="redriveDeadLetter", response_model=ParkedKeyView, responses=problems(404)
)
async def redrive_dead_letter(letter_id: str, call: Operator) -> Response:
    """Puts the event at the end of its key's queue; it is tried at once."""

    async def work(tx: Transaction) -> ParkedKeyView:
        schema, _ = await _find(tx, call.resource(Schemas), letter_id)
        with _within(tx, schema):
            key = await dead_letters.redrive(tx, letter_id)
        _audit(tx, call, "dead_letter_redriven", letter_id, schema)
        return _parked(schema, key)

    return await call.perform(work)


@router.delete("/{letter_id}", operation_id="dropDeadLetter", status_code=204, responses=problems(404))
async def drop_dead_letter(letter_id: str, call: Operator) -> Response:
    """Forgets the event for good."""

    async def work(tx: Transaction) -> None:
        schema, _ = await _find(tx, call.resource(Schemas), letter_id)
        with _within(tx, schema):
            await dead_letters.drop(tx, letter_id)
        _audit(tx, call, "dead_letter_dropped", letter_id, schema)

    return await call.perform(work)


async def _find(tx: Transaction, schemas: Sequence[str], letter_id: str) -> tuple[str, Content]:
    for schema in schemas:
        with _within(tx, schema):
            try:
                return schema, await dead_letters.show(tx, letter_id)
            except NotFound:
                continue
    raise NotFound(f"there is no dead letter {letter_id}", dead_letter=letter_id)


@contextmanager
def _within(tx: Transaction, schema: str) -> Iterator[None]:
    """The same transaction, working in another service's schema: only operators' tools cross them."""
    before, tx.schema = tx.schema, schema
    try:
        yield
    finally:
        tx.schema = before


def _audit(tx: Transaction, call: Call, what: str, letter_id: str, schema: str) -> None:
    facts = {"dead_letter": letter_id, "service": schema, "by": call.principal.id, "workspace_id": call.workspace_id}
    tx.after_commit(lambda: structlog.get_logger().info(what, **facts))


def _letter(schema: str, letter: DeadLetter) -> DeadLetterView:
    return DeadLetterView(service=schema, **asdict(letter))


def _content(schema: str, content: Content) -> DeadLetterContent:
    try:
        value = msgspec.json.decode(content.value)
    except msgspec.DecodeError:
        value = None
    return DeadLetterContent(
        service=schema,
        **asdict(content.letter),
        headers={name: raw.decode("utf-8", "replace") for name, raw in content.headers},
        value=value,
        value_base64=base64.b64encode(content.value).decode(),
    )


def _parked(schema: str, key: ParkedKey) -> ParkedKeyView:
    return ParkedKeyView(service=schema, **asdict(key))
