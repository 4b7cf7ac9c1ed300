"""`/v1/rulesets/plans`: versions and rules of structures that take effect at a date."""

from fastapi import APIRouter
from starlette.responses import Response

from services.router.api.rulesets import Reader, Writer
from shared.web.pages import Page, Paged
from shared.web.plans import PlanId, PlanState, PlanView, cancelled, listed
from shared.web.problems import problems

router = APIRouter(tags=["routing"])


@router.get(
    "/v1/rulesets/plans",
    operation_id="listRulesetPlans",
    response_model=Paged[PlanView],
    responses=problems(400, 403),
)
async def list_ruleset_plans(call: Reader, page: Page, state: PlanState = None) -> Response:
    """What is to come and what came of it, the last one that was planned first."""
    return await listed(call, page, state)


@router.delete(
    "/v1/rulesets/plans/{plan_id}",
    operation_id="cancelRulesetPlan",
    response_model=PlanView,
    responses=problems(403, 404, 409),
)
async def cancel_ruleset_plan(call: Writer, plan_id: PlanId) -> Response:
    """It will not happen; 409 when it is over."""
    return await cancelled(call, plan_id)
