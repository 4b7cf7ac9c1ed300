"""Rounds: what concerns many open tickets at once, such as a surge or a change of duty, and what it asks about each."""

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from services.router.domain.facts import SurgeChange
from services.router.domain.standing import Standing
from services.router.domain.triggers import Occasion
from services.router.domain.vocabulary import SHIFT_CHANGED, SURGE_CHANGED, ShiftChange, Trigger
from shared import ids
from shared.events.duties import AvailabilityChanged, DutyChanged
from shared.events.payload import Payload


class Round(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What rules are asked about, ticket by ticket. `of`: of two of the same the later holds."""

    of: str
    trigger: Trigger
    surge: SurgeChange | None = None
    team: str | None = None
    """Only tickets of this team."""
    owners: Mapping[str, ShiftChange] = {}
    """What changed for the tickets of these agents."""
    whole: ShiftChange | None = None
    """What changed for all tickets of the team."""

    @property
    def change(self) -> str:
        """What tells it from another round of the same."""
        return self.surge.change if self.surge else ""


def of_surge(surge_id: str, change: SurgeChange) -> Round:
    """It began, or ended: what is left of asking about its beginning then is not asked any more."""
    return Round(of=surge_id, trigger=SURGE_CHANGED, surge=change)


def of_shift(event_id: str, data: Payload) -> Round | None:
    """Somebody came or went; None where nothing that rules tell apart has changed."""
    match data:
        case DutyChanged(team=team):
            owners: dict[str, ShiftChange] = dict.fromkeys(data.came, "owner-on")
            owners |= dict.fromkeys(data.went, "owner-off")
            return Round(of=event_id, trigger=SHIFT_CHANGED, team=team, owners=owners, whole=_whole(data))
        case AvailabilityChanged(agent=agent, availability="available"):
            return Round(of=event_id, trigger=SHIFT_CHANGED, owners={agent: "owner-available"})
        case AvailabilityChanged(agent=agent, before="available"):
            return Round(of=event_id, trigger=SHIFT_CHANGED, owners={agent: "owner-away"})
        case _:
            return None


def about(round_: Round, standing: Standing, at: datetime) -> Occasion:
    """What is asked about one of its tickets."""
    return Occasion(
        trigger=round_.trigger,
        event_id=ids.digest("ocn", round_.of, round_.change, standing.ticket.id),
        at=at,
        surge=round_.surge,
        shifted=tuple(_changes(round_, standing)),
    )


def _changes(round_: Round, standing: Standing) -> Iterable[ShiftChange]:
    ticket = standing.ticket
    if ticket.owner is not None and ticket.owner in round_.owners:
        yield round_.owners[ticket.owner]
    if round_.whole is not None and ticket.team == round_.team:
        yield round_.whole


def _whole(data: DutyChanged) -> ShiftChange | None:
    before = data.on_duty - len(data.came) + len(data.went)
    if (before > 0) == (data.on_duty > 0):
        return None
    return "team-on" if data.on_duty > 0 else "team-off"
