"""States of a reply move forward only, and a person settles only what nobody else can."""

from datetime import UTC, datetime, timedelta

import pytest

from services.tickets.domain import outcome as outcomes
from services.tickets.domain.outcome import NotUnknown
from shared.errors import Forbidden

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STATES = ["queued", "sending", "sent", "failed", "unknown", "cancelled", "held"]
MOVES = {
    ("queued", "sent"),
    ("queued", "failed"),
    ("queued", "unknown"),
    ("queued", "held"),
    ("sending", "sent"),
    ("sending", "failed"),
    ("sending", "unknown"),
    ("sending", "held"),
    ("unknown", "sent"),
    ("unknown", "failed"),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("outcome", ["sent", "failed", "unknown", "held"])
def test_whatever_comes_late_changes_nothing(state: outcomes.ReplyState, outcome: outcomes.Outcome) -> None:
    assert outcomes.moves_to(state, outcome) == (outcome if (state, outcome) in MOVES else None)


def test_a_hold_that_its_writer_wanted_is_a_cancellation() -> None:
    assert outcomes.moves_to("queued", "held", reason="cancelled") == "cancelled"
    assert outcomes.moves_to("queued", "held", reason="turn-taken") == "held"
    assert outcomes.moves_to("queued", "failed", reason="cancelled") == "failed"


def test_only_holds_that_stopped_a_second_answer_are_collisions() -> None:
    reasons = ["takeover", "cancelled", "turn-taken", "unknown-ahead", "message-arrived", "window-closed", "linked"]
    assert [reason for reason in [*reasons, "echo"] if outcomes.is_collision(reason)] == [
        "takeover",
        "turn-taken",
        "unknown-ahead",
        "echo",
    ]


def test_a_person_settles_an_unknown_reply_once_it_is_time() -> None:
    outcomes.check_settling("unknown", ask_after=NOW, at=NOW, is_concerned=True)
    outcomes.check_settling("unknown", ask_after=None, at=NOW, is_concerned=True)
    with pytest.raises(NotUnknown):
        outcomes.check_settling("unknown", ask_after=NOW + timedelta(seconds=1), at=NOW, is_concerned=True)
    with pytest.raises(NotUnknown):
        outcomes.check_settling("queued", ask_after=None, at=NOW, is_concerned=True)
    with pytest.raises(Forbidden):
        outcomes.check_settling("unknown", ask_after=NOW, at=NOW, is_concerned=False)
