"""Agents and teams: whoever becomes available, or gets more room, takes from the queue in the same transaction."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from services.tickets.domain.assignment import Key
from services.tickets.handlers import assigning, duties
from services.tickets.handlers.access import actor_of
from services.tickets.handlers.changes import Changes
from services.tickets.handlers.ledger import Desk
from services.tickets.handlers.queues import DRAIN_TIMER, MOST_AT_ONCE, fill
from services.tickets.store import assignments, tickets
from services.tickets.store.timers import Timer
from shared.db.transaction import Transaction
from shared.errors import Conflict, Forbidden, NotFound
from shared.events.duties import AvailabilityChanged
from shared.events.payload import SYSTEM
from shared.platform.models import Agent, Team
from shared.platform.scopes import ROLES, Role
from shared.platform.store import agents, teams
from shared.web.auth import Principal
from shared.web.calls import stale

UNLOAD_TIMER: Final = "unload"

_SOON: Final = timedelta(seconds=1)


class TeamBusy(Conflict):
    """Tickets that are not resolved belong to the team."""

    code = "team-busy"
    title = "The team has tickets"


async def hire(tx: Transaction, desk: Desk, who: Principal, *, places: list[str], role: Role, **fields: Any) -> Agent:
    """A new agent, in some teams; takes from their queues at once."""
    _check_role(who, role)
    agent = await agents.create(tx, who.workspace_id, agent_id=desk.ids.new("agt"), role=role, **fields)
    for team in sorted(places):
        await teams.add_member(tx, who.workspace_id, team, agent.id)
    changes = await _rise(tx, desk, agent)
    await duties.look_again(changes, who.workspace_id, places)
    await changes.flush()
    return agent


async def amend(
    tx: Transaction, desk: Desk, who: Principal, agent_id: str, *, version: int | None, fields: dict[str, Any]
) -> Agent:
    """Changes an agent. One who is disabled gives every ticket back; one who gets room takes from the queue."""
    key: Key = (who.workspace_id, agent_id)
    changes = Changes(tx, desk.ids, now=await tx.now())
    # Before the agent's row: whoever assigns locks the load and reads availability after it.
    await changes.lock_roster(teams=(), agents=[key])
    agent = await agents.load(tx, who.workspace_id, agent_id, lock=True)
    if agent is None:
        raise NotFound(f"there is no agent {agent_id}")
    if version is not None and version != agent.version:
        raise stale(agent.version)
    if (role := fields.get("role")) is not None:
        _check_role(who, role)
    disabled = fields.pop("disabled", None)
    if disabled is not None and disabled != (agent.disabled_at is not None):
        fields["disabled_at"] = changes.now if disabled else None
    saved = await agents.save(tx, replace(agent, **fields))
    if saved is None:
        raise stale(agent.version)
    if saved.availability != agent.availability:
        told = AvailabilityChanged(
            workspace_id=who.workspace_id,
            agent=agent_id,
            actor=actor_of(who),
            at=changes.now,
            availability=saved.availability,
            before=agent.availability,
        )
        tx.emit(told, key=agent_id)
    if saved.disabled_at is not None and agent.disabled_at is None:
        _set_timer(changes, UNLOAD_TIMER, key)
    else:
        changes = await _rise(tx, desk, saved)
    if saved.disabled_at != agent.disabled_at:
        await duties.look_again(changes, key[0], (await teams.teams_of(tx, key[0], [agent_id]))[agent_id])
    await changes.flush()
    return saved


async def join(tx: Transaction, desk: Desk, who: Principal, team_id: str, agent_id: str) -> None:
    """Puts an agent into a team, whose queue it then takes from."""
    await teams.add_member(tx, who.workspace_id, team_id, agent_id)
    agent = await agents.load(tx, who.workspace_id, agent_id)
    if agent is None:
        raise NotFound(f"there is no agent {agent_id}")
    changes = await _rise(tx, desk, agent)
    # Somebody who reads the team's members at this moment may still queue a ticket past the new one.
    _set_timer(changes, DRAIN_TIMER, (who.workspace_id, agent_id))
    await duties.look_again(changes, who.workspace_id, [team_id])
    await changes.flush()


async def leave(tx: Transaction, desk: Desk, who: Principal, team_id: str, agent_id: str) -> None:
    """Takes an agent out of a team; the tickets that it owns stay with it."""
    if not await teams.remove_member(tx, who.workspace_id, team_id, agent_id):
        raise NotFound(f"agent {agent_id} is not in team {team_id}")
    changes = Changes(tx, desk.ids, now=await tx.now())
    await duties.look_again(changes, who.workspace_id, [team_id])
    await changes.flush()


async def amend_team(tx: Transaction, who: Principal, team_id: str, *, version: int, fields: dict[str, Any]) -> Team:
    """Changes how a team takes work, or makes it the fallback."""
    team = await teams.load(tx, who.workspace_id, team_id, lock=True)
    if team is None:
        raise NotFound(f"there is no team {team_id}")
    if version != team.version:
        raise stale(team.version)
    if fields.pop("is_fallback", None) and not team.is_fallback:
        team = await teams.move_fallback(tx, who.workspace_id, team_id)
    saved = await teams.save(tx, replace(team, **fields))
    if saved is None:
        raise stale(team.version)
    return saved


async def dissolve(tx: Transaction, who: Principal, team_id: str) -> None:
    """Removes a team that has no tickets left; what is routed to it later goes to the fallback team."""
    team = await teams.load(tx, who.workspace_id, team_id, lock=True)
    if team is None:
        raise NotFound(f"there is no team {team_id}")
    if team.is_fallback:
        raise Conflict(f"{team_id} is the fallback team: make another one the fallback first")
    if await tickets.has_active(tx, who.workspace_id, team_id):
        raise TeamBusy(f"team {team_id} has tickets: transfer them first")
    await teams.delete(tx, who.workspace_id, team_id)


async def drain(tx: Transaction, desk: Desk, workspace: str, agent_id: str) -> None:
    """What an earlier transaction had to leave in the queues because it was locked."""
    changes = await _changes(tx, desk, workspace, agent_id)
    # Goes on by itself only while there is progress; the next event of this agent begins anew.
    given = await fill(changes, workspace, agent_id, again=False)
    if given == MOST_AT_ONCE:
        _set_timer(changes, DRAIN_TIMER, (workspace, agent_id))
    await changes.flush()


async def unload(tx: Transaction, desk: Desk, workspace: str, agent_id: str) -> None:
    """A disabled agent's tickets go to others, some at a time."""
    held = await tickets.held_by(tx, workspace, agent_id, limit=MOST_AT_ONCE)
    if not held:
        return
    locked = {ticket.id: ticket for ticket in (await tickets.lock_known(tx, held)).values()}
    changes = Changes(tx, desk.ids, now=await tx.now())
    changes.adopt(*locked.values())
    changes.know((await assignments.current(tx, list(locked))).values())
    await changes.lock_roster(
        teams={(workspace, ticket.team) for ticket in locked.values()}, agents=[(workspace, agent_id)]
    )
    member = changes.roster.find(workspace, agent_id)
    if member is not None and not member.disabled:
        return
    for ticket_id in sorted(locked):
        step = changes.current(ticket_id)
        if step is not None and step.agent == agent_id:
            assigning.unassign(changes, ticket_id, SYSTEM, reason="owner-disabled")
            assigning.assign(changes, ticket_id)
    _set_timer(changes, UNLOAD_TIMER, (workspace, agent_id))
    await changes.flush()


async def _rise(tx: Transaction, desk: Desk, agent: Agent) -> Changes:
    # The caller writes it, with what it adds: a timer that is set twice must be one row of one statement.
    changes = await _changes(tx, desk, agent.workspace_id, agent.id)
    await fill(changes, agent.workspace_id, agent.id)
    return changes


async def _changes(tx: Transaction, desk: Desk, workspace: str, agent_id: str) -> Changes:
    changes = Changes(tx, desk.ids, now=await tx.now())
    await changes.lock_roster(teams=(), agents=[(workspace, agent_id)])
    return changes


def _set_timer(changes: Changes, kind: str, key: Key) -> None:
    changes.set_timer(Timer(workspace_id=key[0], kind=kind, subject=key[1], due_at=changes.now + _SOON))


def _check_role(who: Principal, role: Role) -> None:
    excess = ROLES[role] - who.scopes
    if excess:
        raise Forbidden(f"the role {role} may do more than you", missing=sorted(excess))
