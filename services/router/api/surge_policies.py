"""`/v1/surge-policy`: what a workspace calls a surge, and who said so."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from services.router.domain.surge import KINDS, SURGE_TAG, Effects, Kind, Policy
from services.router.handlers import surge_policies
from services.router.handlers.surging import Surges
from services.router.store import surge_policies as store
from services.router.store.surge_policies import Change, Kept
from shared.db.transaction import Transaction
from shared.events.payload import Actor
from shared.events.routing import Priority
from shared.web.auth import Principal
from shared.web.calls import Answer, Call, requires
from shared.web.pages import Page, Paged
from shared.web.problems import problems

Reader = Annotated[Call, requires("rules:read")]
Writer = Annotated[Call, requires("rules:write")]
Tag = Annotated[str, Field(pattern=r"^[^\s,\x00-\x1f\x7f]{1,64}$")]

router = APIRouter(tags=["surges"])


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class EnterBody(_Body):
    """Both must hold, and it must not be mere chance."""

    factor: float = Field(
        default=3.0, ge=1.2, le=1_000, description="So many times what is usual at this hour of the week"
    )
    at_least: int = Field(default=20, ge=3, le=1_000_000, description="So many messages in the window")


class LeaveBody(_Body):
    """When it is over."""

    factor: float = Field(default=1.5, ge=1.0, le=1_000, description="Below so many times what is usual")
    after_minutes: int = Field(default=30, ge=0, le=1_440, description="for so long")


class DuringBody(_Body):
    """What becomes of new messages that a surge concerns, until it ends; what rules ignore stays ignored."""

    priority: Priority | None = Field(default=None, description="They get at least this priority")
    team: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,62}$")] | None = Field(
        default=None, description="They go to this team instead of the one that rules decide"
    )
    tags: list[Tag] = Field(default=[SURGE_TAG], max_length=10, description="They get these tags")
    pause_bots: bool = Field(default=False, description="Rules do not answer them by themselves")
    group_duplicates: bool = Field(
        default=False, description="Those of different customers that say the same get one tag, `duplicate:…`"
    )


class PolicyBody(_Body):
    """What a workspace calls a surge."""

    watch: list[Kind] = Field(
        list(KINDS), min_length=1, max_length=len(KINDS), description="Whose messages are counted and compared"
    )
    window_minutes: int = Field(15, ge=5, le=60)
    enter: EnterBody = EnterBody()
    leave: LeaveBody = LeaveBody()
    lasts_minutes: int = Field(15, ge=0, le=1_440, description="It lasts at least so long")
    during: DuringBody = DuringBody()

    def policy(self) -> Policy:
        """As it is kept."""
        during = self.during
        return Policy(
            watch=tuple(dict.fromkeys(self.watch)),
            window_minutes=self.window_minutes,
            factor=self.enter.factor,
            at_least=self.enter.at_least,
            leave_factor=self.leave.factor,
            leave_minutes=self.leave.after_minutes,
            lasts_minutes=self.lasts_minutes,
            during=Effects(
                priority=during.priority,
                team=during.team,
                tags=tuple(dict.fromkeys(during.tags)),
                pause_bots=during.pause_bots,
                group_duplicates=during.group_duplicates,
            ),
        )


class EnterView(BaseModel):
    """When a surge begins."""

    factor: float
    at_least: int


class LeaveView(BaseModel):
    """When it is over."""

    factor: float
    after_minutes: int


class DuringView(BaseModel):
    """What it makes of messages."""

    priority: Priority | None
    team: str | None
    tags: list[str]
    pause_bots: bool
    group_duplicates: bool


class PolicyRules(BaseModel):
    """A policy without its envelope."""

    watch: list[Kind]
    window_minutes: int
    enter: EnterView
    leave: LeaveView
    lasts_minutes: int
    during: DuringView


class PolicyView(PolicyRules):
    """What the workspace calls a surge, since when it counts, and who wrote it."""

    version: int
    author: str
    counting_since: datetime = Field(description="What is usual is told from a day after that on")
    changed_at: datetime


class PolicyChangeView(BaseModel):
    """What somebody made of the policy."""

    version: int
    author: str
    changed_at: datetime
    policy: PolicyRules | None = Field(description="null: it was given up")


@router.put(
    "/v1/surge-policy",
    operation_id="putSurgePolicy",
    response_model=PolicyView,
    responses={201: {"model": PolicyView}, **problems(400, 403, 404, 412, 422, 428)},
)
async def put_surge_policy(call: Writer, body: PolicyBody) -> Response:
    """Says what a surge is: from now on messages are counted. The first one needs no `If-Match`."""
    version = call.version() if "if-match" in call.request.headers else None
    policy = body.policy()

    async def work(tx: Transaction) -> Answer:
        kept, is_new = await surge_policies.keep(
            tx, call.resource(Surges), call.workspace_id, policy, version=version, author=call.principal.id
        )
        return Answer(body=_policy(kept), status=201 if is_new else None, version=kept.version)

    return await call.perform(work)


@router.get("/v1/surge-policy", operation_id="getSurgePolicy", response_model=PolicyView, responses=problems(403, 404))
async def get_surge_policy(call: Reader) -> Response:
    """What this workspace calls a surge."""
    async with call.transaction() as tx:
        kept = await surge_policies.find(tx, call.workspace_id)
    return call.answer(_policy(kept), version=kept.version)


@router.delete(
    "/v1/surge-policy",
    operation_id="deleteSurgePolicy",
    status_code=204,
    responses=problems(400, 403, 404, 412, 428),
)
async def delete_surge_policy(call: Writer) -> Response:
    """Ends every surge, and counts no more; what was counted is forgotten, what surged stays to be read."""
    version = call.version()

    async def work(tx: Transaction) -> None:
        by = actor_of(call.principal)
        await surge_policies.drop(tx, call.resource(Surges), call.workspace_id, version=version, by=by)

    return await call.perform(work)


@router.get(
    "/v1/surge-policy/history",
    operation_id="listSurgePolicies",
    response_model=Paged[PolicyChangeView],
    responses=problems(400, 403),
)
async def list_surge_policies(call: Reader, page: Page) -> Response:
    """Who changed the policy to what, newest first."""
    async with call.transaction() as tx:
        found = await store.changes(tx, call.workspace_id, before=page.after(int), limit=page.limit + 1)
    shown, cursor = page.cut(found, key=lambda one: (one.version,))
    return call.listing([_change(one) for one in shown], cursor)


def actor_of(who: Principal) -> Actor:
    """The caller as events and the audit trail name it."""
    return Actor(kind="agent" if who.kind == "human" else who.kind, id=who.id, name=who.name)


def written(policy: Policy) -> dict[str, Any]:
    """The policy as it was written, for `PolicyRules`."""
    return {
        "watch": list(policy.watch),
        "window_minutes": policy.window_minutes,
        "enter": EnterView(factor=policy.factor, at_least=policy.at_least),
        "leave": LeaveView(factor=policy.leave_factor, after_minutes=policy.leave_minutes),
        "lasts_minutes": policy.lasts_minutes,
        "during": DuringView(
            priority=policy.during.priority,
            team=policy.during.team,
            tags=list(policy.during.tags),
            pause_bots=policy.during.pause_bots,
            group_duplicates=policy.during.group_duplicates,
        ),
    }


def _policy(kept: Kept) -> PolicyView:
    return PolicyView(
        **written(kept.document),
        version=kept.version,
        author=kept.author,
        counting_since=kept.counting_since,
        changed_at=kept.changed_at,
    )


def _change(one: Change) -> PolicyChangeView:
    return PolicyChangeView(
        version=one.version,
        author=one.author,
        changed_at=one.changed_at,
        policy=None if one.document is None else PolicyRules(**written(one.document)),
    )
