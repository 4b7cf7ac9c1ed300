"""Histories of leases and tickets: what a real one may look like passes, and each kind of fault is caught."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import lease_history as leases
from tests.support import ticket_history as tickets
from tests.support.lease_history import Lease, check_lease
from tests.support.linearizable import NotLinearizable, Operation
from tests.support.ticket_history import Page, Ticket, check_ticket

LEASE = Lease(ttl=10, idle=25, free_after=15, request=4)
TICKET = Ticket(first=Page(version=1, priority="normal", seq=1))
MICROSECONDS = 1_000_000


@dataclass
class Simulated:
    """A lease that does what it should, at exact instants."""

    holder: str | None = None
    fence: int = 0
    until: float = 0
    firm: float = 0
    """Until when it lives if a crash takes the heartbeats back."""
    active: float = 0
    given: int = 0
    fences: dict[str, int] = field(default_factory=dict)

    def do(self, verb: str, who: str, now: float) -> tuple[leases.Call, leases.Told]:
        """One operation at this instant."""
        fence = self.fences.get(who, 0) + 1 if verb == "beat wrong" else self.fences.get(who, 1)
        call: dict[str, Any] = {"agent": who, "verb": verb.split(maxsplit=1)[0]}
        if call["verb"] == "beat":
            call |= {"fence": fence, "active": verb == "beat active"}
        told = self._told(verb, who, now, fence)
        if verb == "reply":
            told = replace(told, until=None, at=None)
        return leases.Call(**call), told

    def _told(self, verb: str, who: str, now: float, fence: int) -> leases.Told:
        alive = self.holder is not None and now < self.until
        match verb:
            case "acquire" | "reply" | "force" if verb == "force" or not alive or self.holder == who:
                self._take(who, now, keeps=alive and self.holder == who)
                return self._shown("granted", at=now)
            case "acquire" | "reply":
                return self._shown("held")
            case "beat" | "beat active" | "beat wrong":
                return self._beat(who, now, fence, active=verb == "beat active")
            case "release":
                held = alive and self.holder != who
                self.holder = None if self.holder == who else self.holder
                return leases.Told(verdict="fenced-off" if held else "released")
            case "read":
                return self._shown("held") if alive else leases.Told(verdict="free")
            case _:
                self.until = self.firm
                return leases.Told(verdict="crashed")

    def _beat(self, who: str, now: float, fence: int, *, active: bool) -> leases.Told:
        if now >= self.until or (self.holder, self.fence) != (who, fence):
            return leases.Told(verdict="fenced-off")
        self.active = now if active else self.active
        self.until = min(now + LEASE.ttl, self.active + LEASE.idle)
        return self._shown("granted", at=now)

    def _take(self, who: str, now: float, *, keeps: bool) -> None:
        if not keeps:
            self.given += 3
            self.holder, self.fence = who, self.given
            self.fences[who] = self.fence
        self.active, self.until = now, now + LEASE.ttl
        self.firm = self.until

    def _shown(self, verdict: Any, *, at: float | None = None) -> leases.Told:
        return leases.Told(
            verdict=verdict,
            holder=self.holder,
            fence=self.fence,
            until=round(self.until * MICROSECONDS),
            at=None if at is None else round(at * MICROSECONDS),
        )


LEASE_VERBS = ["acquire"] * 4 + [
    "beat",
    "beat active",
    "beat wrong",
    "release",
    "reply",
    "read",
    "read",
    "force",
    "crash",
]


@st.composite
def lease_stories(draw: st.DrawFn, *, unheard: bool = True) -> list[Operation]:
    """What a real lease did, through intervals that overlap; some answers were never heard."""
    lease, now, found = Simulated(), 0.0, []
    for _ in range(draw(st.integers(1, 40))):
        now += draw(st.sampled_from([0.1, 1, 1, 3, 12]))
        call, told = lease.do(draw(st.sampled_from(LEASE_VERBS)), draw(st.sampled_from("abc")), now)
        start, end = now - draw(st.floats(0, 2)), now + draw(st.floats(0, 2))
        if call.verb == "crash":
            start = end = now
        elif unheard and draw(st.integers(0, 9)) == 0:
            told, end = None, math.inf
        found.append(Operation(who=call.agent, call=call, result=told, start=start, end=end))
    return found


@st.composite
def ticket_stories(draw: st.DrawFn, *, unheard: bool = True) -> tuple[list[Operation], Page]:
    """What a real ticket went through, likewise, and how it is in the end."""
    page, found = TICKET.first, []
    for now in range(draw(st.integers(1, 40))):
        verb = draw(st.sampled_from(["read", "read", "amend", "amend", "note", "reply", *["message"] * unheard]))
        call = tickets.Call(verb=verb, priority="normal" if verb == "message" else None)
        told = tickets.Told(verdict="done", version=page.version, priority=page.priority, seq=page.seq)
        if verb == "amend":
            call = tickets.Call(
                verb=verb,
                version=page.version - draw(st.integers(0, 1)),
                priority=draw(st.sampled_from(["low", "high"])),
            )
        if verb == "amend" and call.version != page.version:
            told = tickets.Told(verdict="stale", version=page.version)
        elif verb != "read":
            is_new = verb != "amend" or call.priority != page.priority
            page = Page(
                version=page.version + (is_new and verb != "reply"),
                priority="high" if verb == "message" and page.priority == "high" else call.priority or page.priority,
                seq=page.seq + is_new * draw(st.integers(1, 3)),
            )
            told = tickets.Told(verdict="done", seq=page.seq)
            if verb == "amend":
                told = replace(told, version=page.version, priority=page.priority)
        start, end = now - draw(st.floats(0, 2)), now + draw(st.floats(0, 2))
        if verb == "message" or (unheard and draw(st.integers(0, 9)) == 0):
            told, end = None, math.inf
        found.append(Operation(who="x", call=call, result=told, start=start, end=end))
    return found, page


@given(lease_stories())
@settings(max_examples=50)
def test_whatever_a_real_lease_does_passes(history: list[Operation]) -> None:
    check_lease(history, LEASE)


@given(ticket_stories())
@settings(max_examples=50)
def test_whatever_a_real_ticket_goes_through_passes(story: tuple[list[Operation], Page]) -> None:
    check_ticket(story[0], TICKET)


def after(history: list[Operation], seconds: float = 0.5) -> float:
    return max((one.end for one in history if not math.isinf(one.end)), default=0) + seconds


def at(instant: float, who: str, call: Any, told: Any) -> Operation:
    return Operation(who=who, call=call, result=told, start=instant, end=instant + 0.1)


def lease_op(instant: float, verb: Any, agent: str, verdict: Any, **more: Any) -> Operation:
    """One operation; what begins with `told_` was the answer."""
    told = {name.removeprefix("told_"): value for name, value in more.items() if name.startswith("told_")}
    asked = {name: value for name, value in more.items() if not name.startswith("told_")}
    call = leases.Call(verb=verb, agent=agent, **asked)
    return at(instant, agent, call, leases.Told(verdict=verdict, **told))


@given(lease_stories(unheard=False), st.sampled_from(["same fence", "old fence", "while held", "beat", "seen free"]))
@settings(max_examples=60)
def test_a_fault_at_the_end_of_any_lease_is_caught(history: list[Operation], fault: str) -> None:
    now = after(history)
    highest = max((one.result.fence or 0 for one in history), default=0)
    first = lease_op(now, "force", "d", "granted", told_holder="d", told_fence=highest + 1)
    later = now + 1
    lies = {
        "same fence": lease_op(later, "force", "e", "granted", told_holder="e", told_fence=highest + 1),
        "old fence": lease_op(later, "force", "e", "granted", told_holder="e", told_fence=highest),
        "while held": lease_op(later, "acquire", "e", "granted", told_holder="e", told_fence=highest + 2),
        "beat": lease_op(later, "beat", "a", "granted", fence=highest, told_holder="a", told_fence=highest),
        "seen free": lease_op(later, "read", "", "free"),
    }
    check_lease([*history, first], LEASE)
    with pytest.raises(NotLinearizable):
        check_lease([*history, first, lies[fault]], LEASE)


@given(ticket_stories(unheard=False), st.sampled_from(["stale read", "lost update", "gone", "skipped", "same line"]))
@settings(max_examples=60)
def test_a_fault_at_the_end_of_any_ticket_is_caught(story: tuple[list[Operation], Page], fault: str) -> None:
    history, page = story
    now, version = after(history), page.version
    note = at(now, "x", tickets.Call(verb="note"), tickets.Told(verdict="done", seq=1000))
    read = tickets.Call(verb="read")
    amend = tickets.Call(verb="amend", version=version, priority="urgent")
    lies = {
        "stale read": (read, tickets.Told(verdict="done", version=version)),
        "lost update": (amend, tickets.Told(verdict="done", version=version + 1)),
        "gone": (read, tickets.Told(verdict="done", version=version + 1, seq=999)),
        "skipped": (read, tickets.Told(verdict="done", version=version + 2)),
        "same line": (tickets.Call(verb="reply"), tickets.Told(verdict="done", seq=1000)),
    }
    check_ticket([*history, note, at(now + 1, "x", read, tickets.Told(verdict="done", version=version + 1))], TICKET)
    with pytest.raises(NotLinearizable):
        check_ticket([*history, note, at(now + 1, "x", *lies[fault])], TICKET)


GRANTED = lease_op(0, "acquire", "a", "granted", told_holder="a", told_fence=1, told_until=10_050_000)
BEATEN = lease_op(8, "beat", "a", "granted", fence=1, active=True, told_holder="a", told_fence=1, told_until=18_050_000)
TAKEN = {"told_holder": "b", "told_fence": 2}
CRASH = lease_op(9, "crash", "", "crashed")
ASKED = lease_op(1, "take over", "b", "asked", told_holder="a", told_until=10_050_000, told_wanted_by="b")


@pytest.mark.parametrize(
    ("history", "is_true"),
    [
        ([lease_op(9.5, "acquire", "b", "granted", **TAKEN)], False),
        ([lease_op(10.2, "acquire", "b", "granted", **TAKEN)], True),
        ([lease_op(10.2, "acquire", "b", "granted", **TAKEN, told_at=10_040_000)], False),
        ([lease_op(10.2, "acquire", "b", "held", told_holder="a")], False),
        ([BEATEN, lease_op(10.2, "acquire", "b", "held", told_holder="a", told_until=18_050_000)], True),
        ([BEATEN, lease_op(10.2, "acquire", "b", "held", told_holder="a", told_until=10_050_000)], False),
        ([BEATEN, lease_op(12, "acquire", "b", "granted", **TAKEN)], False),
        ([BEATEN, CRASH, lease_op(12, "acquire", "b", "granted", **TAKEN)], True),
        ([CRASH, lease_op(9.5, "acquire", "b", "granted", **TAKEN)], False),
        ([lease_op(1, "release", "a", "released"), lease_op(2, "beat", "a", "granted", fence=1)], False),
        ([lease_op(1, "acquire", "a", "granted", session="s", told_holder="a", told_fence=1)], True),
        ([lease_op(1, "acquire", "b", "granted", is_human=False, **TAKEN)], False),
        ([lease_op(1, "reply", "b", "taken")], False),
        ([lease_op(1, "reply", "a", "taken", fence=1)], True),
        ([lease_op(1, "reply", "a", "fenced-off", fence=1)], False),
        ([lease_op(1, "reply", "b", "moved", fence=1)], False),
        ([ASKED, lease_op(6, "take over", "b", "granted", **TAKEN)], True),
        ([ASKED, lease_op(3, "take over", "b", "granted", **TAKEN)], False),
        ([ASKED, lease_op(3, "take over", "c", "held", told_holder="a")], True),
        ([ASKED, lease_op(3, "beat", "a", "granted", fence=1, told_wanted_by="b", told_shows_wish=True)], True),
        ([ASKED, lease_op(3, "beat", "a", "granted", fence=1, told_shows_wish=True)], False),
    ],
)
def test_what_may_become_of_a_lease(history: list[Operation], is_true: bool) -> None:  # noqa: FBT001 - a table
    if is_true:
        check_lease([GRANTED, *history], LEASE)
        return
    with pytest.raises(NotLinearizable):
        check_lease([GRANTED, *history], LEASE)


def test_what_was_never_answered_may_still_hold_the_lease() -> None:
    lost = Operation(who="a", call=leases.Call(verb="acquire", agent="a"), start=0)
    held = lease_op(1, "acquire", "b", "held", told_holder="a", told_fence=4)
    check_lease([lost, held, lease_op(2, "beat", "a", "granted", fence=4, told_fence=4, told_holder="a")], LEASE)
    with pytest.raises(NotLinearizable):
        check_lease([held], LEASE)
    with pytest.raises(NotLinearizable):
        check_lease([replace(lost, end=0.5), lease_op(1, "read", "", "free"), replace(held, start=2, end=3)], LEASE)
