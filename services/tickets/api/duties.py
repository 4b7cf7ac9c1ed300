"""`/v1/teams/{id}/schedule` and `/duty`: when a team works, and who of it does at an instant."""

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, Field, WithJsonSchema
from starlette.responses import Response

from services.tickets.api.lease import Reader
from services.tickets.api.shapes import Id
from services.tickets.api.staff import Manager
from services.tickets.domain.schedule import Schedule
from services.tickets.handlers import duties, planning
from services.tickets.handlers.ledger import Desk
from services.tickets.handlers.planning import Import, ImportKind
from shared.db.transaction import Transaction
from shared.errors import BadRequest, BodyTooLarge
from shared.platform.models import KeptSchedule
from shared.web.calls import Answer
from shared.web.problems import problems

LARGEST_CALENDAR: Final = 256 * 1024

_YEARS: Final = range(2000, 2101)


def _schema() -> dict[str, Any]:
    (whole,), parts = msgspec.json.schema_components([Schedule], ref_template="{name}")
    found: dict[str, Any] = _inlined(whole, parts)
    return found


def _inlined(schema: Any, parts: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(one, parts) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(parts[schema["$ref"]], parts)
    return {name: _inlined(value, parts) for name, value in schema.items()}


ScheduleDocument = Annotated[dict[str, Any], WithJsonSchema(_schema())]
Moment = Annotated[AwareDatetime | None, Query(description="default: now")]

Source = Annotated[str, Path(pattern="^[a-z0-9][a-z0-9_-]{0,62}$")]
_CALENDAR: Final[dict[str, Any]] = {"content": {"text/calendar": {"schema": {"type": "string"}}}}

router = APIRouter(tags=["staff"])


class DutyView(BaseModel):
    """Who takes a team's work at an instant."""

    team: str
    at: datetime
    agents: list[str] = Field(description="On duty, by the schedule or by its `when_nobody`")
    scheduled: list[str] = Field(description="Whom shifts and covers name, without those who are absent")
    stand_in: str | None = Field(description="The team that gets what comes, because nobody is on duty")
    until: datetime | None = Field(description="Before this it does not change; at most a day later. Null: no schedule")


class SkippedView(BaseModel):
    """An event that was not taken over, and why."""

    uid: str
    reason: str


class ImportedView(BaseModel):
    """What came of an import."""

    source: str
    taken: int = Field(description="Absences or covers")
    skipped: list[SkippedView]
    version: int = Field(description="Of the schedule")


@router.put(
    "/v1/teams/{team_id}/schedule",
    operation_id="putSchedule",
    response_model=ScheduleDocument,
    responses=problems(400, 403, 404, 412, 422, 428),
)
async def put_schedule(team_id: Id, body: ScheduleDocument, call: Manager) -> Response:
    """Keeps when a team works, in force at once. To replace a schedule needs `If-Match`; the first one does not."""
    version = call.version() if "if-match" in call.request.headers else None

    async def work(tx: Transaction) -> Answer:
        desk = call.resource(Desk)
        return _shown(await duties.put(tx, desk, call.workspace_id, team_id, version=version, document=body))

    return await call.perform(work)


@router.get(
    "/v1/teams/{team_id}/schedule",
    operation_id="getSchedule",
    response_model=ScheduleDocument,
    responses=problems(403, 404),
)
async def get_schedule(team_id: Id, call: Reader) -> Response:
    """When a team works."""
    async with call.transaction() as tx:
        kept = await duties.load(tx, call.workspace_id, team_id)
    return call.answer(kept.document, version=kept.version)


@router.delete(
    "/v1/teams/{team_id}/schedule",
    operation_id="deleteSchedule",
    status_code=204,
    responses=problems(400, 403, 404, 412, 428),
)
async def delete_schedule(team_id: Id, call: Manager) -> Response:
    """Forgets when a team works: all its members are on duty from now on."""
    version = call.version()

    async def work(tx: Transaction) -> None:
        await duties.remove(tx, call.resource(Desk), call.workspace_id, team_id, version=version)

    return await call.perform(work)


@router.get(
    "/v1/teams/{team_id}/duty", operation_id="getDuty", response_model=DutyView, responses=problems(400, 403, 404)
)
async def get_duty(team_id: Id, call: Reader, at: Moment = None) -> Response:
    """Who of a team is on duty."""
    _check_year(at)
    async with call.transaction() as tx:
        return call.answer(await duties.ask(tx, call.workspace_id, team_id, at))


@router.get(
    "/v1/teams/{team_id}/schedule.ics",
    operation_id="exportSchedule",
    responses={200: _CALENDAR, **problems(400, 403, 404)},
)
async def export_schedule(
    team_id: Id,
    call: Reader,
    since: Moment = None,
    days: Annotated[int, Query(ge=1, le=31)] = 14,
    agent: Annotated[str | None, Query(max_length=128)] = None,
) -> Response:
    """Who is on duty, as a calendar that any program shows."""
    _check_year(since)
    async with call.transaction() as tx:
        plan = await planning.plan(tx, call.workspace_id, team_id, since=since)
    return Response(await planning.export(plan, days=days, agent=agent), media_type="text/calendar")


@router.put(
    "/v1/teams/{team_id}/schedule/imports/{source}",
    operation_id="importCalendar",
    response_model=ImportedView,
    responses=problems(400, 403, 404, 413, 422),
    openapi_extra={"requestBody": {"required": True, **_CALENDAR}},
)
async def import_calendar(
    team_id: Id,
    source: Source,
    call: Manager,
    kind: Annotated[ImportKind, Query(alias="as", description="what its events are")] = "absences",
    agent: Annotated[
        str | None, Query(max_length=128, description="whose calendar it is; default: named by events")
    ] = None,
) -> Response:
    """Takes absences or covers from an iCalendar file, in place of what this source had before. Events name agents by
    attendee or title; daily and weekly repetitions are resolved for a year."""
    raw = await call.request.body()
    if len(raw) > LARGEST_CALENDAR:
        raise BodyTooLarge(f"a calendar may have {LARGEST_CALENDAR} bytes", limit=LARGEST_CALENDAR)
    async with call.transaction() as tx:
        window = await planning.window(tx, call.workspace_id, team_id)
    reading = await planning.read(raw, window)

    async def work(tx: Transaction) -> Answer:
        wanted = Import(kind=kind, source=source, agent=agent)
        desk = call.resource(Desk)
        taken = await planning.take_over(tx, desk, call.principal, team_id, reading=reading, wanted=wanted)
        return Answer(body=taken, version=taken["version"])

    return await call.perform(work)


def _check_year(at: datetime | None) -> None:
    if at is not None and at.year not in _YEARS:
        raise BadRequest(f"an instant between {_YEARS[0]} and {_YEARS[-1]}")


def _shown(kept: KeptSchedule) -> Answer:
    return Answer(body=kept.document, version=kept.version)
