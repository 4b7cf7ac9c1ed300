"""The router's routes: rulesets by version, what is in force, rehearsals, and why a message went where it went."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from services.router.domain.classified import Classified, Sentiment, Urgency
from services.router.domain.facts import Customer, Facts, SurgeChange, Ticket
from services.router.domain.schema import schema
from services.router.domain.standing import OPEN
from services.router.domain.surge import WORKSPACE
from services.router.domain.surging import Surging
from services.router.domain.vocabulary import RECEIVED, Change, ShiftChange, Trigger
from services.router.handlers import deciding, plans, triggering
from services.router.handlers.gathering import Untold
from services.router.store import rulesets
from shared.db.transaction import Transaction
from shared.events.messages import Kind
from shared.events.routing import Lane, Priority
from shared.events.tickets import TicketState
from shared.platform.models import ChannelPurpose
from shared.web.calls import Call, requires
from shared.web.pages import Page, Paged
from shared.web.plans import At, PlanView, view
from shared.web.problems import problems

Reader = Annotated[Call, requires("rules:read")]
Writer = Annotated[Call, requires("rules:write")]
Aspect = Literal["state", "team", "owner", "priority", "tags"]
Version = Annotated[int, Path(ge=1, le=2_000_000_000)]

router = APIRouter(tags=["routing"])


class NewRuleset(BaseModel):
    """A ruleset to be kept as the next version; it is not in force until it is activated."""

    model_config = ConfigDict(extra="forbid")

    document: dict[str, Any] = Field(
        examples=[
            {
                "rules": [
                    {
                        "name": "refunds",
                        "when": {"network": ["facebook"], "keywords": {"any": ["refund*", "退款"]}},
                        "then": {"team": "care", "priority": "high", "tags": ["refund"]},
                    }
                ],
                "fallback": {"team": "community"},
            }
        ]
    )
    note: str | None = Field(None, max_length=500)


class RulesetView(BaseModel):
    """One version."""

    version: int
    active: bool
    note: str | None
    author: str | None
    created_at: datetime
    document: dict[str, Any] | None = None


class Activation(BaseModel):
    """When a version is put in force."""

    model_config = ConfigDict(extra="forbid")

    at: At = None


class ActivatedView(RulesetView):
    """The version that is in force, or will be by this plan."""

    plan: PlanView | None = None


class Warned(BaseModel):
    """Something that may be meant that way, and probably is not."""

    pointer: str
    code: str
    detail: str


class CreatedRuleset(RulesetView):
    """A version that was kept, what is doubtful in it, and what it costs."""

    warnings: list[Warned]
    cost: dict[str, Any]


class OpenTicket(BaseModel):
    """The open ticket of a message's author."""

    model_config = ConfigDict(extra="forbid")

    team: str
    owner: str | None = None
    priority: Priority = "normal"
    tags: tuple[str, ...] = Field((), max_length=100)
    state: TicketState = "open"
    answered_at: AwareDatetime | None = None


class KnownCustomer(BaseModel):
    """What is known of a message's author."""

    model_config = ConfigDict(extra="forbid")

    attributes: dict[str, str | int | float | bool] = Field(default_factory=dict, max_length=100)
    tags: tuple[str, ...] = Field((), max_length=100)


