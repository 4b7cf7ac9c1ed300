"""Who may be given work: teams, members and their load, whose rows are locked last and by id."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

import asyncpg
import msgspec

from services.tickets.domain.assignment import Key, Member, Roster, Terms
from shared.db.transaction import Transaction
from shared.platform.models import WorkspaceSettings

_TEAMS: Final = """
SELECT workspace_id, id, requires_acceptance, offer_seconds, is_fallback, stand_in FROM platform.team
WHERE workspace_id = ANY($1::text[])
"""
_STANDING: Final = """
SELECT n.w AS workspace_id, p.settings, now() AS now, coalesce((
    SELECT jsonb_agg(jsonb_build_object('id', t.id, 'requires_acceptance', t.requires_acceptance,
        'offer_seconds', t.offer_seconds, 'is_fallback', t.is_fallback,
        'stand_in', t.stand_in))
    FROM platform.team t WHERE t.workspace_id = n.w
), '[]') AS teams
FROM unnest($1::text[]) AS n(w) LEFT JOIN platform.workspace p ON p.workspace_id = n.w
"""
_LOCK: Final = """
WITH wanted AS (
    SELECT m.workspace_id, m.agent_id, m.team_id FROM unnest($1::text[], $2::text[]) AS n(w, t)
    JOIN platform.team_member m ON m.workspace_id = n.w AND m.team_id = n.t
    UNION ALL
    SELECT n.w, n.a, NULL FROM unnest($3::text[], $4::text[]) AS n(w, a)
), locked AS (
    SELECT workspace_id, agent_id, load, last_assigned_at FROM tickets.agent_load
    WHERE (workspace_id, agent_id) IN (SELECT workspace_id, agent_id FROM wanted)
    ORDER BY workspace_id, agent_id FOR UPDATE
)
SELECT workspace_id, agent_id, w.team_id, l.load, l.last_assigned_at
FROM wanted w LEFT JOIN locked l USING (workspace_id, agent_id)
"""
_ADD: Final = """
INSERT INTO tickets.agent_load (workspace_id, agent_id)
SELECT w, a FROM unnest($1::text[], $2::text[]) AS n(w, a) ON CONFLICT DO NOTHING
"""
_AGENTS: Final = """
SELECT a.workspace_id, a.id, a.name, a.availability, a.capacity, a.disabled_at IS NOT NULL AS disabled, ARRAY(
    SELECT m.team_id FROM platform.team_member m
    WHERE m.workspace_id = a.workspace_id AND m.agent_id = a.id AND NOT m.on_duty
) AS off_duty
FROM platform.agent a JOIN unnest($1::text[], $2::text[]) AS n(w, a) ON a.workspace_id = n.w AND a.id = n.a
"""
_LOADS: Final = "SELECT agent_id, load FROM tickets.agent_load WHERE workspace_id = $1 AND agent_id = ANY($2::text[])"
_SAVE: Final = """
UPDATE tickets.agent_load l SET load = n.load,
    last_assigned_at = CASE WHEN n.at IS NULL THEN l.last_assigned_at ELSE n.at END
FROM unnest($1::text[], $2::text[], $3::int[], $4::timestamptz[]) AS n(w, a, load, at)
WHERE l.workspace_id = n.w AND l.agent_id = n.a
"""


class Standing(NamedTuple):
    """What holds for every ticket of some workspaces."""

    now: datetime
    settings: dict[str, WorkspaceSettings]
    terms: dict[Key, Terms]


async def roster(
    tx: Transaction,
    *,
    teams: Collection[Key],
    agents: Collection[Key] = (),
    terms: Mapping[Key, Terms] | None = None,
    now: datetime,
) -> Roster:
    """The members of these teams, and `agents` besides, their rows of load locked until the transaction ends.

    Availability and duty are read after the lock: whoever changes them locks the same row first, so that either this
    sees the change or the change sees what this queues.
    """
    if terms is None:
        terms = await terms_of(tx, {workspace for workspace, _ in teams})
    rows = await tx.fetch(_LOCK, *_columns(teams), *_columns(agents))
    if unknown := {(row["workspace_id"], row["agent_id"]) for row in rows if row["load"] is None}:
        await tx.execute(_ADD, *_columns(sorted(unknown)))
        rows = await tx.fetch(_LOCK, *_columns(teams), *_columns(agents))
    members: dict[Key, list[str]] = {}
    for row in rows:
        if row["team_id"] is not None:
            members.setdefault((row["workspace_id"], row["team_id"]), []).append(row["agent_id"])
    loads = {(row["workspace_id"], row["agent_id"]): row for row in rows}
    return Roster(await _members(tx, loads), members, terms, now=now)


async def standing(tx: Transaction, workspaces: Iterable[str]) -> Standing:
    """What workspaces have laid down, and the database's time."""
    rows = await tx.fetch(_STANDING, list(workspaces))
    teams = {(row["workspace_id"], team["id"]): team for row in rows for team in row["teams"]}
    return Standing(
        now=rows[0]["now"],
        settings={row["workspace_id"]: msgspec.convert(row["settings"] or {}, WorkspaceSettings) for row in rows},
        terms={key: msgspec.convert(team, Terms) for key, team in teams.items()},
    )


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
            stand_in=row["stand_in"],
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


async def _members(tx: Transaction, loads: Mapping[Key, asyncpg.Record]) -> dict[Key, Member]:
    if not loads:
        return {}
    rows = await tx.fetch(_AGENTS, *_columns(loads))
    return {(row["workspace_id"], row["id"]): _member(row, loads[row["workspace_id"], row["id"]]) for row in rows}


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
        off_duty=frozenset(agent["off_duty"]),
    )


def _columns(keys: Collection[Key]) -> tuple[list[str], list[str]]:
    return [key[0] for key in keys], [key[1] for key in keys]
