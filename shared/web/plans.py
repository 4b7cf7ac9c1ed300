"""Plans on the outside: when a request is to take effect, and what is told of those that were kept."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import AwareDatetime, BaseModel, Field
from starlette.responses import Response

from shared.db import plans
from shared.db.plans import Plan, State
from shared.db.transaction import Transaction
from shared.web.calls import Call
from shared.web.pages import PageRequest

At = Annotated[
    AwareDatetime | None,
    Field(
        description="When it takes effect, by the database's clock; default: at once",
        examples=["2026-12-24T18:00:00+01:00"],
    ),
]
PlanId = Annotated[str, Path(min_length=1, max_length=64)]
PlanState = Annotated[State | None, Query(description="default: all")]


class PlanView(BaseModel):
    """What takes effect at an instant, who planned it, and what came of it."""

    id: str
    at: datetime
    what: dict[str, Any] = Field(examples=[{"ruleset": 3}, {"structure": "shifts"}])
    author: str
    created_at: datetime
    state: State
    ended_at: datetime | None
    ended_by: str | None = Field(description="Who cancelled it")
    reason: str | None = Field(description="Why it could not be done")
    outcome: dict[str, Any] | None = Field(description="What came of it")


async def listed(call: Call, page: PageRequest, state: State | None) -> Response:
    """A page of the plans that the service keeps, the last one that was made first."""
    async with call.transaction() as tx:
        found = await plans.page(tx, call.workspace_id, before=page.after_id(), state=state, limit=page.limit + 1)
    shown, cursor = page.cut(found, key=lambda one: (one.id,))
    return call.listing([view(one) for one in shown], cursor)


async def cancelled(call: Call, plan_id: str) -> Response:
    """A plan that will not happen; 409 when it is over."""

    async def work(tx: Transaction) -> PlanView:
        return view(await plans.cancel(tx, call.workspace_id, plan_id, by=call.principal.id))

    return await call.perform(work)


def view(plan: Plan) -> PlanView:
    """A plan as it is shown."""
    return PlanView(**{name: getattr(plan, name) for name in PlanView.model_fields})
