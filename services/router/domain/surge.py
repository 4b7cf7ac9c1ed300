"""Surges: what a workspace calls one, when it begins and ends, and what is watched."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

import msgspec

from services.router.domain.usual import Usual, chance
from shared.events.routing import Lane, Priority

Kind = Literal["workspace", "channel", "lane", "tag"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

WORKSPACE: Final = "workspace"
"""The subject of everything that comes."""

SURGE_TAG: Final = "surge"
DUPLICATE_TAG: Final = "duplicate:"
"""What the tags begin with of those who say the same; the name of what they say follows."""

UNLIKELY: Final = 1e-6
"""A hundred subjects have some ten thousand windows a day: chance alone makes one surge in a hundred days."""

LONGEST: Final = timedelta(days=7)
"""What goes on for longer is how things are now: it ends, and is not begun again before it was calm once."""


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """What a surge makes of the messages that it concerns, for as long as it lasts."""

    priority: Priority | None = None
    """At least that."""
    team: str | None = None
    """Instead of the team that rules decide."""
    tags: tuple[str, ...] = (SURGE_TAG,)
    pause_bots: bool = False
    """Rules say nothing by themselves."""
    group_duplicates: bool = False
    """A tag for all who say the same."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What a workspace calls a surge."""

    watch: tuple[Kind, ...] = KINDS
    window_minutes: int = 15
    factor: float = 3.0
    """It begins at so many times what is usual, and"""
    at_least: int = 20
    """at so many messages in the window,"""
    leave_factor: float = 1.5
    """and is over below so many times what is usual"""
    leave_minutes: int = 30
    """for so long,"""
    lasts_minutes: int = 15
    """but not before so long."""
    during: Effects = Effects()


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace with a policy, and what surges in it now: the surge's id by subject."""

    policy: Policy
    open: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a window holds. `usual`: None while too little is known."""

    messages: int
    usual: Usual | None

    @property
    def expected(self) -> float | None:
        """What it usually holds."""
        return None if self.usual is None else round(self.usual.mean, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A surge that is still looked at: it is open, or it was ended while it was loud."""

    began_at: datetime
    is_open: bool
    calm_since: datetime | None = None


Step = Literal["stay", "start", "calm", "loud", "end", "settle"]
"""Nothing; a surge starts; grew calm; is loud again; ends calm; ends although it is not."""


def step(policy: Policy, followed: Followed | None, reading: Reading, *, now: datetime) -> Step:
    """What becomes of a subject with this reading. What begins is never calm at once, so it cannot flutter."""
    if followed is None:
        return "start" if is_surge(policy, reading) else "stay"
    if is_calm(policy, reading):
        if followed.calm_since is None:
            return "calm"
        has_lasted = now - followed.began_at >= timedelta(minutes=policy.lasts_minutes)
        is_over = now - followed.calm_since >= timedelta(minutes=policy.leave_minutes)
        return "end" if followed.is_open and has_lasted and is_over else "stay"
    if followed.is_open and now - followed.began_at >= LONGEST:
        return "settle"
    return "stay" if followed.calm_since is None else "loud"


def is_surge(policy: Policy, reading: Reading) -> bool:
    """Enough, much more than usual, and no mere chance; unknown is not unusual."""
    if reading.usual is None or reading.messages < policy.at_least:
        return False
    return (
        reading.messages >= policy.factor * reading.usual.mean and chance(reading.messages, reading.usual) <= UNLIKELY
    )


def is_calm(policy: Policy, reading: Reading) -> bool:
    """Near what is usual again, or next to nothing."""
    usual = 0.0 if reading.usual is None else reading.usual.mean
    return reading.messages <= max(policy.leave_factor * usual, policy.at_least / 2)


def subjects(policy: Policy, *, channel: str, lane: Lane | None, tags: Collection[str]) -> Iterable[str]:
    """What a message counts for; tags that a surge gives are no subject of their own."""
    named: Mapping[Kind, Iterable[str]] = {
        "workspace": (WORKSPACE,),
        "channel": (f"channel:{channel}",) if channel else (),
        "lane": (f"lane:{lane}",) if lane else (),
        "tag": (f"tag:{tag}" for tag in topics(tags, policy.during)),
    }
    return (subject for kind in policy.watch for subject in named[kind])


def topics(tags: Collection[str], during: Effects | None) -> Iterable[str]:
    """Tags without those that a surge gives: these are no subject of one."""
    given = during.tags if during else ()
    return (tag for tag in dict.fromkeys(tags) if tag not in given and not tag.startswith(DUPLICATE_TAG))


def problems(policy: Policy) -> list[dict[str, str]]:
    """What is wrong with it as a whole."""
    if policy.leave_factor >= policy.factor:
        detail = "a surge is over at fewer messages than it begins with: below `enter.factor`"
        return [{"pointer": "#/leave/factor", "detail": detail}]
    return []
