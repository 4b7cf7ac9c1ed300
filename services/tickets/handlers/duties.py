"""Schedules of teams: kept, asked, and put into effect at every change of duty."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from services.tickets.domain import schedule as schedules_
from services.tickets.domain.assignment import Key
from services.tickets.domain.duty import Duty
from services.tickets.domain.schedule import Schedule
from services.tickets.handlers import assigning
from services.tickets.handlers.changes import Changes
from services.tickets.handlers.ledger import Desk
from services.tickets.handlers.queues import MOST_AT_ONCE, fill, share_out
from services.tickets.store import assignments, tickets
from services.tickets.store.timers import Timer
from shared.db.transaction import Transaction
from shared.errors import NotFound, VersionRequired
from shared.events.duties import DutyChanged
from shared.events.payload import SYSTEM
from shared.platform.models import KeptSchedule
from shared.platform.store import schedules, teams
from shared.web.calls import stale

DUTY_TIMER: Final = "duty"
HANDOVER_TIMER: Final = "handover"
SHIFT_ENDED: Final = "shift-ended"

_SOON: Final = timedelta(seconds=1)
_LATER: Final = timedelta(minutes=1)
"""How soon we look again at work that somebody answers at this moment, or for which nobody on duty has room."""

_NAME_ENDS: Final = "/"


async def put(
    tx: Transaction, desk: Desk, workspace: str, team_id: str, *, version: int | None, document: Any
) -> KeptSchedule:
    """Keeps a team's schedule, which is in force at once; one that is replaced must be the one that was read."""
    schedule = schedules_.parse(document)
    found = await lock(tx, workspace, team_id)
    if found is not None and version is None:
        raise VersionRequired("send `If-Match` with the ETag that you have read")
    if version is not None and version != (found.version if found else 0):
        raise stale(found.version if found else 0)
    schedules_.refuse(schedules_.strangers(schedule, await teams.people(tx, workspace, team_id)))
    await _check_stand_in(tx, workspace, team_id, schedule)
    return await keep(tx, desk, workspace, team_id, schedule)


async def lock(tx: Transaction, workspace: str, team_id: str) -> KeptSchedule | None:
    """A team's schedule under the lock of the team's row, or None; NotFound when there is no such team."""
    if await teams.load(tx, workspace, team_id, lock=True) is None:
        raise NotFound(f"there is no team {team_id}")
    return await schedules.load(tx, workspace, team_id)


async def keep(tx: Transaction, desk: Desk, workspace: str, team_id: str, schedule: Schedule) -> KeptSchedule:
    """Stores a schedule, under the lock of the team's row, and brings duty in line with it."""
    document = schedules_.as_document(schedule)
    # What is put together from parts is looked at as a whole, too.
    schedules_.parse(document)
    kept = await schedules.save(tx, workspace, team_id, document)
    await turn(tx, desk, workspace, team_id)
    return kept


async def load(tx: Transaction, workspace: str, team_id: str) -> KeptSchedule:
    """A team's schedule; NotFound."""
    found = await schedules.load(tx, workspace, team_id)
    if found is None:
        raise NotFound(f"there is no schedule of a team {team_id}")
    return found


async def remove(tx: Transaction, desk: Desk, workspace: str, team_id: str, *, version: int) -> None:
    """Forgets a team's schedule: from now on all its members are on duty."""
    await lock(tx, workspace, team_id)
    found = await load(tx, workspace, team_id)
    if version != found.version:
        raise stale(found.version)
    await schedules.delete(tx, workspace, team_id)
    await turn(tx, desk, workspace, team_id)


async def ask(tx: Transaction, workspace: str, team_id: str, at: datetime | None) -> dict[str, Any]:
    """Which people are on duty at an instant (now, when none is named), and when that may change."""
    if await teams.load(tx, workspace, team_id) is None:
        raise NotFound(f"there is no team {team_id}")
    when = at if at is not None else await tx.now()
    people = await teams.people(tx, workspace, team_id, working=True)
    found = await schedules.load(tx, workspace, team_id)
    answer = {"team": team_id, "at": when, "agents": people, "scheduled": people, "stand_in": None, "until": None}
    if found is None:
        return answer
    duty = Duty(schedules_.parse(found.document), people)
    return answer | {
        "agents": sorted(duty.on_duty(when)),
        "scheduled": sorted(duty.scheduled(when)),
        "stand_in": duty.stand_in(when),
        "until": duty.next_look(when),
    }


def team_of(subject: str) -> str:
    """The team that a timer of this page is about."""
    return subject.partition(_NAME_ENDS)[0]


