"""Whether an agent may be given one more ticket by hand."""

from services.tickets.domain.assignment import Member
from services.tickets.domain.refusals import AgentAbsent, AtCapacity
from services.tickets.handlers.changes import Changes
from shared.errors import Forbidden, NotFound
from shared.web.auth import Principal


def check_room(changes: Changes, who: Principal, agent: str, *, team: str | None = None, override: bool) -> None:
    """Refused when the agent is full, or absent without being the caller; supervisors may override both."""
    if override and not who.may("tickets:supervise"):
        raise Forbidden("to assign beyond capacity needs tickets:supervise", missing=["tickets:supervise"])
    member = changes.roster.find(who.workspace_id, agent)
    if member is None or member.disabled:
        raise NotFound(f"there is no agent {agent}")
    if override:
        return
    absence = member.availability if member.availability != "available" else _off_duty(member, team)
    if absence is not None and agent != who.agent_id:
        raise AgentAbsent(f"agent {agent} is {absence}", availability=absence)
    if member.load >= member.capacity:
        raise AtCapacity(
            f"agent {agent} has {member.load} of {member.capacity} tickets",
            agent=agent,
            load=member.load,
            capacity=member.capacity,
        )


def _off_duty(member: Member, team: str | None) -> str | None:
    return "off-duty" if team in member.off_duty else None