class Rehearsal(BaseModel):
    """A message for trying a version: one that came, by its id, or one that never came."""

    model_config = ConfigDict(extra="forbid")

    message_id: str | None = Field(None, description="a message that was decided; nothing else is given then")
    on: Trigger = Field(RECEIVED, description="what the rules are asked about")
    after_minutes: int | None = Field(None, ge=1, description="of a timer: which of them is asked")
    changed: tuple[Aspect, ...] = Field((), description="what of the ticket changed just now")
    shift_change: tuple[ShiftChange, ...] = Field((), max_length=2, description="who came or went just now")
    surge_change: Change | None = Field(None, description="whether a surge began or ended just now")
    surge_subject: str = Field(WORKSPACE, max_length=500, description="of that surge")
    network: str | None = None
    kind: Kind = "dm"
    channel_id: str = ""
    channel_purpose: ChannelPurpose | None = None
    text: str | None = Field(None, max_length=100_000)
    media: tuple[str, ...] = Field((), max_length=50, description="kinds of attachments")
    rating: float | None = None
    author_id: str | None = None
    author_handle: str | None = None
    author_name: str | None = None
    author_followers: int | None = None
    author_verified: bool | None = None
    author_first: bool = Field(False, description="whether the author never wrote before")
    post_id: str | None = None
    campaign_id: str | None = None
    ad_id: str | None = None
    reply_until: AwareDatetime | None = None
    received_at: AwareDatetime | None = Field(None, description="default: now")
    sentiment: Sentiment | None = Field(None, description="what the classifier would say")
    urgency: Urgency | None = Field(None, description="what the classifier would say")
    lane: Lane | None = Field(None, description="what the classifier would say; words tell lanes of their own")
    surge: bool = Field(False, description="whether its workspace surges; what a policy makes of that is left out")
    ticket: OpenTicket | None = Field(None, description="the open ticket of the author's customer; null: there is none")
    customer: KnownCustomer | None = Field(None, description="what is known of the author; null: nothing")
    shift: tuple[str, ...] = Field((), max_length=10_000, description="teams and people on duty, by id")

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if self.message_id is not None and len(self.model_fields_set) > 1:
            raise ValueError("a message_id stands alone")
        if self.on != RECEIVED and self.ticket is None:
            raise ValueError("name the ticket that the rules are asked about")
        if self.on == RECEIVED and (self.message_id is None) == (self.network is None):
            raise ValueError("either a message_id alone, or a message with its network")
        return self

    def _classified(self) -> Classified | None:
        if not (self.sentiment or self.urgency or self.lane):
            return None
        return Classified(outcome="answered", sentiment=self.sentiment, urgency=self.urgency, lane=self.lane)

    def asked(self) -> Facts | str:
        """The id, or the facts of the message that never came."""
        if self.message_id is not None:
            return self.message_id
        return Facts(
            network=self.network or "",
            kind=self.kind if self.network else "",
            verb="received" if self.on == RECEIVED else "",
            channel=self.channel_id,
            purpose=self.channel_purpose,
            text=self.text,
            media=self.media,
            rating=self.rating,
            author_id=self.author_id,
            handle=self.author_handle,
            name=self.author_name,
            followers=self.author_followers,
            verified=self.author_verified,
            first=self.author_first,
            post=self.post_id,
            campaign=self.campaign_id,
            ad=self.ad_id,
            reply_until=self.reply_until,
            at=self.received_at,
            has_ticket=self.ticket is not None and self.ticket.state in OPEN,
            ticket=Ticket(**self.ticket.model_dump()) if self.ticket else None,
            customer=Customer(**self.customer.model_dump()) if self.customer else Customer(),
            shift=self.shift,
            classified=self._classified(),
            changed=self.changed,
            shifted=self.shift_change,
            surge=SurgeChange(change=self.surge_change, subject=self.surge_subject) if self.surge_change else None,
            surging=Surging(open={WORKSPACE: ""} if self.surge else {}),
        )


@router.post(
    "/v1/rulesets",
    operation_id="createRuleset",
    status_code=201,
    response_model=CreatedRuleset,
    responses=problems(403, 422),
)
async def create_ruleset(call: Writer, body: NewRuleset) -> Response:
    """Keeps a new version, checked: what is certainly wrong is refused, what is doubtful is told."""

    async def work(tx: Transaction) -> CreatedRuleset:
        created, found = await deciding.create(
            tx,
            call.workspace_id,
            document=body.document,
            note=body.note,
            author=call.principal.id,
            untold=call.resource(Untold).facts,
        )
        warnings = [Warned(**one) for one in found.warnings]
        return CreatedRuleset(**_view(created).model_dump(), warnings=warnings, cost=found.cost)

    return await call.perform(work)


