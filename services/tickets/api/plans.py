"""`/v1/structures/plans`: the people's side of structures that take effect at a date."""

from fastapi import APIRouter
from starlette.responses import Response

from services.tickets.api.lease import Reader
from services.tickets.api.staff import Manager
from shared.web.pages import Page, Paged
from shared.web.plans import PlanId, PlanState, PlanView, cancelled, listed
from shared.web.problems import problems

router = APIRouter(tags=["staff"])


@router.get(
    "/v1/structures/plans",
    operation_id="listStructurePlans",
    response_model=Paged[PlanView],
    responses=problems(400, 403),
)
async def list_structure_plans(call: Reader, page: Page, state: PlanState = None) -> Response:
    """What is to come and what came of it, the last one that was planned first."""
    return await listed(call, page, state)


@router.delete(
    "/v1/structures/plans/{plan_id}",
    operation_id="cancelStructurePlan",
    response_model=PlanView,
    responses=problems(403, 404, 409),
)
async def cancel_structure_plan(call: Manager, plan_id: PlanId) -> Response:
    """It will not happen; 409 when it is over. Teams that were created for it stay."""
    return await cancelled(call, plan_id)
