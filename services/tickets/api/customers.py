"""`/v1/customers`: people, their accounts on the networks, and why they are taken for one person."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, Field, StrictBool, StrictFloat, StrictInt, StrictStr
from starlette.responses import Response

from services.tickets.api.lease import ActorView, Reader
from services.tickets.api.shapes import Body, Id, LineView, Ref, Tag, Words, storable
from services.tickets.domain.customer import KEY, LONGEST_TEXT, MOST_ATTRIBUTES, MOST_BYTES, MOST_TAGS
from services.tickets.handlers import customers as handling
from services.tickets.handlers import joining, reading
from services.tickets.handlers.joining import Evidence
from services.tickets.handlers.ledger import Desk
from services.tickets.store import customer_changes, customers, timeline
from services.tickets.store.customers import Customer, Identity
from shared.db.transaction import Transaction
from shared.errors import NotFound
from shared.web.calls import Answer, Call, etag, requires
from shared.web.pages import Page, Paged
from shared.web.problems import problems

Key = Annotated[str, Field(pattern=KEY)]
Text = Annotated[StrictStr, Field(min_length=1, max_length=LONGEST_TEXT), AfterValidator(storable)]
Number = Annotated[StrictInt, Field(ge=-(2**53), le=2**53)] | Annotated[StrictFloat, Field(allow_inf_nan=False)]
Value = StrictBool | Number | Text
_NEVER: Final = 2**62

Amender = Annotated[Call, requires("customers:write")]
Supervisor = Annotated[Call, requires("tickets:write", "tickets:supervise")]

router = APIRouter(tags=["customers"])


class IdentityView(BaseModel):
    """An account; `home` is the customer that it was created with, where unlinking returns it."""

    network: str
    scope: str = Field(description="The channel that the id holds for; empty: the whole network")
    external_id: str
    home: str
    handle: str | None
    name: str | None
    evidence: dict[str, Any] | None


class CustomerView(BaseModel):
    """A person."""

    id: str
    name: str | None
    attributes: dict[str, str | int | float | bool]
    tags: list[str]
    merged_into: str | None
    identities: list[IdentityView]
    version: int
    created_at: datetime


class ChangeView(BaseModel):
    """A change of a customer, and the version that it made."""

    version: int
    actor: ActorView
    reason: Literal["amended", "linked", "unlinked"]
    data: dict[str, Any] = Field(
        description="`attributes`: each before and after; `tags`: added and removed; `accounts`: of whom, or "
        "into whom, they went"
    )
    at: datetime


class AmendBody(Body):
    """What is known of a customer. What is not named stays."""

    attributes: dict[Key, Value | None] = Field(
        default_factory=dict,
        max_length=2 * MOST_ATTRIBUTES,
        description=f"Each is set, or gone with null; at most {MOST_ATTRIBUTES} and {MOST_BYTES} bytes in the end",
    )
    tags: list[Tag] | None = Field(None, max_length=MOST_TAGS, description="All tags from now on")


class EvidenceBody(Body):
    """Why two accounts are taken for one person."""

    kind: Literal["verified-email", "verified-phone", "crm-id", "agent-asserted"]
    value: Ref | None = None
    note: Words | None = None


class LinkBody(Body):
    """Whose accounts become this customer's, and why."""

    customer_id: Ref
    evidence: EvidenceBody


class UnlinkBody(Body):
    """The account that returns to the customer that it was created with."""

    network: Ref
    external_id: Ref
    scope: str | None = Field(None, max_length=128)


@router.get(
    "/v1/customers", operation_id="listCustomers", response_model=Paged[CustomerView], responses=problems(400, 403)
)
async def list_customers(call: Reader, page: Page) -> Response:
    """Customers, without those that were linked into others."""
    async with call.transaction() as tx:
        found = await customers.page(tx, call.workspace_id, after=page.after_id() or "", limit=page.limit + 1)
        shown, cursor = page.cut(found, key=lambda customer: (customer.id,))
        rows = await _rows(tx, call.workspace_id, list(shown))
    return call.listing(rows, cursor)


@router.get(
    "/v1/customers/{customer_id}",
    operation_id="getCustomer",
    response_model=CustomerView,
    responses=problems(403, 404),
)
async def get_customer(customer_id: Id, call: Reader) -> Response:
    """One customer."""
    async with call.transaction() as tx:
        customer = await customers.load(tx, customer_id)
        if customer is None:
            raise NotFound(f"there is no customer {customer_id}")
        [row] = await _rows(tx, call.workspace_id, [customer])
    return call.answer(row, headers={"ETag": etag(customer.version)})


