"""Who may be given work: teams, members and their load, whose rows are locked last and by id."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import asyncpg

from services.tickets.domain.assignment import Key, Member, Roster, Terms
from shared.db.transaction import Transaction

_TEAMS: Final = """
SELECT workspace_id, id, requires_acceptance, offer_seconds, is_fallback FROM platform.team
WHERE workspace_id = ANY($1::text[])
"""
_MEMBERS: Final = """
SELECT m.workspace_id, m.team_id, m.agent_id FROM unnest($1::text[], $2::text[]) AS n(w, t)
JOIN platform.team_member m ON m.workspace_id = n.w AND m.team_id = n.t
"""
_LOCK: Final = """
SELECT l.workspace_id, l.agent_id, l.load, l.last_assigned_at
FROM tickets.agent_load l JOIN unnest($1::text[], $2::text[]) AS n(w, a) ON l.workspace_id = n.w AND l.agent_id = n.a
ORDER BY l.workspace_id, l.agent_id FOR UPDATE OF l
"""
_ADD: Final = """
INSERT INTO tickets.agent_load (workspace_id, agent_id)
SELECT w, a FROM unnest($1::text[], $2::text[]) AS n(w, a) ON CONFLICT DO NOTHING
"""
_AGENTS: Final = """
SELECT a.workspace_id, a.id, a.name, a.availability, a.capacity, a.disabled_at IS NOT NULL AS disabled
FROM platform.agent a JOIN unnest($1::text[], $2::text[]) AS n(w, a) ON a.workspace_id = n.w AND a.id = n.a
"""
_LOADS: Final = "SELECT agent_id, load FROM tickets.agent_load WHERE workspace_id = $1 AND agent_id = ANY($2::text[])"
_SAVE: Final = """
UPDATE tickets.agent_load l SET load = n.load,
    last_assigned_at = CASE WHEN n.at IS NULL THEN l.last_assigned_at ELSE n.at END
FROM unnest($1::text[], $2::text[], $3::int[], $4::timestamptz[]) AS n(w, a, load, at)
WHERE l.workspace_id = n.w AND l.agent_id = n.a
"""


async def roster(
    tx: Transaction,
    *,
    teams: Collection[Key],
    agents: Collection[Key] = (),
    terms: Mapping[Key, Terms] | None = None,
    now: datetime,
) -> Roster:
    """The members of these teams, and `agents` besides, their rows of load locked until the transaction ends.

    Availability is read after the lock: whoever changes it locks the same row first, so that either this sees the
    change or the change sees what this queues.
    """
    if terms is None:
        terms = await terms_of(tx, {workspace for workspace, _ in teams})
    members: dict[Key, list[str]] = {}
    for row in await tx.fetch(_MEMBERS, *_columns(teams)) if teams else ():
        members.setdefault((row["workspace_id"], row["team_id"]), []).append(row["agent_id"])
    wanted = set(agents) | {(workspace, name) for (workspace, _), names in members.items() for name in names}
    return Roster(await _locked(tx, sorted(wanted)), members, terms, now=now)


async def terms_of(tx: Transaction, workspaces: Iterable[str]) -> dict[Key, Terms]:
    """Every team of these workspaces, with how it takes work."""
    wanted = list(workspaces)
    if not wanted:
        return {}
    return {
        (row["workspace_id"], row["id"]): Terms(
            requires_acceptance=row["requires_acceptance"],
            offer_seconds=row["offer_seconds"],
            is_fallback=row["is_fallback"],
        )
        for row in await tx.fetch(_TEAMS, wanted)
    }


async def loads(tx: Transaction, workspace_id: str, agents: Collection[str]) -> dict[str, int]:
    """How many tickets each of these agents has, as committed."""
    rows = await tx.fetch(_LOADS, workspace_id, list(agents))
    return {row["agent_id"]: row["load"] for row in rows}


def save(tx: Transaction, roster: Roster) -> None:
    """Writes the loads that changed."""
    if not roster.touched:
        return
    keys = sorted(roster.touched)
    members = [roster.find(*key) for key in keys]
    tx.defer(
        _SAVE,
        *_columns(keys),
        [member.load if member else 0 for member in members],
        [
            datetime.fromtimestamp(member.turn, UTC) if member and key in roster.given else None
            for key, member in zip(keys, members, strict=True)
        ],
    )


async def _locked(tx: Transaction, keys: list[Key]) -> dict[Key, Member]:
    if not keys:
        return {}
    loads = await tx.fetch(_LOCK, *_columns(keys))
    if len(loads) < len(keys):
        await tx.execute(_ADD, *_columns(keys))
        loads = await tx.fetch(_LOCK, *_columns(keys))
    load_of = {(row["workspace_id"], row["agent_id"]): row for row in loads}
    rows = await tx.fetch(_AGENTS, *_columns(keys))
    return {(row["workspace_id"], row["id"]): _member(row, load_of[row["workspace_id"], row["id"]]) for row in rows}


def _member(agent: asyncpg.Record, load: asyncpg.Record) -> Member:
    last = load["last_assigned_at"]
    return Member(
        agent=agent["id"],
        name=agent["name"],
        availability=agent["availability"],
        disabled=agent["disabled"],
        capacity=agent["capacity"],
        load=load["load"],
        turn=last.timestamp() if last else 0.0,
    )


def _columns(keys: Collection[Key]) -> tuple[list[str], list[str]]:
    return [key[0] for key in keys], [key[1] for key in keys]
