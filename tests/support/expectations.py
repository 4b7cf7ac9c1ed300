"""What tickets must do with one customer's answers: who may write now, which turns are taken, what becomes of a text."""

from dataclasses import dataclass, field
from typing import Final, Literal

from services.tickets.domain.lease import FencedOff, LeaseHeld
from services.tickets.domain.reply import ThreadMoved, TurnTaken
from shared.web.auth import Principal

UNIT: Final = 100
"""Seconds by which time passes at once. Every deadline lies well behind a multiple, and real time is short."""

TTL, IDLE, LONGEST, FREE_AFTER, REQUEST = 350, 650, 950, 450, 130
DURATIONS: Final = {
    "lease_ttl": TTL * 1000,
    "idle_release": IDLE * 1000,
    "lease_max": LONGEST * 1000,
    "takeover_free_after": FREE_AFTER * 1000,
    "takeover_request": REQUEST * 1000,
}

Step = Literal["renew", "take", "ask", "held"]


@dataclass
class Right:
    """A lease; instants are seconds since the beginning."""

    holder: str | None = None
    is_bot: bool = False
    session: str | None = None
    fence: int = 0
    active: int = 0
    expires: int = 0
    latest: int = 0
    wanted_by: str | None = None
    wanted_until: int = 0

    def is_live(self, now: int) -> bool:
        """Whether somebody has it."""
        return self.holder is not None and now < self.expires

    def acquire(self, who: Principal, now: int, session: str | None = None) -> Step:
        """What asking for it comes to."""
        if not self.is_live(now):
            return "take"
        if self.holder == who.id:
            return "renew" if session is None or self.session in (None, session) else "take"
        return "take" if self.is_bot and who.kind == "human" else "held"

    def take_over(self, who: Principal, now: int, *, forced: bool) -> Step:
        """What a takeover comes to."""
        plain = self.acquire(who, now)
        if plain != "held" or forced:
            return "take" if plain == "held" else plain
        if who.kind != "human":
            return plain
        is_asked = self.wanted_by is not None and now <= self.wanted_until + REQUEST
        has_waited = is_asked and self.wanted_by == who.id and now >= self.wanted_until
        if now - self.active > FREE_AFTER or has_waited:
            return "take"
        return "held" if is_asked and self.wanted_by != who.id else "ask"

    def beat(self, who: Principal, fence: int, now: int, *, active: bool) -> bool:
        """A sign of life; whether it still counts."""
        if not self.is_live(now) or (self.holder, self.fence) != (who.id, fence):
            return False
        self.active = now if active else self.active
        self.expires = min(now + TTL, self.active + IDLE, self.latest)
        return True

    def release(self, who: Principal, fence: int | None, now: int) -> bool:
        """Gives it back; whether the caller is told that it is somebody else's."""
        if self.holder != who.id or fence not in (None, self.fence):
            return self.is_live(now)
        self.end(self.fence)
        return False

    def renewed(self, now: int) -> None:
        """Its holder did something."""
        self.active, self.expires = now, min(now + TTL, self.latest)

    def taken(self, who: Principal, fence: int, now: int, session: str | None = None) -> None:
        """It has a holder, under a new fence. Whoever asked an own other screen for it still does."""
        if not (self.is_live(now) and self.holder == who.id):
            self.wanted_by = None
        self.holder, self.is_bot, self.session, self.fence = who.id, who.kind != "human", session, fence
        self.active, self.expires, self.latest = now, now + TTL, now + LONGEST

    def asked(self, who: Principal, now: int) -> None:
        """Somebody waits for it."""
        if self.wanted_by != who.id or self.wanted_until <= now:
            self.wanted_by, self.wanted_until = who.id, now + REQUEST

    def end(self, fence: int) -> None:
        """Nobody has it; the fence stays, or is greater if it was taken away."""
        self.holder = self.session = self.wanted_by = None
        self.fence = fence


@dataclass
class Answer:
    """What a turn was answered with last."""

    id: str
    author: str | None
    seq: int


@dataclass
class Turn:
    """A customer's message."""

    seq: int
    answer: Answer | None = None


@dataclass
class Written:
    """A reply as tickets knows it."""

    author: str
    fence: int
    turns: list[str]
    text: str
    state: str = "queued"


@dataclass
class Model:
    """What must be so."""

    right: Right = field(default_factory=Right)
    now: int = 0
    owner: str | None = None
    moves: list[tuple[int, str | None]] = field(default_factory=list)
    turns: dict[str, Turn] = field(default_factory=dict)
    written: dict[str, Written] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)

    def concerned(self, seen: int) -> list[str]:
        """The latest turn, and every open one before it."""
        known = [turn_id for turn_id, turn in self.turns.items() if turn.seq <= seen]
        return [id_ for id_ in known if id_ == known[-1] or self.turns[id_].answer is None]

    def after(self, turn_id: str, seen: int) -> str | None:
        """The answer of a turn that a writer had seen."""
        answer = self.turns[turn_id].answer
        return answer.id if answer and answer.seq <= seen else None

    def verdict(self, who: Principal, seen: int, fence: int | None, *, override: bool) -> type | None:
        """The refusal that a reply meets, or None."""
        if fence is not None and (fence != self.right.fence or self.right.holder != who.id):
            return FencedOff
        if any(seq > seen and author != who.id for seq, author in self.moves):
            return ThreadMoved
        if self.right.acquire(who, self.now) == "held" and not override:
            return LeaseHeld
        pushes = self.right.is_live(self.now) and self.right.holder != who.id
        for turn_id in self.concerned(seen):
            answer = self.turns[turn_id].answer
            if answer and who.id not in {self.owner, answer.author} and not override:
                return TurnTaken
            for reply in self.written.values():
                if turn_id not in reply.turns or override:
                    continue
                is_stale = reply.fence < self.right.fence + pushes
                if reply.state == "unknown" or (reply.state == "queued" and reply.author != who.id and not is_stale):
                    return TurnTaken
        return None

    def ended(self, reply_id: str, outcome: str) -> bool:
        """What became of a reply; whether that was news."""
        reply = self.written[reply_id]
        if reply.state not in {"queued", "unknown"} or (reply.state == "unknown" and outcome in {"held", "unknown"}):
            return False
        reply.state = outcome
        if outcome in {"failed", "held"}:
            self.kept.add(reply.text)
        return True

    def answered(self, reply_id: str, seq: int) -> None:
        """A reply left, and took its turns."""
        reply = self.written[reply_id]
        self.moves.append((seq, reply.author))
        for turn_id in reply.turns:
            self.turns[turn_id].answer = Answer(reply_id, reply.author, seq)
