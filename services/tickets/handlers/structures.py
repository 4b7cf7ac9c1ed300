"""Applies the people's side of a structure, now or at a date: teams, who is in them, and when they work."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import msgspec

from services.tickets.domain import schedule as schedules_
from services.tickets.handlers import duties
from services.tickets.handlers.ledger import Desk
from services.tickets.store import staff
from shared import structures
from shared.db import plans
from shared.db.plans import Plan, What
from shared.db.transaction import Transaction
from shared.errors import Invalid
from shared.platform.store import agents, schedules, teams, workspaces
from shared.structures import Structure
from shared.web.auth import Principal

MOST_MEMBERS: Final = 500
"""How many agents a structure puts into a team by itself."""

Step = dict[str, Any]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a structure is applied."""

    zone: str = "UTC"
    members: dict[str, list[str]] = {}
    """By team; a team that has nobody and is not named gets every person of the workspace."""
    replace: bool = False
    """Whether a schedule takes the place of another one."""


class _Undone(Exception):
    """Everything was only tried."""


async def apply(
    tx: Transaction,
    desk: Desk,
    who: Principal,
    structure: Structure,
    options: Options,
    *,
    at: datetime | None,
    dry_run: bool,
) -> tuple[dict[str, Any], Plan | None]:
    """What was created, added and put, or would be if it were now; a second time there is nothing left to do.

    With a plan the teams are there at once, so that rules may be planned that name them: nothing is sent to them yet.
    """
    workspace = who.workspace_id
    if at is not None:
        await plans.check_instant(tx, at)
    if at is None or dry_run:
        return await _apply(tx, desk, workspace, structure, options, dry_run=dry_run), None
    told = await _apply(tx, desk, workspace, structure, options, dry_run=True)
    await workspaces.load(tx, workspace, lock=True)
    await _create_teams(tx, workspace, structure)
    what = {"structure": structure.name} | msgspec.to_builtins(options)
    kept = await plans.keep(tx, desk.ids, workspace, at=at, what=what, author=who.id)
    return told | {"dry_run": False}, kept


async def carry_out(tx: Transaction, desk: Desk, plan: Plan) -> What:
    """The instant has come."""
    structure, options = structures.load(plan.what["structure"]), msgspec.convert(plan.what, Options)
    applied = await _apply(tx, desk, plan.workspace_id, structure, options, dry_run=False)
    return {"changed": applied["changed"], "changes": applied["changes"]}


async def _apply(
    tx: Transaction, desk: Desk, workspace: str, structure: Structure, options: Options, *, dry_run: bool
) -> dict[str, Any]:
    places = sorted(part.id for part in structure.teams)
    if unknown := sorted(options.members.keys() - set(places)):
        errors = [{"pointer": f"#/members/{team}", "detail": "the structure has no such team"} for team in unknown]
        raise Invalid(f"the structure {structure.name} has the teams {', '.join(places)}", errors=errors)
    steps: list[Step] = []
    with suppress(_Undone):
        async with tx.savepoint():
            # Whoever applies another one at this moment waits here: nothing below is asked for crosswise.
            await workspaces.load(tx, workspace, lock=True)
            steps += await _create_teams(tx, workspace, structure)
            steps += await _add_members(tx, workspace, places, options.members)
            await staff.roster(tx, teams={(workspace, team) for team in places}, now=await tx.now())
            for team in places:
                document = _schedule(structure, team, options.zone)
                steps += await _put(tx, desk, workspace, team, document, replace=options.replace)
            _undo_if(dry_run)
    changed = any(step["change"] != "kept" for step in steps)
    return {"structure": structure.name, "dry_run": dry_run, "changed": changed, "changes": steps}


def _undo_if(condition: bool) -> None:  # noqa: FBT001 - it reads as a sentence
    if condition:
        raise _Undone


async def _create_teams(tx: Transaction, workspace: str, structure: Structure) -> list[Step]:
    steps: list[Step] = []
    for part in sorted(structure.teams, key=lambda part: part.id):
        if await teams.load(tx, workspace, part.id, lock=True) is None:
            await teams.create(tx, workspace, team_id=part.id, name=part.name)
            steps.append({"team": part.id, "what": "team", "change": "created"})
    return steps


async def _add_members(
    tx: Transaction, workspace: str, places: Sequence[str], members: Mapping[str, Sequence[str]]
) -> list[Step]:
    steps: list[Step] = []
    for team in places:
        there = await teams.people(tx, workspace, team)
        wanted = members.get(team, () if there else await agents.people(tx, workspace, limit=MOST_MEMBERS))
        if added := sorted(set(wanted) - set(there)):
            for agent in added:
                await teams.add_member(tx, workspace, team, agent)
            steps.append({"team": team, "what": "members", "change": "added", "agents": added})
    return steps


def _schedule(structure: Structure, team: str, zone: str) -> dict[str, Any] | None:
    document = structure.schedules.get(team)
    return None if document is None else {**document, "zone": zone}


async def _put(
    tx: Transaction, desk: Desk, workspace: str, team: str, document: dict[str, Any] | None, *, replace: bool
) -> list[Step]:
    if document is None:
        # Those who were added take from the queue.
        await duties.turn(tx, desk, workspace, team)
        return []
    found = await schedules.load(tx, workspace, team)
    step = {"team": team, "what": "schedule", "change": "created" if found is None else "replaced"}
    if found is not None and found.document == schedules_.as_document(schedules_.parse(document)):
        await duties.turn(tx, desk, workspace, team)
        return []
    if found is not None and not replace:
        return [{**step, "change": "kept"}]
    await duties.put(tx, desk, workspace, team, version=found.version if found else None, document=document)
    return [step]
