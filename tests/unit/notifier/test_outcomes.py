"""What becomes of a reply after each kind of answer, and what others are told."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.notifier.domain import replies
from services.notifier.domain.replies import Limits, NotLeft
from shared.events import deliveries
from shared.networks.port import Failed, NotThere, Sent, Throttled, Unknown
from tests.unit.notifier.test_claims import NOW, PATIENCE, reply, sending

LIMITS = Limits(lag=timedelta(seconds=60), can_be_asked=True)
GIVEN_UP = replace(sending(), state="unknown", ask_after=NOW, due_at=NOW)


def concluded(given, outcome):
    return replies.concluded(given, outcome, now=NOW, patience=PATIENCE, limits=LIMITS)


@pytest.mark.parametrize(
    ("given", "outcome", "state"),
    [
        (sending(), Sent(external_id="e"), "sent"),
        (sending(), Failed(code="100", reason="no"), "failed"),
        (sending(), Unknown(reason="502"), "unknown"),
        (sending(), Throttled(retry_after=7, reason="slow down"), "waiting"),
        (sending(), NotLeft(reason="refused"), "waiting"),
        (sending(attempts=2), NotLeft(reason="refused"), "failed"),
        (sending(echo_id="e"), Unknown(reason="502"), "sent"),
        (sending(echo_id="e"), Failed(code="100", reason="no"), "sent"),
        (GIVEN_UP, Sent(external_id="e"), "sent"),
        (GIVEN_UP, Unknown(reason="502"), "unknown"),
        (GIVEN_UP, NotLeft(reason="slept"), "failed"),
        (GIVEN_UP, Throttled(retry_after=7, reason="slow down"), "failed"),
        (replace(sending(), state="sent"), Failed(code="100", reason="no"), "sent"),
        (replace(sending(), state="held"), Sent(external_id="e"), "held"),
    ],
)
def test_each_outcome_leads_to_one_state_and_never_back(given, outcome, state):
    assert concluded(given, outcome).state == state


def test_a_network_that_names_a_wait_gets_it_and_others_wait_longer_each_time():
    assert concluded(sending(), Throttled(retry_after=90, reason="")).due_at == NOW + timedelta(seconds=90)
    assert concluded(sending(attempts=1), NotLeft(reason="")).due_at == NOW + timedelta(seconds=2)


def test_the_next_attempt_needs_a_claim_of_its_own():
    assert concluded(sending(), NotLeft(reason="")).claim_token is None


@pytest.mark.parametrize(
    ("finding", "state", "due"),
    [
        (Sent(external_id="e"), "sent", None),
        (NotThere(), "failed", None),
        (Unknown(reason="?"), "unknown", NOW),
        (None, "unknown", None),
    ],
)
def test_what_the_network_says_settles_an_unknown(finding, state, due):
    after = replies.answered(GIVEN_UP, finding)
    assert (after.state, after.due_at) == (state, due)


@pytest.mark.parametrize(
    ("given", "state"),
    [(reply(), "sent"), (GIVEN_UP, "sent"), (sending(), "sending"), (replace(reply(), state="held"), "held")],
)
def test_an_echo_settles_what_is_open(given, state):
    assert replies.echoed(given, "e").state == state


@pytest.mark.parametrize("state", ["sending", "sent", "unknown", "failed"])
def test_what_has_left_cannot_be_held(state):
    assert replies.held(replace(sending(), state=state), "takeover").state == state


def test_each_new_state_is_told_once_with_the_turns():
    held = replies.held(reply(turns=("m1", "m2")), "turn-taken", "a1")
    told = replies.news(reply(), held, at=NOW)
    assert isinstance(told, deliveries.ReplyHeld)
    assert (told.ticket_id, told.turns, told.reason, told.other) == ("t1", ("m1", "m2"), "turn-taken", "a1")
    assert replies.news(held, held, at=NOW) is None
    assert replies.news(reply(), sending(), at=NOW) is None


def test_waits_grow_and_stay_bounded():
    waits = [replies.backoff(timedelta(seconds=1), tries, timedelta(seconds=10)).total_seconds() for tries in range(6)]
    assert waits == [1, 2, 4, 8, 10, 10]
