"""Schedules and calendar programs: imported absences and covers, and who is on duty as a file."""

import asyncio
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

import msgspec

from services.tickets.domain import ical
from services.tickets.domain import schedule as schedules_
from services.tickets.domain.duty import Duty
from services.tickets.domain.ical import Occurrence, Reading, Skipped
from services.tickets.domain.schedule import Absence, Cover, Schedule
from services.tickets.handlers import duties
from services.tickets.handlers.ledger import Desk
from shared.db.transaction import Transaction
from shared.errors import NotFound
from shared.platform.store import agents, teams
from shared.web.auth import Principal

PAST: Final = timedelta(days=31)
AHEAD: Final = timedelta(days=366)
"""How much of a calendar is read."""

ImportKind = Literal["absences", "covers"]


class Import(NamedTuple):
    """What a calendar is, what it is called here, and whose it is where its events do not say so."""

    kind: ImportKind
    source: str
    agent: str | None


class Window(NamedTuple):
    """Which part of a calendar is read, and in which zone its days are meant."""

    zone: str
    since: datetime
    until: datetime


class Plan(NamedTuple):
    """What is needed to write down who is on duty."""

    team: str
    title: str
    schedule: Schedule
    names: dict[str, str]
    since: datetime
    at: datetime


async def window(tx: Transaction, workspace: str, team_id: str) -> Window:
    """A month ago to a year ahead, in the zone of the team's schedule; NotFound without one."""
    kept = await duties.load(tx, workspace, team_id)
    now = await tx.now()
    return Window(schedules_.parse(kept.document).zone, now - PAST, now + AHEAD)


async def read(raw: bytes, within: Window) -> Reading:
    """What a calendar says; outside of any transaction, and beside what else there is to do."""
    return await asyncio.to_thread(ical.read, raw, **within._asdict())


async def take_over(
    tx: Transaction, desk: Desk, who: Principal, team_id: str, *, reading: Reading, wanted: Import
) -> dict[str, Any]:
    """Puts what was read in place of what an earlier import of this source left; in force at once."""
    workspace = who.workspace_id
    kept = await duties.lock(tx, workspace, team_id)
    if kept is None:
        raise NotFound(f"there is no schedule of a team {team_id}")
    members = await teams.people(tx, workspace, team_id)
    if wanted.agent is not None and wanted.agent not in members:
        raise NotFound(f"agent {wanted.agent} is not in team {team_id}")
    found = await agents.load_many(tx, workspace, members)
    people = _People({id_: one.name for id_, one in found.items()}, wanted.agent)
    named = [(people.find(one), one) for one in reading.occurrences]
    spans = [(name, one) for name, one in named if name is not None]
    strangers = [one for name, one in named if name is None]
    skipped = {one.uid: Skipped(one.uid, f"nobody in the team is called so: {_said(one)}") for one in strangers}
    schedule = schedules_.parse(kept.document)
    changed = _with(schedule, wanted, spans)
    saved = kept if changed == schedule else await duties.keep(tx, desk, workspace, team_id, changed)
    return {
        "source": wanted.source,
        "taken": len(spans),
        "skipped": [one._asdict() for one in (*reading.skipped, *skipped.values())],
        "version": saved.version,
    }


async def plan(tx: Transaction, workspace: str, team_id: str, *, since: datetime | None) -> Plan:
    """A team's plan from an instant on (now, when none is named)."""
    kept = await duties.load(tx, workspace, team_id)
    team = await teams.load(tx, workspace, team_id)
    members = await teams.people(tx, workspace, team_id, working=True)
    found = await agents.load_many(tx, workspace, members)
    now = await tx.now()
    return Plan(
        team=f"{workspace}/{team_id}",
        title=team.name if team else team_id,
        schedule=schedules_.parse(kept.document),
        names={id_: one.name for id_, one in found.items()},
        since=since if since is not None else now,
        at=now,
    )


async def export(found: Plan, *, days: int, agent: str | None) -> bytes:
    """Who is on duty, one agent or all, as a calendar."""
    duty = Duty(found.schedule, found.names)
    watches = await asyncio.to_thread(duty.watches, found.since, found.since + timedelta(days=days))
    wanted = [watch for watch in watches if agent in (None, watch.agent)]
    return ical.write(found.title, wanted, names=found.names, team=found.team, at=found.at)


class _People:
    """Who a calendar may mean: one agent, or the members by id and by name, where no two have the same."""

    def __init__(self, names: dict[str, str], agent: str | None) -> None:
        self._agent = agent
        self._called: dict[str, set[str]] = {}
        for id_, name in names.items():
            for word in (id_, name.casefold()):
                self._called.setdefault(word, set()).add(id_)

    def find(self, one: Occurrence) -> str | None:
        if self._agent is not None:
            return self._agent
        for name in one.names:
            meant = self._called.get(name, set()) | self._called.get(name.casefold(), set())
            if len(meant) == 1:
                return meant.pop()
        return None


def _with(schedule: Schedule, wanted: Import, spans: list[tuple[str, Occurrence]]) -> Schedule:
    source = wanted.source
    if wanted.kind == "absences":
        absences = [one for one in schedule.absences if one.source != source]
        absences += [Absence(agent=agent, since=one.since, until=one.until, source=source) for agent, one in spans]
        return msgspec.structs.replace(schedule, absences=tuple(absences))
    covers = [one for one in schedule.covers if one.source != source]
    covers += [Cover(by=agent, since=one.since, until=one.until, source=source) for agent, one in spans]
    return msgspec.structs.replace(schedule, covers=tuple(covers))


def _said(one: Occurrence) -> str:
    return ", ".join(one.names)[:200] or "it names nobody"
