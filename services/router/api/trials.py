"""Trials of a ruleset: on the past, as a stream that ends when its caller hangs up."""

import csv
import io
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from services.router.domain.comparison import Difference
from services.router.handlers.backtests import Backtest, Backtests, Progress, Report, Step
from shared.errors import Retryable
from shared.web import problems as documents
from shared.web.bodies import encode
from shared.web.calls import Call, requires
from shared.web.problems import problems
from shared.web.streams import Streamed

Reader = Annotated[Call, requires("rules:read")]
Version = Annotated[int, Path(ge=1, le=2_000_000_000)]

MAX_LISTED: Final = 100_000
"""Differences of one answer; the report counts all of them."""

PATIENCE: Final = 30.0
"""Seconds that a caller may take to read a line."""

NDJSON: Final = "application/x-ndjson"
CSV: Final = "text/csv"
_COLUMNS: Final = (
    "outcome",
    "team",
    "agent",
    "priority",
    "lane",
    "tags",
    "flags",
    "moderation",
    "rule",
    "auto_reply",
    "private_reply",
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_BACKTEST: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "One JSON document a line, as they come: `progress` (`messages`, `different`, `share`), with "
        "`differences=true` each `difference` (`message_id`, `decided_at`, `network`, `text`, `changed`, `before`, "
        "`after`), and at last the `report` (`ended`: done, deadline or stopping; `messages`, `different`, "
        "`elsewhere`; `changes` by outcome, team, agent, priority, lane, auto_reply, private_reply, tag, flag and "
        "moderation; `decided_by`; `rules`; `unknown`: facts that are asked for, with the number of messages for which "
        "they were not looked up then) or, where the database went away, a `problem`. As CSV: every difference, a line "
        "each. Hanging up stops the work.",
        "content": {NDJSON: {"schema": {"type": "string"}}, CSV: {"schema": {"type": "string"}}},
    }
}

router = APIRouter(tags=["routing"])


class Past(BaseModel):
    """Which part of the past, and what to compare with."""

    model_config = ConfigDict(extra="forbid")

    days: int = Field(7, ge=1, le=366)
    against: int | None = Field(None, ge=1, le=2_000_000_000, description="default: what was decided then")


@router.post(
    "/v1/rulesets/{version}/backtest",
    operation_id="backtestRuleset",
    response_class=Response,
    responses={**_BACKTEST, **problems(403, 404, 422, 429, 503)},
)
async def backtest_ruleset(
    call: Reader,
    version: Version,
    body: Past,
    *,
    differences: Annotated[bool, Query(description="Each difference, too, up to 100,000")] = False,
    form: Annotated[
        Literal["ndjson", "csv"] | None, Query(alias="format", description="Instead of `Accept: text/csv`")
    ] = None,
) -> Response:
    """What a version would have decided about the messages of the last days; changes nothing."""
    async with call.transaction() as tx:
        backtest = await call.resource(Backtests).prepare(
            tx, call.workspace_id, version, days=body.days, against=body.against
        )
    if form == "csv" or (form is None and CSV in call.request.headers.get("accept", "")):
        kind, chunks = f"{CSV}; charset=utf-8", _table(backtest)
    else:
        kind, chunks = NDJSON, _lines(backtest, lists=differences, request_id=call.request_id)
    lifetime = backtest.home.limits.seconds + PATIENCE
    return Streamed(chunks, headers={"Content-Type": kind}, patience=PATIENCE, lifetime=lifetime)


async def _lines(backtest: Backtest, *, lists: bool, request_id: str) -> AsyncIterator[bytes]:
    left = MAX_LISTED if lists else 0
    try:
        async with aclosing(backtest.steps()) as steps:
            async for step in steps:
                if isinstance(step, Difference):
                    if left == 0:
                        continue
                    left -= 1
                yield encode(_document(step)) + b"\n"
    except Retryable as error:
        refusal = documents.refusal_of(error)
        assert refusal is not None  # noqa: S101 - it is one that callers may try again after
        yield encode({"type": "problem", "problem": documents.document(refusal, request_id=request_id)}) + b"\n"


def _document(step: Step) -> dict[str, Any]:
    match step:
        case Progress():
            return {"type": "progress", "messages": step.messages, "different": step.different, "share": step.share}
        case Difference():
            return {"type": "difference", **_difference(step)}
        case Report():
            return {
                "type": "report",
                "version": step.version,
                "against": step.against,
                "since": step.since,
                "until": step.until,
                "ended": step.ended,
                "seconds": step.seconds,
                "unknown": step.unknown,
                **step.found,
            }


def _difference(found: Difference) -> dict[str, Any]:
    return {name: getattr(found, name) for name in Difference.__slots__}


async def _table(backtest: Backtest) -> AsyncIterator[bytes]:
    heads = [f"{name}_{side}" for name in _COLUMNS for side in ("before", "after")]
    yield _row(["message_id", "decided_at", "network", "text", "changed", *heads])
    left = MAX_LISTED
    async with aclosing(backtest.steps()) as steps:
        async for step in steps:
            if isinstance(step, Difference) and left > 0:
                left -= 1
                sides = [side[name] for name in _COLUMNS for side in (step.before, step.after)]
                facts = [step.message_id, step.decided_at, step.network, step.text, step.changed]
                yield _row([*facts, *sides])
            elif isinstance(step, Report) and (left == 0 or step.ended != "done"):
                listed = MAX_LISTED - left
                yield _row([f"not everything: {listed} of {step.found['different']} differences, {step.ended}"])


def _row(values: list[Any]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow([_cell(value) for value in values])
    return line.getvalue().encode()


def _cell(value: Any) -> str:
    """A text that a spreadsheet would take for a formula is told apart: customers write them."""
    match value:
        case None:
            return ""
        case tuple():
            text = ", ".join(value)
        case datetime():
            text = value.isoformat()
        case _:
            text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