@router.patch(
    "/v1/customers/{customer_id}",
    operation_id="amendCustomer",
    response_model=CustomerView,
    responses=problems(400, 403, 404, 409, 412, 422, 428),
)
async def amend(customer_id: Id, body: AmendBody, call: Amender) -> Response:
    """Sets attributes, one by one, and tags, all at once."""
    version = call.version()

    async def work(tx: Transaction) -> Answer:
        amended = await handling.amend(
            tx, call.principal, customer_id, version=version, attributes=body.attributes, tags=body.tags
        )
        return await _answer(tx, amended)

    return await call.perform(work)


@router.get(
    "/v1/customers/{customer_id}/changes",
    operation_id="listCustomerChanges",
    response_model=Paged[ChangeView],
    responses=problems(400, 403, 404),
)
async def list_changes(customer_id: Id, call: Reader, page: Page) -> Response:
    """What was done to a customer and by whom, newest first."""
    async with call.transaction() as tx:
        if await customers.load(tx, customer_id) is None:
            raise NotFound(f"there is no customer {customer_id}")
        lines = await customer_changes.page(tx, customer_id, before=page.after(int) or _NEVER, limit=page.limit + 1)
    shown, cursor = page.cut(lines, key=lambda line: (line.version,))
    return call.listing([msgspec.to_builtins(line) for line in shown], cursor)


@router.get(
    "/v1/customers/{customer_id}/timeline",
    operation_id="getCustomerTimeline",
    response_model=Paged[LineView],
    responses=problems(400, 403, 404),
)
async def get_timeline(customer_id: Id, call: Reader, page: Page) -> Response:
    """What was said with a customer, in all tickets that the caller may see, newest first."""
    who = call.principal
    before = page.after(tuple[datetime, str, int]) or (None, "", 0)
    async with call.transaction() as tx:
        if await customers.load(tx, customer_id) is None:
            raise NotFound(f"there is no customer {customer_id}")
        lines = await timeline.of_customer(
            tx,
            call.workspace_id,
            customer_id,
            before=before,
            visible=(who.teams, who.agent_id),
            limit=page.limit + 1,
        )
    shown, cursor = page.cut(lines, key=lambda line: (line.at, line.ticket_id, line.seq))
    return call.listing([reading.line(line) for line in shown], cursor)


@router.post(
    "/v1/customers/{customer_id}/link",
    operation_id="linkCustomer",
    response_model=CustomerView,
    responses=problems(403, 404, 409, 422),
)
async def link(customer_id: Id, body: LinkBody, call: Supervisor) -> Response:
    """All accounts of another customer become this one's, and their open tickets one."""
    evidence = Evidence(**body.evidence.model_dump())

    async def work(tx: Transaction) -> Answer:
        desk = call.resource(Desk)
        linked = await joining.link(tx, desk, call.principal, customer_id, other=body.customer_id, evidence=evidence)
        return await _answer(tx, linked)

    return await call.perform(work)


@router.post(
    "/v1/customers/{customer_id}/unlink",
    operation_id="unlinkCustomer",
    response_model=CustomerView,
    responses=problems(403, 404, 409, 422),
)
async def unlink(customer_id: Id, body: UnlinkBody, call: Supervisor) -> Response:
    """An account returns to the customer that it was created with; what was said stays where it was said."""
    fields = body.model_dump()

    async def work(tx: Transaction) -> Answer:
        desk = call.resource(Desk)
        return await _answer(tx, await joining.unlink(tx, desk, call.principal, customer_id, **fields))

    return await call.perform(work)


async def _answer(tx: Transaction, customer: Customer) -> Answer:
    [row] = await _rows(tx, customer.workspace_id, [customer])
    return Answer(body=row, version=customer.version)


async def _rows(tx: Transaction, workspace_id: str, found: list[Customer]) -> list[dict[str, Any]]:
    accounts = await customers.identities(tx, workspace_id, [customer.id for customer in found])
    return [
        {
            "id": customer.id,
            "name": customer.name,
            "attributes": customer.attributes,
            "tags": customer.tags,
            "merged_into": customer.merged_into,
            "identities": [_identity(account) for account in accounts if account.customer_id == customer.id],
            "version": customer.version,
            "created_at": customer.created_at,
        }
        for customer in found
    ]


def _identity(account: Identity) -> IdentityView:
    return IdentityView.model_validate(account, from_attributes=True)
