"""What a surge makes of a decision: on top of what rules decide, for as long as it lasts."""

from collections.abc import Collection, Mapping
from typing import Final, get_args

import msgspec

from services.router.domain.answers import KINDS
from services.router.domain.outcome import Outcome
from services.router.domain.surge import DUPLICATE_TAG, WORKSPACE, Effects, topics
from shared.events.routing import Lane, Priority

_RANKS: Final = {name: rank for rank, name in enumerate(get_args(Priority))}


class Surging(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What surged when a message was decided about, kept with its facts: with them it is decided the same again.

    `open`: the surge's id by subject, of those that may concern it; whether a lane's or a tag's does is known only
    once rules have decided. `during`: what the policy makes of it.
    """

    open: dict[str, str] = {}
    during: Effects | None = None
    duplicate: str | None = None
    """The name of what the message says, where other customers said it as well."""


def may_concern(open_: Mapping[str, str], *, subjects: Collection[str]) -> dict[str, str]:
    """What surges, without channels that are not among these subjects."""
    return {subject: id_ for subject, id_ in open_.items() if subject in subjects or not subject.startswith("channel:")}


def is_surge(surging: Surging | None, *, lane: Lane | None) -> bool | None:
    """What rules see: whether its workspace, its channel, or the lane that the classifier told surges."""
    if surging is None:
        return None
    return any(
        subject == WORKSPACE or subject.startswith("channel:") or subject == f"lane:{lane}" for subject in surging.open
    )


def concerning(surging: Surging, *, lane: Lane | None, tags: Collection[str]) -> dict[str, str]:
    """The surges that concern what was decided."""
    others = {f"lane:{lane}", *(f"tag:{tag}" for tag in tags)}
    return {
        subject: id_
        for subject, id_ in surging.open.items()
        if subject == WORKSPACE or subject.startswith("channel:") or subject in others
    }


def of_decision(action: Outcome, surging: Surging, *, lane: Lane | None) -> dict[str, str]:
    """The surges that concern a decision, also one that they were laid over."""
    return concerning(surging, lane=action.lane or lane, tags=list(topics(action.tags, surging.during)))


def laid_over(action: Outcome, surging: Surging, *, lane: Lane | None) -> Outcome:
    """The decision during a surge that concerns it; what rules ignore stays ignored."""
    during = surging.during
    if during is None or action.ignore:
        return action
    if not concerning(surging, lane=action.lane or lane, tags=action.tags):
        return action
    group = (f"{DUPLICATE_TAG}{surging.duplicate}",) if surging.duplicate else ()
    changes: dict[str, object] = {"tags": tuple(dict.fromkeys((*action.tags, *during.tags, *group)))}
    if during.team is not None and during.team != action.team:
        # An agent is preferred within the team that rules decided.
        changes |= {"team": during.team, "agent": None}
    if during.priority is not None:
        changes["priority"] = max(action.priority or "normal", during.priority, key=_RANKS.__getitem__)
    if during.pause_bots:
        changes |= dict.fromkeys(KINDS)
    return msgspec.structs.replace(action, **changes)
