"""Plans: decided now, in effect from an instant of the database's clock on; once, and in the order planned."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import asyncpg
import structlog

from shared.db.checks import Check
from shared.db.timers import Handler, Timer, cancel_timer, set_timer
from shared.db.transaction import Transaction
from shared.errors import Conflict, Invalid, NotFound, Refusal, Retryable
from shared.ids import Ids, digest
from shared.telemetry.metrics import Metrics

KIND: Final = "plan"
"""Of the timer that wakes a plan up; the plan's row is the truth."""

LATE: Final = timedelta(minutes=1)
"""How far back an instant may lie: on the way, and by clocks that differ."""

FURTHEST: Final = timedelta(days=5 * 366)
MOST_TRIES: Final = 5
"""How often a plan may fail by a bug before it is given up."""

LONGEST_REASON: Final = 2_000

State = Literal["upcoming", "done", "failed", "cancelled"]
What = Mapping[str, Any]

_SOON: Final = timedelta(seconds=1)
_LOG: Final = structlog.get_logger()

_COLUMNS: Final = "id, workspace_id, at, what, author, created_at, state, ended_at, ended_by, reason, outcome"
_KEEP: Final = f"""
INSERT INTO {{schema}}.plan AS known (id, workspace_id, at, what, name, author) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (workspace_id, name) WHERE state = 'upcoming' DO UPDATE SET state = known.state RETURNING {_COLUMNS}
"""
_PAGE: Final = f"""
SELECT {_COLUMNS} FROM {{schema}}.plan
WHERE workspace_id = $1 AND ($2::text IS NULL OR id < $2) AND ($3::text IS NULL OR state = $3)
ORDER BY id DESC LIMIT $4
"""
_TURN: Final = f"""
SELECT {_COLUMNS} FROM {{schema}}.plan
WHERE workspace_id = $1 AND state = 'upcoming' AND (at, created_at, id) <= (
    SELECT at, created_at, id FROM {{schema}}.plan WHERE workspace_id = $1 AND id = $2)
ORDER BY at, created_at, id FOR UPDATE
"""
_END: Final = f"""
UPDATE {{schema}}.plan SET state = $3, ended_at = now(), ended_by = $4, reason = $5, outcome = $6
WHERE workspace_id = $1 AND id = $2 AND state = 'upcoming' RETURNING {_COLUMNS}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done at an instant, by whom it was decided, and what came of it."""

    id: str
    workspace_id: str
    at: datetime
    what: What
    author: str
    created_at: datetime
    state: State
    ended_at: datetime | None
    ended_by: str | None
    """Who cancelled it."""
    reason: str | None
    """Why it could not be done."""
    outcome: What | None


CarryOut = Callable[[Transaction, Plan], Awaitable[What]]
"""Does what a plan says and returns its outcome; what it refuses ends the plan, with the reason."""


def punctual(service: str) -> Check:
    """That plans of a service are carried out when it is time."""
    return Check(
        name=f"{service}: plans are carried out",
        sql=f"""
            SELECT p.id, p.at FROM {service}.plan p LEFT JOIN {service}.timer t
                ON t.workspace_id = p.workspace_id AND t.kind = '{KIND}' AND t.subject = p.id
            WHERE p.state = 'upcoming' AND (t.id IS NULL OR p.at < now() - interval '5 minutes')
        """,
        meaning="something was to be in effect at a date, and is not",
        fix=f"see that {service} runs (`baton run {service}`) and what it logs as `timer_failed`",
    )


async def check_instant(tx: Transaction, at: datetime) -> None:
    """Invalid for an instant that is over, or too far away."""
    now = await tx.now()
    if at < now - LATE:
        detail = f"it is {now.isoformat(timespec='seconds')} already"
        raise Invalid("this instant is over", errors=[{"pointer": "#/at", "detail": detail}])
    if at > now + FURTHEST:
        detail = f"{FURTHEST.days} days ahead at most"
        raise Invalid("this instant is too far away", errors=[{"pointer": "#/at", "detail": detail}])


async def keep(tx: Transaction, ids: Ids, workspace_id: str, *, at: datetime, what: What, author: str) -> Plan:
    """A new plan, or the one that says the same for the same instant already; Invalid as `check_instant`."""
    await check_instant(tx, at)
    at = at.astimezone(UTC)
    name = digest("pln", at.isoformat(), json.dumps(what, sort_keys=True))
    arguments = (ids.new("pln"), workspace_id, at, dict(what), name, author)
    row = await tx.fetchrow(_KEEP.format(schema=tx.schema), *arguments)
    assert row is not None  # noqa: S101 - it was written, or was there and is locked
    await set_timer(tx, ids, workspace_id=workspace_id, kind=KIND, subject=row["id"], due=at)
    return _plan(row)


