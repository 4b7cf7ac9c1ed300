"""Who gets a ticket: the least loaded of those who may take it, with a reason for everybody else."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from shared.events.tickets import Candidate

AssignmentState = Literal["queued", "offered", "accepted", "declined", "expired", "released"]
Strategy = Literal["least-load", "preferred", "kept", "claimed", "next", "manual"]
Obstacle = Literal["disabled", "away", "offline", "off-duty", "full", "declined", "not-in-team"]
"""Why somebody may not take a ticket. `declined`: or let the offer expire, or gave it back, a moment ago."""

Behind = Literal["not-preferred", "more-load", "shorter-wait"]
"""Why somebody who might have taken it did not get it: another one was preferred, had less to do, or waited longer."""

DECLINE_HOLDS: Final = timedelta(minutes=15)
"""For how long somebody who declined, let expire or gave back a ticket is not offered it again."""

_STEP: Final = 0.0001
# Seconds between two assignments of one transaction: they have an order, and the clock hardly runs ahead.

MOST_CANDIDATES: Final = 25
"""How many candidates an assignment names; the best ones."""


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """One step in who owns a ticket; the current one has no `ended_at`."""

    id: str
    workspace_id: str
    ticket_id: str
    team: str
    agent: str | None = None
    """None: the team's queue."""
    state: AssignmentState
    strategy: Strategy
    reason: str | None = None
    candidates: tuple[Candidate, ...] = ()
    expires_at: datetime | None = None
    created_at: datetime
    ended_at: datetime | None = None


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as far as assignment looks at one. `turn` is when the last assignment came, in seconds."""

    agent: str
    name: str
    availability: str
    disabled: bool = False
    capacity: int
    load: int = 0
    turn: float = 0.0
    off_duty: frozenset[str] = frozenset()
    """The teams by whose schedule this agent does not work now."""

    def obstacle(self, team: str | None = None) -> Obstacle | None:
        """Why this agent cannot take one more ticket (of this team); None when nothing is in the way."""
        if self.disabled:
            return "disabled"
        if self.availability != "available":
            return "away" if self.availability == "away" else "offline"
        if team in self.off_duty:
            return "off-duty"
        return "full" if self.load >= self.capacity else None


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Who was chosen (None: nobody may), and how everybody stood."""

    agent: str | None
    strategy: Strategy
    candidates: tuple[Candidate, ...]


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How a team takes work: whether an offer must be accepted first, and within how long."""

    requires_acceptance: bool = False
    offer_seconds: int = 120
    is_fallback: bool = False
    stand_in: str | None = None
    """The team that gets what comes for this one now, because nobody is on duty."""


Key = tuple[str, str]
"""Workspace and agent, or workspace and team."""


class Roster:
    """The agents that one transaction may give work to, their rows of load locked; counts what it gives and takes."""

    def __init__(
        self,
        agents: Mapping[Key, Member],
        members: Mapping[Key, Iterable[str]],
        teams: Mapping[Key, Terms],
        *,
        now: datetime,
    ) -> None:
        self._agents = dict(agents)
        self._members = {team: tuple(names) for team, names in members.items()}
        self._teams = dict(teams)
        self._turn = max(now.timestamp(), *(member.turn for member in self._agents.values()), 0.0)
        self.given: set[Key] = set()
        """Who was given a ticket."""
        self.touched: set[Key] = set()
        """Whose load is not what it was."""

    def add_terms(self, teams: Mapping[Key, Terms]) -> None:
        """Further teams, to whose members nothing is given by choice."""
        self._teams |= teams

    def terms(self, workspace: str, team: str) -> Terms:
        """How a team takes work."""
        return self._teams.get((workspace, team)) or Terms()

    def find(self, workspace: str, agent: str) -> Member | None:
        """An agent as this transaction knows it."""
        return self._agents.get((workspace, agent))

    def choose(
        self, workspace: str, team: str, *, prefer: str | None = None, declined: frozenset[str] = frozenset()
    ) -> Choice:
        """The agent of a team to offer a ticket to."""
        members = [
            member for name in self._members.get((workspace, team), ()) if (member := self.find(workspace, name))
        ]
        return choose(members, team=team, prefer=prefer, declined=declined)

    def is_staffed(self, workspace: str, team: str) -> bool:
        """Whether anybody is on duty."""
        members = (self.find(workspace, name) for name in self._members.get((workspace, team), ()))
        return any(member is not None and team not in member.off_duty for member in members)

    def reserve(self, workspace: str, agent: str) -> None:
        """One more ticket for an agent; the caller has decided that it may exceed the capacity, if it does."""
        member = self._agents[workspace, agent]
        self._turn += _STEP
        self._agents[workspace, agent] = msgspec.structs.replace(member, load=member.load + 1, turn=self._turn)
        self.given.add((workspace, agent))
        self.touched.add((workspace, agent))

    def release(self, workspace: str, agent: str) -> None:
        """One ticket less for an agent."""
        member = self._agents.get((workspace, agent))
        if member is not None:
            self._agents[workspace, agent] = msgspec.structs.replace(member, load=max(0, member.load - 1))
            self.touched.add((workspace, agent))

    def has_room(self, workspace: str, agent: str, team: str | None = None) -> bool:
        """Whether an agent may take one more ticket (of this team) by itself."""
        member = self.find(workspace, agent)
        return member is not None and member.obstacle(team) is None


def choose(
    members: Iterable[Member], *, team: str | None = None, prefer: str | None, declined: frozenset[str]
) -> Choice:
    """The least loaded member who may take it, among equals the one who waits longest; the preferred one before all."""
    standing = sorted(
        ((_obstacle(member, team, declined), member) for member in members),
        key=lambda pair: (pair[0] is not None, pair[1].agent != prefer, pair[1].load, pair[1].turn, pair[1].agent),
    )
    strangers = _strangers(prefer, (member.agent for _, member in standing))
    best = (
        Candidate(agent=member.agent, load=member.load, capacity=member.capacity, reason=obstacle)
        for obstacle, member in standing[: MOST_CANDIDATES - len(strangers)]
    )
    candidates = (*best, *strangers)
    if not standing or standing[0][0] is not None:
        return Choice(agent=None, strategy="least-load", candidates=candidates)
    agent = standing[0][1].agent
    return Choice(agent=agent, strategy="preferred" if agent == prefer else "least-load", candidates=candidates)


def answered(step: Assignment) -> tuple[Candidate, ...]:
    """The candidates of an assignment, each but the chosen one with the reason why it was not."""
    chosen = next((one for one in step.candidates if one.agent == step.agent), None)
    if chosen is None:
        return step.candidates
    return tuple(
        one
        if one is chosen or one.reason is not None
        else msgspec.structs.replace(one, reason=_behind(one, chosen, step.strategy))
        for one in step.candidates
    )


def _behind(candidate: Candidate, chosen: Candidate, strategy: Strategy) -> Behind:
    if strategy == "preferred":
        return "not-preferred"
    return "more-load" if candidate.load > chosen.load else "shorter-wait"


def _strangers(prefer: str | None, members: Iterable[str]) -> tuple[Candidate, ...]:
    """Whom a rule prefers, who is not in the team."""
    if prefer is None or prefer in members:
        return ()
    return (Candidate(agent=prefer, load=0, capacity=0, reason="not-in-team"),)


def _obstacle(member: Member, team: str | None, declined: frozenset[str]) -> Obstacle | None:
    return member.obstacle(team) or ("declined" if member.agent in declined else None)