@router.get("/v1/rulesets", operation_id="listRulesets", response_model=Paged[RulesetView], responses=problems(403))
async def list_rulesets(call: Reader, page: Page) -> Response:
    """All versions, newest first."""
    async with call.transaction() as tx:
        found = await rulesets.page(tx, call.workspace_id, before=page.after(int), limit=page.limit + 1)
    shown, cursor = page.cut(found, key=lambda one: (one.version,))
    return call.listing([_view(one) for one in shown], cursor)


@router.get("/v1/rulesets/schema", operation_id="getRulesetSchema", responses=problems(403))
async def get_schema(call: Reader) -> Response:
    """The JSON Schema of a ruleset's document: every fact, operator and action, and which of them work today."""
    return call.answer(schema())


@router.get(
    "/v1/rulesets/{version}", operation_id="getRuleset", response_model=RulesetView, responses=problems(403, 404)
)
async def get_ruleset(call: Reader, version: Version) -> Response:
    """One version with its document."""
    async with call.transaction() as tx:
        found = await deciding.load(tx, call.workspace_id, version)
    return call.answer(_view(found))


@router.post(
    "/v1/rulesets/{version}/activate",
    operation_id="activateRuleset",
    response_model=ActivatedView,
    responses=problems(403, 404, 409, 422),
)
async def activate_ruleset(call: Writer, version: Version, body: Activation | None = None) -> Response:
    """Puts a version in force, from the next batch on; with `at`, from the first batch after that instant on."""
    at, author = body.at if body else None, call.principal.id

    async def work(tx: Transaction) -> ActivatedView:
        found, kept = await plans.activate(tx, call.ids, call.workspace_id, version, at=at, author=author)
        return ActivatedView(**_view(found).model_dump(), plan=view(kept) if kept else None)

    return await call.perform(work)


@router.post(
    "/v1/rulesets/rollback",
    operation_id="rollbackRuleset",
    response_model=RulesetView,
    responses=problems(403, 404, 409),
)
async def rollback_ruleset(call: Writer) -> Response:
    """Back to the version that was in force before."""

    async def work(tx: Transaction) -> RulesetView:
        return _view(await deciding.rollback(tx, call.workspace_id, author=call.principal.id))

    return await call.perform(work)


@router.post("/v1/rulesets/{version}/test", operation_id="testRuleset", responses=problems(403, 404))
async def test_ruleset(call: Reader, version: Version, body: Rehearsal) -> Response:
    """What a version would decide about one message, rule by rule; changes nothing."""
    async with call.transaction() as tx:
        return call.answer(
            await deciding.rehearse(tx, call.workspace_id, version, body.asked(), on=body.on, after=body.after_minutes)
        )


@router.get("/v1/rulesets/{version}/diff", operation_id="diffRuleset", responses=problems(403, 404))
async def diff_ruleset(
    call: Reader,
    version: Version,
    against: Annotated[int | None, Query(ge=1, le=2_000_000_000, description="default: the version before")] = None,
) -> Response:
    """What a version changes: rules added, removed, changed and moved, and every other part."""
    async with call.transaction() as tx:
        return call.answer(await deciding.diff(tx, call.workspace_id, version, against=against))


@router.get("/v1/decisions", operation_id="listTicketDecisions", responses=problems(403))
async def list_ticket_decisions(call: Reader, ticket_id: Annotated[str, Query(max_length=64)]) -> Response:
    """What rules decided about a ticket that was there already, the last hundred, newest first, each with its trace."""
    async with call.transaction() as tx:
        explained = await triggering.explain(tx, call.workspace_id, ticket_id)
    return call.listing(explained, None)


@router.get("/v1/decisions/{message_id}", operation_id="explainDecision", responses=problems(403, 404))
async def explain_decision(call: Reader, message_id: str) -> Response:
    """Why a message went where it went, and which rule missed what."""
    async with call.transaction() as tx:
        explained = await deciding.explain(tx, call.workspace_id, message_id)
    return call.answer({"message_id": message_id, "decision": explained[-1], "history": explained[:-1]})


def _view(found: rulesets.Ruleset) -> RulesetView:
    return RulesetView(
        version=found.version,
        active=found.active,
        note=found.note,
        author=found.author,
        created_at=found.created_at,
        document=found.document,
    )
