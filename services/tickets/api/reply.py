"""`/v1/tickets/{id}/replies`, `/v1/replies/{id}` and drafts: answers, and texts that have not left."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from services.tickets.api.lease import ActorView, Reader, Writer
from services.tickets.domain.reply import Order
from services.tickets.handlers import drafts, reply
from services.tickets.handlers.ledger import Desk
from services.tickets.store.drafts import Draft
from shared.db.transaction import Transaction
from shared.events.messages import Attachment
from shared.web.problems import problems

LONGEST: Final = 50_000
"""Characters of a reply or a draft; networks take less, and say how much."""

router = APIRouter(tags=["collision"])


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("a text cannot hold NUL")
    return text


Text = Annotated[str, Field(max_length=LONGEST), AfterValidator(_storable)]
Name = Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_storable)]
Seq = Annotated[int, Field(ge=0, le=2**63 - 1)]
Fence = Annotated[int, Field(ge=1, le=2**63 - 1)]
Kind = Literal["public", "private"]


def check_says_something(text: str, attachments: Sequence[Any], template: str | None) -> None:
    """ValueError for a reply that would be empty."""
    if not (text.strip() or attachments or template):
        raise ValueError("a reply needs a text, an attachment or a template")


class AttachmentBody(BaseModel):
    """A file to send along."""

    model_config = ConfigDict(extra="forbid")

    kind: Name
    url: Name | None = None
    mime: Name | None = None
    size: int | None = Field(None, ge=0, le=2**53)
    expires_at: AwareDatetime | None = None


class ReplyBody(BaseModel):
    """An answer, and what its writer had seen."""

    model_config = ConfigDict(extra="forbid")

    text: Text = ""
    seen_seq: Seq = Field(description="`last_seq` of the ticket as it was shown to the writer")
    fence: Fence | None = None
    in_reply_to: Name | None = Field(None, description="A message's id; the customer's latest when left out")
    kind: Kind | None = Field(None, description="As the customer wrote, when left out")
    attachments: list[AttachmentBody] = Field(default_factory=list, max_length=20)
    template: Name | None = None
    override: bool = Field(False, description="Lifts turn-taken and lease-held, never thread-moved; audited")

    @model_validator(mode="after")
    def _says_something(self) -> "ReplyBody":
        check_says_something(self.text, self.attachments, self.template)
        return self

    def order(self) -> Order:
        """As the handlers take it."""
        files = tuple(Attachment(**attachment.model_dump()) for attachment in self.attachments)
        return Order(**{**self.model_dump(exclude={"attachments"}), "attachments": files})


class QueuedView(BaseModel):
    """A reply that is on its way; `fence` is the lease's, which the send took if nobody had it."""

    id: str
    state: str
    seq: int
    fence: int


class ReplyView(BaseModel):
    """A reply and what became of it."""

    id: str
    ticket_id: str
    state: Literal["queued", "sending", "sent", "failed", "unknown", "cancelled", "held"]
    seq: int
    author: ActorView
    text: str
    kind: Kind
    in_reply_to: str
    turns: list[str]
    fence: int
    override: bool
    rule: str | None = Field(description="The rule that wrote it")
    acknowledges: bool = Field(description="It took no turn: the customer still waits for an answer")
    external_id: str | None
    reason: str | None
    ask_after: datetime | None = Field(description="When a person may settle an unknown one")
    created_at: datetime
    settled_at: datetime | None
    arrived_meanwhile: list[str] | None = Field(
        None, description="Messages that the customer wrote while the reply waited; in `GET` only"
    )


class OutcomeBody(BaseModel):
    """What a person found out about a reply."""

    model_config = ConfigDict(extra="forbid")

    outcome: Literal["sent", "failed"]
    external_id: Name | None = None


class DraftBody(BaseModel):
    """What somebody is typing."""

    model_config = ConfigDict(extra="forbid")

    text: Text
    in_reply_to: Name | None = None
    seen_seq: Seq | None = None
    kind: Kind | None = None


