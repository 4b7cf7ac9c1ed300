"""What rules have done: how often each held, and which never do."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from services.router.handlers import usage
from services.router.handlers.usage import RuleUse
from shared.web.calls import Call, requires
from shared.web.pages import Page, Paged
from shared.web.problems import problems

Reader = Annotated[Call, requires("rules:read")]
Version = Annotated[int, Path(ge=1, le=2_000_000_000)]

router = APIRouter(tags=["routing"])


class RuleUseView(BaseModel):
    """One rule of a version; the fallback stands last."""

    position: int
    rule: str
    enabled: bool
    decided: int = Field(description="Messages whose owner it decided while the version was in force")
    added: int = Field(description="Messages that it held for and whose owner another rule decided")
    first_at: datetime | None
    last_at: datetime | None
    idle: bool = Field(description="Enabled, and it held for no message in the last `days`")


@router.get(
    "/v1/rulesets/{version}/rules",
    operation_id="listRules",
    response_model=Paged[RuleUseView],
    responses=problems(403, 404),
)
async def list_rules(
    call: Reader,
    version: Version,
    page: Page,
    *,
    days: Annotated[int, Query(ge=1, le=3_660, description="After how many days without a match a rule is idle")] = 30,
    idle: Annotated[bool | None, Query(description="Only those that are idle, or only the others")] = None,
) -> Response:
    """The rules of a version in their order: how often each decided or added, when first and when last."""
    async with call.transaction() as tx:
        found = await usage.used(tx, call.workspace_id, version, within=timedelta(days=days))
    after = page.after(int)
    rest = [one for one in found if idle in (None, one.is_idle) and (after is None or one.position > after)]
    shown, cursor = page.cut(rest, key=lambda one: (one.position,))
    return call.listing([_view(one) for one in shown], cursor)


def _view(one: RuleUse) -> RuleUseView:
    return RuleUseView(
        position=one.position,
        rule=one.rule,
        enabled=one.enabled,
        decided=one.use.decided,
        added=one.use.added,
        first_at=one.use.first_at,
        last_at=one.use.last_at,
        idle=one.is_idle,
    )
