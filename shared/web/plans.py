"""Plans on the outside: when a request is to take effect, and what is told of those that were kept."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import AwareDatetime, BaseModel, Field

from shared.db.plans import Plan, State

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


def view(plan: Plan) -> PlanView:
    """A plan as it is shown."""
    return PlanView(**{name: getattr(plan, name) for name in PlanView.model_fields})
