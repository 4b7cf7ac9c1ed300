"""Whether a reply may queue: traffic cop, lease, turns, and what an override lifts."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from services.tickets.domain import reply as replies
from services.tickets.domain.lease import FencedOff, Lease, LeaseHeld, Renew, Revoked, Take
from services.tickets.domain.reply import (
    Accepted,
    Answer,
    Missed,
    Order,
    Pending,
    Refused,
    Scene,
    ThreadMoved,
    TurnState,
    TurnTaken,
)
from shared.events.payload import Actor
from shared.events.tickets import Turn

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ANN = Actor(kind="agent", id="ann")
BEN = Actor(kind="agent", id="ben", name="Ben")
BOT = Actor(kind="bot", id="bot")
NATIVE = Actor(kind="agent")


def held(by: Actor | None, *, live: bool = True, fence: int = 5) -> Lease:
    expires = NOW + timedelta(seconds=10 if live else -10)
    return Lease(
        scope="cus", workspace_id="w", fence=fence, holder=by, active_at=NOW, expires_at=expires if by else None
    )


def answered(by: Actor, *, seq: int = 3, id: str = "rpl_1") -> TurnState:  # noqa: A002
    return TurnState(message_id="m1", seq=1, answer=Answer(id=id, actor=by, seq=seq))


def pending(by: Actor, *, fence: int = 5, state: replies.ReplyState = "queued") -> TurnState:
    return TurnState(message_id="m1", seq=1, pending=(Pending(reply_id="rpl_1", author=by, state=state, fence=fence),))


OPEN = TurnState(message_id="m1", seq=1)
NEWS = Missed(seq=4, kind="message", actor=Actor(kind="customer"), at=NOW, text="Wait")


def decide(
    *,
    who: Actor = ANN,
    lease: Lease | None = None,
    turn: TurnState = OPEN,
    owner: str | None = None,
    missed: tuple[Missed, ...] = (),
    fence: int | None = None,
    override: bool = False,
    seen: int = 3,
) -> Accepted | Refused:
    scene = Scene(at=NOW, owner=owner, last_seq=4, lease=lease, missed=missed, turns=(turn,))
    return replies.decide(scene, who, Order(text="Hi", seen_seq=seen, fence=fence, override=override))


def kind(decision: Accepted | Refused) -> str:
    return decision.kind if isinstance(decision, Refused) else "accepted"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "accepted"),
        ({"lease": held(ANN)}, "accepted"),
        ({"lease": held(ANN), "fence": 5}, "accepted"),
        ({"lease": held(ANN, live=False), "fence": 5}, "accepted"),
        ({"lease": held(ANN), "fence": 4}, "fenced-off"),
        ({"lease": held(BEN), "fence": 5}, "fenced-off"),
        ({"lease": held(None), "fence": 5}, "fenced-off"),
        ({"fence": 5}, "fenced-off"),
        ({"lease": held(BEN), "fence": 5, "override": True}, "fenced-off"),
        ({"missed": (NEWS,)}, "thread-moved"),
        ({"missed": (NEWS,), "override": True}, "thread-moved"),
        ({"missed": (NEWS,), "lease": held(BEN)}, "thread-moved"),
        ({"missed": (NEWS,), "fence": 5}, "fenced-off"),
        ({"lease": held(BEN)}, "lease-held"),
        ({"lease": held(BEN, live=False)}, "accepted"),
        ({"lease": held(BEN), "override": True}, "accepted"),
        ({"lease": held(BOT)}, "accepted"),
        ({"lease": held(ANN), "who": BOT}, "lease-held"),
        ({"turn": answered(BEN)}, "turn-taken"),
        ({"turn": answered(BEN), "override": True}, "accepted"),
        ({"turn": answered(BEN), "owner": "ann"}, "accepted"),
        ({"turn": answered(BEN), "owner": "ben"}, "turn-taken"),
        ({"turn": answered(ANN)}, "accepted"),
        ({"turn": answered(NATIVE)}, "turn-taken"),
        ({"turn": answered(NATIVE), "owner": "ann"}, "accepted"),
        ({"turn": pending(BEN), "lease": held(None)}, "turn-taken"),
        ({"turn": pending(BEN, state="sending"), "lease": held(None)}, "turn-taken"),
        ({"turn": pending(BEN), "lease": held(BEN, live=False)}, "turn-taken"),
        ({"turn": pending(BEN), "lease": None}, "turn-taken"),
        ({"turn": pending(BEN), "owner": "ann", "lease": held(None)}, "turn-taken"),
        ({"turn": pending(BEN), "lease": held(None), "override": True}, "accepted"),
        ({"turn": pending(BEN, fence=4), "lease": held(ANN)}, "accepted"),
        ({"turn": pending(BEN, fence=4), "lease": held(None)}, "accepted"),
        ({"turn": pending(BOT), "lease": held(BOT)}, "accepted"),
        ({"turn": pending(ANN), "lease": held(ANN)}, "accepted"),
        ({"turn": pending(BEN, fence=1, state="unknown"), "lease": held(ANN)}, "turn-taken"),
        ({"turn": pending(ANN, fence=1, state="unknown"), "lease": held(ANN)}, "turn-taken"),
        ({"turn": pending(BEN, state="unknown"), "owner": "ann"}, "turn-taken"),
        ({"turn": pending(BEN, state="unknown"), "override": True}, "accepted"),
    ],
)
def test_the_second_answer_is_refused(given: dict, expected: str) -> None:
    assert kind(decide(**given)) == expected


def test_an_accepted_reply_says_what_becomes_of_the_lease() -> None:
    assert isinstance(decide(lease=held(ANN)), Accepted)
    for given, step in [(held(ANN), Renew()), (None, Take()), (held(BOT), Take(before=Revoked(reason="preempted")))]:
        decision = decide(lease=given)
        assert isinstance(decision, Accepted)
        assert decision.lease == step


def test_an_override_says_what_it_overrode() -> None:
    decision = decide(lease=held(BEN), turn=answered(BOT), override=True)
    assert isinstance(decision, Accepted)
    assert [(over.kind, over.other) for over in decision.overridden] == [("lease-held", BEN), ("turn-taken", BOT)]
    plain = decide(override=True)
    assert isinstance(plain, Accepted)
    assert plain.overridden == ()


def test_a_reply_follows_the_answer_that_its_writer_had_seen() -> None:
    for seen, after in [(3, "rpl_1"), (2, None)]:
        decision = decide(turn=answered(ANN), seen=seen)
        assert isinstance(decision, Accepted)
        assert decision.turns == (Turn(message_id="m1", after=after),)


@pytest.mark.parametrize(
    ("given", "error", "members"),
    [
        ({"missed": (NEWS,)}, ThreadMoved, {"missed", "last_seq", "draft_id"}),
        ({"turn": answered(BEN)}, TurnTaken, {"message_id", "answer", "draft_id"}),
        ({"turn": pending(BEN), "lease": held(None)}, TurnTaken, {"message_id", "answer", "draft_id"}),
        ({"turn": pending(BEN, state="unknown")}, TurnTaken, {"message_id", "answer", "outcome", "draft_id"}),
        ({"lease": held(BEN)}, LeaseHeld, {"holder", "expires_at", "fence", "draft_id"}),
        ({"lease": held(BEN), "fence": 4}, FencedOff, {"fence", "holder", "draft_id"}),
        ({"fence": 4}, FencedOff, {"fence", "draft_id"}),
    ],
)
def test_a_refusal_tells_all_that_its_writer_needs(given: dict, error: type, members: set[str]) -> None:
    refused = decide(**given)
    assert isinstance(refused, Refused)
    refusal = replies.refusal(refused, draft_id="drf_1")
    assert type(refusal) is error
    assert refusal.keeps_effects
    assert set(refusal.fields) == members


@pytest.mark.parametrize("given", [{"lease": held(BEN)}, {"turn": pending(BEN), "lease": held(None)}])
def test_a_refusal_names_people_by_their_names(given: dict) -> None:
    refused = decide(**given)
    assert isinstance(refused, Refused)
    assert "Ben" in refused.detail


def test_what_was_missed_is_told_exactly() -> None:
    refused = decide(missed=(NEWS, msgspec.structs.replace(NEWS, seq=5, text="Hello?")))
    assert isinstance(refused, Refused)
    assert [(entry["seq"], entry["text"]) for entry in refused.fields["missed"]] == [(4, "Wait"), (5, "Hello?")]


@pytest.mark.parametrize(
    ("states", "seen", "expected"),
    [
        ([], 9, []),
        ([(1, True), (2, False), (3, True)], 9, [2, 3]),
        ([(1, False), (2, False), (3, False)], 2, [1, 2]),
        ([(3, False), (1, False)], 9, [1, 3]),
        ([(1, True), (2, True)], 9, [2]),
        ([(5, False)], 4, []),
    ],
)
def test_a_reply_takes_the_latest_turn_and_every_open_one_before_it(
    states: list[tuple[int, bool]], seen: int, expected: list[int]
) -> None:
    given = [
        TurnState(message_id=f"m{seq}", seq=seq, answer=Answer(id="rpl", actor=ANN, seq=seq) if done else None)
        for seq, done in states
    ]
    assert [state.seq for state in replies.seen_turns(given, seen)] == expected
