"""What a workspace calls a surge: kept, changed, and given up, which ends what it began."""

from services.router.domain import surge
from services.router.domain.surge import Policy
from services.router.handlers.surging import LOOK_TIMER, Surges
from services.router.store import surge_counts, surge_policies
from services.router.store.surge_policies import Kept
from shared.db.timers import cancel_timer
from shared.db.transaction import Transaction
from shared.errors import Invalid, NotFound, VersionRequired
from shared.events.payload import Actor
from shared.platform.store import teams
from shared.web.calls import stale


async def find(tx: Transaction, workspace_id: str) -> Kept:
    """The policy; NotFound."""
    kept = await surge_policies.load(tx, workspace_id)
    if kept is None:
        raise NotFound("this workspace has no surge policy: nothing is counted")
    return kept


async def keep(
    tx: Transaction, desk: Surges, workspace_id: str, policy: Policy, *, version: int | None, author: str
) -> tuple[Kept, bool]:
    """Keeps a policy, and whether it is the first: only that one is written without the version that was read."""
    await _check(tx, workspace_id, policy)
    before = await surge_policies.load(tx, workspace_id, lock=True)
    if before is None and version is not None:
        raise NotFound("this workspace has no surge policy that could be changed: send no `If-Match`")
    if before is None and (made := await surge_policies.insert(tx, workspace_id, policy, author=author)):
        await desk.plan(tx, workspace_id)
        return made, True
    before = before or await surge_policies.load(tx, workspace_id, lock=True)
    _match(before, version)
    changed = await surge_policies.save(tx, workspace_id, policy, author=author)
    await desk.plan(tx, workspace_id)
    return changed, False


async def drop(tx: Transaction, desk: Surges, workspace_id: str, *, version: int, by: Actor) -> None:
    """No policy any more: nothing is counted from now on, and what surges is over."""
    kept = await surge_policies.load(tx, workspace_id, lock=True)
    if kept is None:
        raise NotFound("this workspace has no surge policy")
    _match(kept, version)
    await desk.end_all(tx, kept, by=by)
    await cancel_timer(tx, workspace_id=workspace_id, kind=LOOK_TIMER, subject=workspace_id)
    await surge_policies.delete(tx, kept, author=by.id or "")
    await surge_counts.forget(tx, workspace_id)


def _match(kept: Kept | None, version: int | None) -> None:
    if version is None:
        raise VersionRequired("there is a policy already: send `If-Match` with the ETag that you have read")
    if kept is None or kept.version != version:
        raise stale(kept.version if kept else 0, changed_by=kept.author if kept else None)


async def _check(tx: Transaction, workspace_id: str, policy: Policy) -> None:
    errors = surge.problems(policy)
    team = policy.during.team
    if team is not None and not await teams.existing(tx, workspace_id, {team}):
        errors.append({"pointer": "#/during/team", "detail": f"there is no team {team}"})
    if errors:
        raise Invalid("the policy cannot work as it is", errors=errors)
