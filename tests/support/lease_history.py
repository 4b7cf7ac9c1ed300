"""A lease as its clients may see it: who could hold it when, by bounds of one clock, whatever a crash takes back."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from tests.support.linearizable import UNKNOWN, NotLinearizable, Operation, check, check_grows

Verb = Literal["acquire", "beat", "release", "take over", "force", "reply", "read", "crash"]
Verdict = Literal["granted", "asked", "released", "held", "free", "fenced-off", "moved", "taken", "crashed"]

DRIFT: Final = 0.01
"""Seconds by which the database's clock and ours may come apart while a lease lives."""

_READS: Final = frozenset({"held", "free", "fenced-off", "moved", "taken"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What an agent asks of the lease of one ticket."""

    verb: Verb
    agent: str = ""
    is_human: bool = True
    session: str | None = None
    fence: int | None = None
    active: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the agent was told; instants are the database's, in microseconds."""

    verdict: Verdict
    holder: str | None = None
    fence: int | None = None
    until: int | None = None
    at: int | None = None
    """When it was granted."""
    wanted_by: str | None = None
    shows_wish: bool = False
    """Whether `wanted_by` was part of the answer, none as much as one."""


class Life(NamedTuple):
    """Until when a lease lives, and since when its holder is idle: bounds by our clock."""

    low: float
    high: float
    active_low: float
    active_high: float
    until: int | None = None
    """As the database told it."""


class Wish(NamedTuple):
    """Somebody wants it, and waits until then."""

    by: str
    low: float
    high: float


class Tenure(NamedTuple):
    """Who has the lease, or had it last and has not given it back."""

    floor: int = 0
    """The greatest fence that is known to have been given."""
    holder: str | None = None
    is_human: bool = True
    session: str | None = None
    fence: int | None = None
    """None: somebody got one, greater than the floor, and nobody heard which."""
    lives: tuple[Life, ...] = ()
    """The current one comes last; those before are what a crash may bring back: heartbeats do not wait for the disk."""
    wish: Wish | None = None

    def may_live(self, operation: Operation) -> bool:
        """Whether it may have lived at some instant of the operation."""
        return self.holder is not None and operation.start < self.lives[-1].high + DRIFT

    def may_be_over(self, operation: Operation) -> bool:
        """Whether it may have ended at some instant of the operation."""
        return self.holder is None or operation.end > self.lives[-1].low - DRIFT

    def may_be(self, agent: str, fence: int | None) -> bool:
        """Whether this agent has it, perhaps under this fence."""
        fits = fence is None or fence == self.fence or (self.fence is None and fence > self.floor)
        return self.holder == agent and fits

    def is_surely(self, agent: str, fence: int | None) -> bool:
        """Whether this agent has it, under this fence for sure."""
        return self.holder == agent and fence in (None, self.fence)

    def told(self, fence: int | None, until: int | None) -> "Tenure | None":
        """What is known once these were told; None where they contradict what is known already."""
        known, life = self, self.lives[-1]
        if fence is not None:
            if fence != self.fence and (self.fence is not None or fence <= self.floor):
                return None
            known = known._replace(fence=fence, floor=fence)
        if until is not None:
            if life.until not in (None, until):
                return None
            known = known._replace(lives=(*self.lives[:-1], life._replace(until=until)))
        return known


FREE: Final = Tenure()


class Outcome(NamedTuple):
    """What an operation may have come to."""

    verdict: Verdict
    state: Tenure
    after: Life | None = None
    """The one that must have been over by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The model; seconds are the workspace's durations."""

    ttl: float
    idle: float
    free_after: float
    request: float
    first: Tenure = FREE

    def step(self, state: Tenure, operation: Operation) -> Iterator[Tenure]:
        """Every state that the operation may leave behind."""
        told: Told | None = operation.result
        if told is UNKNOWN:
            yield state
            yield from (outcome.state for outcome in self._outcomes(state, operation) if outcome.state != state)
            return
        for outcome in self._outcomes(state, operation):
            if outcome.verdict == told.verdict and (known := _known(outcome, told)) is not None:
                yield known

    def is_read(self, operation: Operation) -> bool:
        """Refusals and looks change nothing."""
        return operation.result is not UNKNOWN and operation.result.verdict in _READS

    def _outcomes(self, state: Tenure, operation: Operation) -> Iterator[Outcome]:
        call: Call = operation.call
        match call.verb:
            case "acquire":
                yield from self._acquire(state, operation, call.session)
            case "beat":
                yield from self._beat(state, operation)
            case "release":
                yield from _release(state, operation)
            case "force" | "take over":
                yield from self._take_over(state, operation)
            case "reply":
                yield from self._reply(state, operation)
            case "read":
                yield from _read(state, operation)
            case "crash":
                yield from _crash(state)

    def _acquire(self, state: Tenure, operation: Operation, session: str | None) -> Iterator[Outcome]:
        call: Call = operation.call
        if state.may_be_over(operation):
            yield Outcome("granted", self._new(state, operation, session), state.lives[-1] if state.lives else None)
        if not state.may_live(operation):
            return
        if state.holder == call.agent and (session is None or state.session in (None, session)):
            yield Outcome("granted", state._replace(lives=(self._life(operation),)))
        elif state.holder == call.agent:
            yield Outcome("granted", self._new(state, operation, session)._replace(wish=state.wish))
        elif call.is_human and not state.is_human:
            yield Outcome("granted", self._new(state, operation, session))
        else:
            yield Outcome("held", state)

    def _beat(self, state: Tenure, operation: Operation) -> Iterator[Outcome]:
        call: Call = operation.call
        if state.may_live(operation) and state.may_be(call.agent, call.fence):
            life, known = self._life(operation), state.told(call.fence, None) or state
            if not call.active:
                now = state.lives[-1]
                life = Life(
                    low=min(life.low, now.active_low + self.idle),
                    high=min(life.high, now.active_high + self.idle),
                    active_low=now.active_low,
                    active_high=now.active_high,
                )
            yield Outcome("granted", known._replace(lives=(*known.lives, life)))
        if state.may_be_over(operation) or not state.is_surely(call.agent, call.fence):
            yield Outcome("fenced-off", state)

    def _reply(self, state: Tenure, operation: Operation) -> Iterator[Outcome]:
        call: Call = operation.call
        if call.fence is not None:
            if not state.is_surely(call.agent, call.fence):
                yield Outcome("fenced-off", state)
            if not state.may_be(call.agent, call.fence):
                return
            # It may have ended by itself: nobody else can have come in between.
            state = state.told(call.fence, None) or state
        yield Outcome("moved", state)
        own = state.session if state.holder == call.agent else None
        for outcome in self._acquire(state, operation, None):
            if outcome.verdict == "held":
                yield outcome
                continue
            yield Outcome("taken", state)
            is_new = outcome.state.fence is None
            yield outcome._replace(state=outcome.state._replace(session=own)) if is_new else outcome

    def _take_over(self, state: Tenure, operation: Operation) -> Iterator[Outcome]:
        call: Call = operation.call
        for outcome in self._acquire(state, operation, call.session):
            if outcome.verdict == "granted" or not (call.is_human or call.verb == "force"):
                yield outcome
                continue
            wish = state.wish
            waited = wish is not None and wish.by == call.agent and operation.end > wish.low - DRIFT
            was_idle = operation.end - state.lives[-1].active_low > self.free_after - DRIFT
            if call.verb == "force" or was_idle or waited:
                yield Outcome("granted", self._new(state, operation, call.session))
            if call.verb == "take over":
                yield from self._ask(state, operation)

    def _ask(self, state: Tenure, operation: Operation) -> Iterator[Outcome]:
        agent, wish = operation.call.agent, state.wish
        mine = Wish(agent, operation.start + self.request, operation.end + self.request)
        if wish is None:
            yield Outcome("asked", state._replace(wish=mine))
            return
        if wish.by == agent and operation.start < wish.high + DRIFT:
            yield Outcome("asked", state)
        if operation.end > (wish.low if wish.by == agent else wish.low + self.request) - DRIFT:
            yield Outcome("asked", state._replace(wish=mine))
        if wish.by != agent and operation.start < wish.high + self.request + DRIFT:
            yield Outcome("held", state)

    def _new(self, state: Tenure, operation: Operation, session: str | None) -> Tenure:
        call: Call = operation.call
        return Tenure(
            floor=state.floor,
            holder=call.agent,
            is_human=call.is_human,
            session=session,
            lives=(self._life(operation),),
        )

    def _life(self, operation: Operation) -> Life:
        start, end, least = operation.start, operation.end, min(self.ttl, self.idle)
        return Life(low=start + least, high=end + least, active_low=start, active_high=end)


def check_lease(history: Iterable[Operation], model: Lease) -> list[Operation]:
    """First what needs no search: fences only grow, and each is one agent's."""
    operations = list(history)
    marks = [(one, one.result.fence) for one in operations if one.result is not UNKNOWN and one.result.fence]
    check_grows(marks, strictly=False)
    owners: dict[int, Operation] = {}
    for operation, fence in marks:
        first = owners.setdefault(fence, operation)
        if first.result.holder != operation.result.holder:
            raise NotLinearizable(f"fence {fence} is two agents':\n  {first}\n  {operation}")
    return check(operations, model)


def _read(state: Tenure, operation: Operation) -> Iterator[Outcome]:
    if state.may_live(operation):
        yield Outcome("held", state)
    if state.may_be_over(operation):
        yield Outcome("free", state)


def _crash(state: Tenure) -> Iterator[Outcome]:
    for life in state.lives:
        yield Outcome("crashed", state._replace(lives=(life,)))
    if state.holder is None:
        yield Outcome("crashed", state)


def _release(state: Tenure, operation: Operation) -> Iterator[Outcome]:
    call: Call = operation.call
    if state.holder is None:
        yield Outcome("released", state)
        return
    if state.may_be(call.agent, call.fence):
        known = state.told(call.fence, None) or state
        yield Outcome("released", Tenure(floor=known.floor))
    if not state.is_surely(call.agent, call.fence):
        if state.may_be_over(operation):
            yield Outcome("released", state)
        if state.may_live(operation):
            yield Outcome("fenced-off", state)


def _known(outcome: Outcome, told: Told) -> Tenure | None:
    state = outcome.state
    if told.verdict in ("granted", "held", "asked"):
        if told.holder not in (None, state.holder):
            return None
        if told.shows_wish and told.wanted_by != (state.wish.by if state.wish else None):
            return None
        after = outcome.after.until if outcome.after else None
        if told.at is not None and after is not None and told.at < after:
            return None
        return state.told(told.fence, told.until)
    return state
