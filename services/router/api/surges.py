"""`/v1/surges` and `/v1/surge-policy`: what comes in far above the usual, and what a workspace calls so."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from services.router.domain.surge import FUTURE_EFFECTS, KINDS, SURGE_TAG, Effects, Kind, Policy
from services.router.handlers import surge_policies
from services.router.handlers.surging import Surges
from services.router.store import surge_policies as store
from services.router.store import surges
from services.router.store.surge_policies import Change, Kept
from services.router.store.surges import Surge
from shared.db.transaction import Transaction
from shared.errors import Invalid, NotFound
from shared.events.payload import Actor
from shared.events.routing import Priority
from shared.web.auth import Principal
from shared.web.calls import Answer, Call, requires
from shared.web.pages import Page, Paged
from shared.web.problems import problems

Watcher = Annotated[Call, requires("tickets:read")]
Supervisor = Annotated[Call, requires("tickets:supervise")]
Reader = Annotated[Call, requires("rules:read")]
Writer = Annotated[Call, requires("rules:write")]
SurgeId = Annotated[str, Path(min_length=1, max_length=64)]
Tag = Annotated[str, Field(pattern=r"^[^\s,\x00-\x1f\x7f]{1,64}$")]
LATER: Final = "Not available yet: refused."

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
    pause_bots: Any = Field(default=None, description=LATER)
    group_duplicates: Any = Field(default=None, description=LATER)


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
        """As it is kept; Invalid names effects that have no other half yet."""
        named = [name for name in FUTURE_EFFECTS if name in self.during.model_fields_set]
        if named:
            raise Invalid(
                "the policy asks for what is not available yet",
                errors=[
                    {
                        "pointer": f"#/during/{name}",
                        "detail": f"{name!r} ({FUTURE_EFFECTS[name]}) is known, but not available yet",
                        "unavailable": name,
                    }
                    for name in named
                ],
            )
        during = self.during
        return Policy(
            watch=tuple(dict.fromkeys(self.watch)),
            window_minutes=self.window_minutes,
            factor=self.enter.factor,
            at_least=self.enter.at_least,
            leave_factor=self.leave.factor,
            leave_minutes=self.leave.after_minutes,
            lasts_minutes=self.lasts_minutes,
            during=Effects(priority=during.priority, team=during.team, tags=tuple(dict.fromkeys(during.tags))),
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
        by = _actor(call.principal)
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
        by = _actor(call.principal)
        return _view(await call.resource(Surges).end(tx, call.workspace_id, surge_id, by=by))

    return await call.perform(work)


def _actor(who: Principal) -> Actor:
    return Actor(kind="agent" if who.kind == "human" else who.kind, id=who.id, name=who.name)


def _rules(policy: Policy) -> dict[str, Any]:
    return {
        "watch": list(policy.watch),
        "window_minutes": policy.window_minutes,
        "enter": EnterView(factor=policy.factor, at_least=policy.at_least),
        "leave": LeaveView(factor=policy.leave_factor, after_minutes=policy.leave_minutes),
        "lasts_minutes": policy.lasts_minutes,
        "during": DuringView(priority=policy.during.priority, team=policy.during.team, tags=list(policy.during.tags)),
    }


def _policy(kept: Kept) -> PolicyView:
    return PolicyView(
        **_rules(kept.document),
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
        policy=None if one.document is None else PolicyRules(**_rules(one.document)),
    )


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
        policy=PolicyRules(**_rules(one.policy)),
        policy_version=one.policy_version,
        policy_author=one.policy_author,
    )
