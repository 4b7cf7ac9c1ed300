"""Operations on an item: one after the other, the last word wins, and what is doubtful is tried again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.notifier.domain.claims import Terms
from services.notifier.domain.moderation import Moderation, concluded, decide, news, next_look
from services.notifier.domain.replies import Limits, NotLeft, Patience
from shared.networks.port import NOT_SUPPORTED, NOT_THERE, Failed, Sent, Throttled, Unknown

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
SOON = NOW + timedelta(seconds=30)
LAG = timedelta(seconds=60)
PATIENCE = Patience(attempts=3, backoff=timedelta(seconds=1), question_backoff=timedelta(seconds=1), questions=0)


def moderation(number: int = 1, **changes: Any) -> Moderation:
    fields: dict[str, Any] = {
        "id": f"mod_{number}",
        "number": number,
        "workspace_id": "w1",
        "message_id": "m1",
        "channel_id": "chn_1",
        "network": "facebook",
        "operation": "hide",
        "data": b"",
    }
    return Moderation(**(fields | changes))


def terms(wait: float = 0.0) -> Terms:
    return Terms(
        now=NOW,
        token="clm_2",
        lifetime=timedelta(seconds=30),
        patience=PATIENCE,
        limits=lambda _: Limits(lag=LAG, can_be_asked=False),
        pace=lambda _: wait,
    )


def claimed(**changes: Any) -> Moderation:
    fields = {"attempts": 1, "claim_token": "clm_1", "claimed_at": NOW, "due_at": SOON}
    return moderation(**(fields | changes))


def test_the_first_operation_on_an_item_is_claimed_and_the_others_wait_for_it() -> None:
    found = decide([moderation(2, operation="like"), moderation(1, operation="delete")], terms())
    assert [(one.id, one.attempts, one.due_at) for one in found.claimed] == [("mod_1", 1, SOON)]
    assert found.due == {"m1": SOON}


def test_items_do_not_wait_for_each_other() -> None:
    found = decide([moderation(1), moderation(2, message_id="m2")], terms())
    assert [one.id for one in found.claimed] == ["mod_1", "mod_2"]


def test_of_two_that_contradict_each_other_the_later_one_holds() -> None:
    found = decide([moderation(1), moderation(2, operation="unhide")], terms())
    assert [(one.id, one.state, one.code) for one in found.changed] == [
        ("mod_1", "failed", "superseded"),
        ("mod_2", "waiting", None),
    ]
    assert [one.id for one in found.claimed] == ["mod_2"]


def test_an_order_that_comes_after_its_contrary_was_done_is_superseded() -> None:
    found = decide([moderation(1), moderation(2, operation="unhide", state="done")], terms())
    assert [(one.id, one.code) for one in found.changed] == [("mod_1", "superseded")]
    assert found.due == {"m1": None}


def test_what_is_under_way_is_waited_for_even_if_the_contrary_was_asked_for() -> None:
    found = decide([claimed(), moderation(2, operation="unhide")], terms())
    assert (found.changed, found.claimed, found.due) == ([], [], {"m1": SOON})


def test_hiding_what_was_hidden_and_shown_before_is_no_contradiction() -> None:
    before = [moderation(1, state="done"), moderation(2, operation="unhide", state="done")]
    assert [one.id for one in decide([*before, moderation(3)], terms()).claimed] == ["mod_3"]


def test_a_claim_that_ran_out_is_doubtful_and_tried_again() -> None:
    [again] = decide([claimed(due_at=NOW)], terms()).claimed
    assert (again.doubtful_until, again.attempts, again.claim_token) == (NOW + LAG, 2, "clm_2")


def test_after_too_many_claims_that_ran_out_nobody_knows() -> None:
    found = decide([claimed(due_at=NOW, attempts=3)], terms())
    assert [(one.state, one.code) for one in found.changed] == [("failed", "unknown")]
    assert found.due == {"m1": None}


def test_a_channel_that_must_wait_keeps_its_operation_waiting_and_unspent() -> None:
    found = decide([moderation()], terms(wait=2.0))
    assert [(one.attempts, one.due_at) for one in found.changed] == [(0, NOW + timedelta(seconds=2))]
    assert found.due == {"m1": NOW + timedelta(seconds=2)}


@pytest.mark.parametrize(
    ("outcome", "state", "code"),
    [
        (Sent(external_id=None), "done", None),
        (Failed(code="200", reason="no"), "failed", "200"),
        (Failed(code=NOT_SUPPORTED, reason="no"), "unsupported", NOT_SUPPORTED),
        (Failed(code=NOT_THERE, reason="no"), "failed", NOT_THERE),
    ],
)
def test_an_answer_that_is_clear_settles_it(outcome: Any, state: str, code: str | None) -> None:
    after = concluded(claimed(operation="delete"), outcome, now=NOW, patience=PATIENCE, lag=LAG)
    assert (after.state, after.code, after.due_at, after.claim_token) == (state, code, None, None)
    told = news(after, at=NOW)
    assert told is not None
    assert (told.outcome, told.code, told.moderation_id) == (state, code, "mod_1")


@pytest.mark.parametrize(
    ("outcome", "is_doubtful", "wait"),
    [
        (Unknown(reason="502"), True, 1.0),
        (NotLeft(reason="refused"), False, 1.0),
        (Throttled(retry_after=7.0, reason="slower"), False, 7.0),
    ],
)
def test_what_is_not_clear_is_tried_again(outcome: Any, is_doubtful: bool, wait: float) -> None:  # noqa: FBT001
    after = concluded(claimed(), outcome, now=NOW, patience=PATIENCE, lag=LAG)
    assert (after.state, after.due_at) == ("waiting", NOW + timedelta(seconds=wait))
    assert after.doubtful_until == (SOON + LAG if is_doubtful else None)
    assert news(after, at=NOW) is None


@pytest.mark.parametrize(("outcome", "code"), [(Unknown(reason="502"), "unknown"), (NotLeft(reason="no"), "not-sent")])
def test_patience_ends(outcome: Any, code: str) -> None:
    after = concluded(claimed(attempts=3), outcome, now=NOW, patience=PATIENCE, lag=LAG)
    assert (after.state, after.code) == ("failed", code)


def test_not_there_proves_a_deletion_that_was_doubtful_and_nothing_else() -> None:
    gone = Failed(code=NOT_THERE, reason="no such object")
    proven = concluded(claimed(operation="delete", doubtful_until=SOON), gone, now=NOW, patience=PATIENCE, lag=LAG)
    other = concluded(claimed(operation="hide", doubtful_until=SOON), gone, now=NOW, patience=PATIENCE, lag=LAG)
    assert (proven.state, other.state) == ("done", "failed")


def test_an_item_is_looked_at_again_for_the_first_that_waits() -> None:
    assert next_look([moderation(1, state="done")], now=NOW) is None
    assert next_look([moderation(1, state="done"), moderation(2)], now=NOW) == NOW
    assert next_look([claimed(), moderation(2)], now=NOW) == SOON


def test_the_contrary_waits_until_what_is_doubtful_can_no_longer_happen() -> None:
    before = moderation(1, state="done", doubtful_until=NOW + LAG)
    found = decide([before, moderation(2, operation="unhide")], terms())
    assert (found.claimed, found.due) == ([], {"m1": NOW + LAG})
    other = decide([before, moderation(2, operation="like")], terms())
    assert [one.id for one in other.claimed] == ["mod_2"]


def test_the_contrary_of_a_claim_that_ran_out_waits_for_it_too() -> None:
    found = decide([claimed(due_at=NOW), moderation(2, operation="unhide")], terms())
    assert [(one.id, one.code) for one in found.changed] == [("mod_1", "superseded")]
    assert (found.claimed, found.due) == ([], {"m1": NOW + LAG})