async def turn(tx: Transaction, desk: Desk, workspace: str, team_id: str) -> None:
    """Brings who is on duty in line with the schedule, under the lock of the team's row: those who came take from the
    queue, the work of those who went is handed over by the schedule's policy. Bots are always on duty."""
    found = await schedules.load(tx, workspace, team_id)
    members = await schedules.lock_members(tx, workspace, team_id)
    bots = members.difference(await teams.people(tx, workspace, team_id))
    changes = Changes(tx, desk.ids, now=await tx.now())
    schedule = schedules_.parse(found.document) if found else None
    duty = Duty(schedule, await teams.people(tx, workspace, team_id, working=True)) if schedule else None
    on_duty = duty.on_duty(changes.now) | bots if duty else members
    stand_in = duty.stand_in(changes.now) if duty else None
    # The load of all members before what it is decided by: whoever assigns reads duty after the same locks.
    await changes.lock_roster(teams=[(workspace, team_id)])
    turned = await schedules.set_duty(tx, workspace, team_id, on_duty, stand_in=stand_in)
    came, went = sorted(turned.came - bots), sorted(turned.went - bots)
    if came or went:
        told = DutyChanged(
            workspace_id=workspace,
            team=team_id,
            actor=SYSTEM,
            at=changes.now,
            on_duty=len(on_duty - bots),
            came=tuple(came),
            went=tuple(went),
        )
        tx.emit(told, key=f"{workspace}:{team_id}")
    await changes.lock_roster(teams=[(workspace, team_id)])
    has_more = await share_out(changes, workspace, team_id)
    if schedule is not None and schedule.handover != "keep":
        for agent in await tickets.holders(tx, workspace, members - on_duty, team_id):
            _set_timer(changes, HANDOVER_TIMER, (workspace, f"{team_id}{_NAME_ENDS}{agent}"), changes.now)
    if duty is not None or has_more:
        due = changes.now + _SOON if has_more or duty is None else duty.next_look(changes.now)
        _set_timer(changes, DUTY_TIMER, (workspace, team_id), due)
    await changes.flush()


async def hand_over(tx: Transaction, desk: Desk, workspace: str, subject: str) -> None:
    """Moves what somebody who went off duty still owns, some at a time; never what is being answered. Under the lock of
    the team's row, as `turn`."""
    team, _, agent = subject.partition(_NAME_ENDS)
    found = await schedules.load(tx, workspace, team)
    policy = schedules_.parse(found.document).handover if found else "keep"
    held = await tickets.held_for(tx, workspace, agent, team, limit=MOST_AT_ONCE)
    if policy == "keep" or not held:
        return
    locked = (await tickets.lock_known(tx, held)).values()
    held = await tickets.held_for(tx, workspace, agent, team, limit=MOST_AT_ONCE)
    changes = Changes(tx, desk.ids, now=await tx.now())
    changes.adopt(*locked)
    changes.know((await assignments.current(tx, changes.held)).values())
    await changes.lock_roster(teams=[(workspace, team)], agents=[(workspace, agent)])
    member = changes.roster.find(workspace, agent)
    if member is None or team not in member.off_duty:
        return
    moved = 0
    for ticket_id in sorted(held.keys() & set(changes.held)):
        step = changes.current(ticket_id)
        if held[ticket_id] or step is None or step.agent != agent:
            continue
        if policy == "team" or changes.roster.choose(workspace, team).agent is not None:
            assigning.transfer(changes, ticket_id, SYSTEM, reason=SHIFT_ENDED)
            moved += 1
    await fill(changes, workspace, agent)
    # Where nobody is on duty, the next change of duty begins this anew.
    if policy == "team" or changes.roster.is_staffed(workspace, team):
        due = changes.now + (_SOON if moved else _LATER)
        _set_timer(changes, HANDOVER_TIMER, (workspace, subject), due)
    await changes.flush()


async def look_again(changes: Changes, workspace: str, places: Iterable[str]) -> None:
    """Who is in these teams has changed: those that have a schedule ask it at once."""
    for team in await schedules.scheduled(changes.tx, workspace, places):
        _set_timer(changes, DUTY_TIMER, (workspace, team), changes.now)


async def _check_stand_in(tx: Transaction, workspace: str, team_id: str, schedule: Schedule) -> None:
    if schedule.stand_in is None:
        return
    is_other = schedule.stand_in != team_id and await teams.load(tx, workspace, schedule.stand_in) is not None
    detail = f"there is no other team {schedule.stand_in}"
    schedules_.refuse([] if is_other else [{"pointer": "#/stand_in", "detail": detail}])


def _set_timer(changes: Changes, kind: str, key: Key, due: datetime) -> None:
    changes.set_timer(Timer(workspace_id=key[0], kind=kind, subject=key[1], due_at=due))
