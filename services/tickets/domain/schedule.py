"""A team's schedule: the document that a manager writes, and what is wrong with it."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from shared import calendars
from shared.calendars import DAYS, Clock, Day, Holidays
from shared.errors import Invalid

MOST_PROBLEMS: Final = 100

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120, pattern=r"^[^\x00\ud800-\udfff]*$")]
PartName = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9_-]{0,62}$")]
TeamId = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]
AgentId = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Agents = Annotated[tuple[AgentId, ...], msgspec.Meta(max_length=500)]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]

WhenNobody = Literal["queue", "members", "stand-in"]
Handover = Literal["keep", "team", "next"]
Problem = dict[str, str]


class Shift(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A piece of the week, on the days on which it begins. One that ends at or before its start goes on into the next
    day. Without agents and without rotation all of the team's people work it."""

    name: Name
    start: Clock
    end: Clock
    days: tuple[Day, ...] = DAYS
    agents: Agents = ()
    rotation: PartName | None = None
    place: Annotated[int, msgspec.Meta(ge=0, le=500)] = 0
    """Which group works it: so many after the one whose turn it is."""
    holidays: bool = False
    """Whether it is worked on holidays too; the day on which it begins counts."""
    first_day: date | None = None
    """It is not worked before: plans change by date."""
    last_day: date | None = None
    """It is not worked after."""


class Rotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Groups that take turns. Where a whole group is absent, the next one works."""

    anchor: date
    """The day on which the first group's turn begins."""
    days: Annotated[int, msgspec.Meta(ge=1, le=366)] = 7
    """How long a turn lasts. It changes with the shift that begins on its first day."""
    agents: Agents = ()
    """In their order; without: the team's people by id."""
    groups: Annotated[int, msgspec.Meta(ge=1, le=500)] | None = None
    """The agents are dealt out to so many groups in turn; without, each is a group."""