class DraftView(BaseModel):
    """A text that has not left."""

    id: str
    ticket_id: str
    agent_id: str
    text: str
    reason: str = Field(description="`typed`, or why the reply was refused, failed or was held")
    in_reply_to: str | None
    reply_id: str | None
    seen_seq: int | None
    data: dict[str, Any]
    created_at: datetime
    updated_at: datetime


@router.post(
    "/v1/tickets/{ticket_id}/replies",
    operation_id="createReply",
    status_code=202,
    response_model=QueuedView,
    responses=problems(403, 404, 409, 422, 423),
)
async def create_reply(ticket_id: str, body: ReplyBody, call: Writer) -> Response:
    """Answers the customer, unless somebody else does or the thread has moved on: then the text is kept as a draft."""

    async def work(tx: Transaction) -> dict[str, Any]:
        return await reply.submit(tx, call.resource(Desk), call.principal, ticket_id, body.order())

    return await call.perform(work)


@router.get("/v1/replies/{reply_id}", operation_id="getReply", response_model=ReplyView, responses=problems(403, 404))
async def get_reply(reply_id: str, call: Reader) -> Response:
    """What became of a reply."""
    async with call.transaction() as tx:
        shown = await reply.read(tx, call.principal, reply_id)
    return call.answer(shown)


@router.delete(
    "/v1/replies/{reply_id}",
    operation_id="cancelReply",
    status_code=202,
    response_model=ReplyView,
    responses=problems(403, 404, 409),
)
async def cancel_reply(reply_id: str, call: Writer) -> Response:
    """Asks that a waiting reply stay; if it had not left, it becomes a draft."""

    async def work(tx: Transaction) -> dict[str, Any]:
        return await reply.cancel(tx, call.resource(Desk), call.principal, reply_id)

    return await call.perform(work)


@router.post(
    "/v1/replies/{reply_id}/outcome",
    operation_id="settleReply",
    response_model=ReplyView,
    responses=problems(403, 404, 409, 422),
)
async def settle_reply(reply_id: str, body: OutcomeBody, call: Writer) -> Response:
    """Says what became of an unknown reply, once it can no longer be found out."""
    was_sent, external_id = body.outcome == "sent", body.external_id

    async def work(tx: Transaction) -> dict[str, Any]:
        desk = call.resource(Desk)
        return await reply.settle(tx, desk, call.principal, reply_id, was_sent=was_sent, external_id=external_id)

    return await call.perform(work)


@router.put(
    "/v1/tickets/{ticket_id}/draft", operation_id="putDraft", response_model=DraftView, responses=problems(403, 404)
)
async def put_draft(ticket_id: str, body: DraftBody, call: Writer) -> Response:
    """Keeps what the caller is typing; one draft per agent and ticket, the newest text wins."""
    fields = body.model_dump(include={"text", "in_reply_to", "seen_seq"})

    async def work(tx: Transaction) -> DraftView:
        return _draft(await drafts.save(tx, call.ids, call.principal, ticket_id, data={"kind": body.kind}, **fields))

    return await call.perform(work)


@router.get(
    "/v1/tickets/{ticket_id}/drafts",
    operation_id="listDrafts",
    response_model=list[DraftView],
    responses=problems(403, 404),
)
async def list_drafts(ticket_id: str, call: Reader, *, everybodys: bool = False) -> Response:
    """The caller's drafts of a ticket, newest first; everybody's for supervisors who ask."""
    async with call.transaction() as tx:
        found = await drafts.of_ticket(tx, call.principal, ticket_id, everybodys=everybodys)
    return call.answer([_draft(draft) for draft in found])


@router.delete("/v1/drafts/{draft_id}", operation_id="deleteDraft", status_code=204, responses=problems(403, 404))
async def delete_draft(draft_id: str, call: Writer) -> Response:
    """Ends one's own draft."""

    async def work(tx: Transaction) -> None:
        await drafts.delete(tx, call.principal, draft_id)

    return await call.perform(work)


def _draft(draft: Draft) -> DraftView:
    return DraftView.model_validate(draft, from_attributes=True)