async def page(
    tx: Transaction, workspace_id: str, *, before: str | None, state: State | None, limit: int
) -> list[Plan]:
    """Plans, the last one that was made first."""
    rows = await tx.fetch(_PAGE.format(schema=tx.schema), workspace_id, before, state, limit)
    return [_plan(row) for row in rows]


async def cancel(tx: Transaction, workspace_id: str, plan_id: str, *, by: str) -> Plan:
    """It will not happen; NotFound, and Conflict when it is over already."""
    cancelled = await _end(tx, workspace_id, plan_id, state="cancelled", by=by)
    if cancelled is not None:
        await cancel_timer(tx, workspace_id=workspace_id, kind=KIND, subject=plan_id)
        return cancelled
    sql = f"SELECT state FROM {tx.schema}.plan WHERE workspace_id = $1 AND id = $2"
    state = await tx.fetchval(sql, workspace_id, plan_id)
    if state is None:
        raise NotFound(f"there is no plan {plan_id}")
    raise Conflict(f"this plan is over already: it is {state}", state=state)


async def lock(tx: Transaction, timer: Timer) -> None:
    """The lock with which a plan's timer begins: whoever is at an earlier plan of the workspace ends it first."""
    if timer.kind == KIND:
        await _turn(tx, timer)


def effect(carry_out: CarryOut, *, ids: Ids, metrics: Metrics) -> Handler:
    """What a plan's timer does: the plan is carried out and ends, both in one transaction.

    A refusal is undone and ends the plan as failed. A bug is undone and tried again by the timer, a few times.
    """

    async def on_timer(tx: Transaction, timer: Timer) -> None:
        earlier, plan = await _turn(tx, timer)
        if plan is None:
            return
        if earlier:
            workspace, subject = timer.workspace_id, timer.subject
            await set_timer(tx, ids, workspace_id=workspace, kind=KIND, subject=subject, due=_SOON)
            return
        outcome, reason = await _attempt(tx, plan, carry_out, tries=timer.attempts)
        state: State = "failed" if outcome is None else "done"
        await _end(tx, plan.workspace_id, plan.id, state=state, reason=reason, outcome=outcome)
        if reason is not None:
            _LOG.warning("plan_failed", plan=plan.id, workspace_id=plan.workspace_id, reason=reason)
        tx.after_commit(lambda: metrics.counter("baton_plans_total", outcome=state).inc())

    return on_timer


async def _attempt(tx: Transaction, plan: Plan, carry_out: CarryOut, *, tries: int) -> tuple[What | None, str | None]:
    """The outcome, or the reason why there is none."""
    if tries >= MOST_TRIES:
        return None, f"it was tried {tries} times and failed in a way that nobody foresaw: the log has the errors"
    try:
        async with tx.savepoint():
            return await carry_out(tx, plan), None
    except Conflict as busy:
        # Somebody changes the same at this moment; a moment later what he did is there to build upon.
        raise Retryable(busy.detail) from busy
    except Refusal as refusal:
        return None, _told(refusal)


def _told(refusal: Refusal) -> str:
    errors = [f"{error['pointer']}: {error['detail']}" for error in refusal.fields.get("errors", ())]
    return "; ".join([refusal.detail, *errors])[:LONGEST_REASON]


async def _turn(tx: Transaction, timer: Timer) -> tuple[bool, Plan | None]:
    """Whether earlier plans of the workspace are upcoming still, and the timer's own, if it is; all of them locked."""
    rows = await tx.fetch(_TURN.format(schema=tx.schema), timer.workspace_id, timer.subject)
    if not rows or rows[-1]["id"] != timer.subject:
        return bool(rows), None
    return len(rows) > 1, _plan(rows[-1])


async def _end(
    tx: Transaction,
    workspace_id: str,
    plan_id: str,
    *,
    state: State,
    by: str | None = None,
    reason: str | None = None,
    outcome: What | None = None,
) -> Plan | None:
    arguments = (workspace_id, plan_id, state, by, reason, None if outcome is None else dict(outcome))
    row = await tx.fetchrow(_END.format(schema=tx.schema), *arguments)
    return _plan(row) if row else None


def _plan(row: asyncpg.Record) -> Plan:
    return Plan(**dict(row))