class Span(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """From an instant to another one, which it leaves out."""

    since: Instant
    until: Instant
    source: PartName | None = None
    """The calendar that it was imported from; importing that again replaces it."""


class Cover(Span, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Somebody works instead of somebody else, or in addition when nobody is named."""

    by: AgentId
    agent: AgentId | None = None


class Absence(Span, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Somebody does not work, whatever shifts and covers say."""

    agent: AgentId
    reason: Name | None = None


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who of a team is on duty, when, and what becomes of its work in between."""

    zone: str
    shifts: Annotated[tuple[Shift, ...], msgspec.Meta(max_length=50)] = ()
    rotations: Annotated[dict[PartName, Rotation], msgspec.Meta(max_length=50)] = {}
    covers: Annotated[tuple[Cover, ...], msgspec.Meta(max_length=1000)] = ()
    absences: Annotated[tuple[Absence, ...], msgspec.Meta(max_length=1000)] = ()
    holidays: Holidays = Holidays()
    when_nobody: WhenNobody = "queue"
    """While nobody is on duty, new work waits in the queue, goes to all people who are not absent, or goes to the
    team `stand_in`."""
    stand_in: TeamId | None = None
    handover: Handover = "keep"
    """What becomes of open work whose owner goes off duty: it stays, goes to the team (somebody on duty, else the
    queue), or stays until somebody on duty has room for it."""


def parse(document: Any) -> Schedule:
    """The document as a value; Invalid names every problem by its JSON pointer."""
    try:
        schedule = msgspec.convert(document, Schedule)
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at `$")
        raise Invalid("the schedule is not valid", errors=[{"pointer": _pointer(path), "detail": detail}]) from error
    refuse(_problems(schedule))
    return schedule


def refuse(problems: Iterable[Problem]) -> None:
    """Invalid when there are any."""
    found = list(problems)
    if found:
        raise Invalid("the schedule is not valid", errors=found[:MOST_PROBLEMS])


def as_document(schedule: Schedule) -> dict[str, Any]:
    """The schedule as it is stored and shown; `parse` reads it again."""
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(schedule))
    return document


def strangers(schedule: Schedule, people: Collection[str]) -> Iterator[Problem]:
    """Agents whom it names although they are not in the team, or are bots."""
    for at, agent in _named(schedule):
        if agent not in people:
            yield {"pointer": f"#{at}", "detail": f"agent {agent} is not one of the team's people"}


def _named(schedule: Schedule) -> Iterator[tuple[str, str]]:
    lists: Mapping[str, tuple[str, ...]] = {
        **{f"/shifts/{place}/agents": shift.agents for place, shift in enumerate(schedule.shifts)},
        **{f"/rotations/{name}/agents": rotation.agents for name, rotation in schedule.rotations.items()},
    }
    for at, agents in lists.items():
        yield from ((f"{at}/{place}", agent) for place, agent in enumerate(agents))
    for place, cover in enumerate(schedule.covers):
        yield f"/covers/{place}/by", cover.by
        if cover.agent is not None:
            yield f"/covers/{place}/agent", cover.agent
    yield from ((f"/absences/{place}/agent", absence.agent) for place, absence in enumerate(schedule.absences))


def _problems(schedule: Schedule) -> Iterator[Problem]:
    if wrong := calendars.zone_problem(schedule.zone):
        yield {"pointer": "#/zone", "detail": wrong}
    if wrong := calendars.holidays_problem(schedule.holidays):
        yield {"pointer": "#/holidays", "detail": wrong}
    if (schedule.when_nobody == "stand-in") != (schedule.stand_in is not None):
        yield {"pointer": "#/stand_in", "detail": "`stand_in` names a team exactly when `when_nobody` is `stand-in`"}
    yield from _shift_problems(schedule)
    for name in schedule.rotations.keys() - {shift.rotation for shift in schedule.shifts}:
        yield {"pointer": f"#/rotations/{name}", "detail": "no shift is worked by this rotation"}
    kinds: dict[str, tuple[Span, ...]] = {"covers": schedule.covers, "absences": schedule.absences}
    for kind, spans in kinds.items():
        for place, span in enumerate(spans):
            if span.until <= span.since:
                yield {"pointer": f"#/{kind}/{place}/until", "detail": "must be later than `since`"}
    yield from _twice_covered(schedule)


def _shift_problems(schedule: Schedule) -> Iterator[Problem]:
    for place, shift in enumerate(schedule.shifts):
        at = f"#/shifts/{place}"
        if shift.rotation is not None and shift.rotation not in schedule.rotations:
            yield {"pointer": f"{at}/rotation", "detail": f"there is no rotation {shift.rotation!r}"}
        if shift.rotation is not None and shift.agents:
            yield {"pointer": f"{at}/agents", "detail": "a shift has agents of its own or a rotation, not both"}
        if shift.rotation is None and shift.place:
            yield {"pointer": f"{at}/place", "detail": "only a rotation has places"}
        if shift.first_day is not None and shift.last_day is not None and shift.last_day < shift.first_day:
            yield {"pointer": f"{at}/last_day", "detail": "must not be earlier than `first_day`"}
        if not shift.days:
            yield {"pointer": f"{at}/days", "detail": "a shift begins on some day"}


def _twice_covered(schedule: Schedule) -> Iterator[Problem]:
    latest: dict[str, datetime] = {}
    for place, cover in sorted(enumerate(schedule.covers), key=lambda pair: pair[1].since):
        if cover.agent is None:
            continue
        if cover.agent in latest and cover.since < latest[cover.agent]:
            detail = f"somebody else covers agent {cover.agent} at this time"
            yield {"pointer": f"#/covers/{place}/since", "detail": detail}
        latest[cover.agent] = max(cover.until, latest.get(cover.agent, cover.until))


def _pointer(path: str) -> str:
    # Below a name that anybody may choose, the library does not say which one.
    known = path.rstrip("`").partition("[...]")[0].replace("[", ".").replace("]", "").lstrip(".")
    return f"#/{known.replace('.', '/')}" if known else "#"
