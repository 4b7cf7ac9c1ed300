"""Which replies may leave: decided from what stands, without a clock or a database."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.domain import claims
from services.notifier.domain.claims import Terms
from services.notifier.domain.replies import Answer, Limits, Patience, Reply, Turn

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PATIENCE = Patience(attempts=3, backoff=timedelta(seconds=1), question_backoff=timedelta(seconds=30), questions=3)


def reply(reply_id="r1", *, seq=1, turns=("m1",), after=None, **changes):
    fields = {
        "id": reply_id,
        "workspace_id": "w1",
        "ticket_id": "t1",
        "seq": seq,
        "author_id": "ann",
        "channel_id": "c1",
        "network": "facebook",
        "fence": 1,
        "override": False,
        "hold_on_message": False,
        "window_until": None,
        "data": b"",
        "turns": tuple(Turn(message_id=turn, after=after) for turn in turns),
        "due_at": NOW,
    }
    return Reply(**(fields | changes))


def sending(reply_id="r1", **changes):
    deadline = changes.pop("claim_deadline", NOW + timedelta(seconds=10))
    return reply(
        reply_id, state="sending", claim_token="x", claimed_at=NOW, claim_deadline=deadline, due_at=deadline, **changes
    )


def decide(*own, elsewhere=(), answers=None, pace=lambda _: 0.0, can_be_asked=True):
    terms = Terms(
        now=NOW,
        token="token",
        lifetime=timedelta(seconds=30),
        patience=PATIENCE,
        limits=lambda _: Limits(lag=timedelta(seconds=60), can_be_asked=can_be_asked),
        pace=pace,
    )
    return claims.decide(own, elsewhere=elsewhere, answers=answers or {}, terms=terms)


def after(decision, reply_id="r1"):
    return decision.changed[reply_id][1]


def test_a_claim_says_whose_it_is_and_when_it_ends():
    [claimed] = decide(reply()).claimed
    assert (claimed.state, claimed.claim_token, claimed.claimed_at) == ("sending", "token", NOW)
    assert claimed.claim_deadline == claimed.due_at == NOW + timedelta(seconds=30)


def test_replies_of_one_turn_go_one_after_the_other():
    decision = decide(reply("r2", seq=2), reply("r1", seq=1))
    assert [claimed.id for claimed in decision.claimed] == ["r1"]
    assert after(decision, "r2").due_at is None


def test_replies_of_different_turns_do_not_wait_for_each_other():
    decision = decide(reply("r1", seq=1), reply("r2", seq=2, turns=("m2",)))
    assert [claimed.id for claimed in decision.claimed] == ["r1", "r2"]


def test_whatever_is_being_sent_is_waited_for_even_if_it_is_younger():
    decision = decide(sending("r2", seq=2), reply("r1", seq=1))
    assert decision.claimed == []
    assert after(decision).state == "waiting"


def test_a_reply_behind_another_ticket_looks_again_by_itself():
    decision = decide(reply(), elsewhere=[sending("r9", ticket_id="t9")])
    assert after(decision).due_at == NOW + claims.ELSEWHERE


def test_a_reply_that_waits_on_another_ticket_stands_in_nobodys_way():
    later = NOW + timedelta(minutes=1)
    decision = decide(reply("r9", ticket_id="t0", due_at=later), reply("r1", seq=2))
    assert [claimed.id for claimed in decision.claimed] == ["r1"]


@pytest.mark.parametrize(
    ("answer", "changes", "state"),
    [
        (None, {}, "sending"),
        (Answer(id="a1", author_id="ben"), {}, "held"),
        (Answer(id="a1", author_id="ben"), {"after": "a1"}, "sending"),
        (Answer(id="a2", author_id="ben"), {"after": "a1"}, "held"),
        (Answer(id="a1", author_id="ann"), {}, "sending"),
        (Answer(id="a1", author_id=None), {"author_id": None}, "held"),
        (Answer(id="a1", author_id="ben"), {"override": True}, "sending"),
        (None, {"after": "told-elsewhere"}, "sending"),
    ],
)
def test_the_latest_answer_must_be_one_that_the_writer_had_seen_or_written(answer, changes, state):
    answers = {"m1": answer} if answer else {}
    assert after(decide(reply(**changes), answers=answers)).state == state


def test_every_turn_counts():
    decision = decide(reply(turns=("m1", "m2")), answers={"m2": Answer(id="a1", author_id="ben")})
    assert (after(decision).state, after(decision).reason, after(decision).other) == ("held", "turn-taken", "a1")


@pytest.mark.parametrize(("override", "state"), [(False, "held"), (True, "sending")])
def test_behind_an_unknown_only_an_override_leaves(override, state):
    unknown = replace(sending("r0", seq=0), state="unknown", due_at=None)
    decision = decide(unknown, reply(override=override))
    assert after(decision).state == state


def test_an_acknowledgement_gives_way_to_an_answer_and_takes_no_turn():
    late = decide(reply(acknowledges=True), answers={"m1": Answer(id="a1", author_id="ben")})
    assert (after(late).state, after(late).reason) == ("held", "turn-taken")
    ran_out = replace(sending("r0", seq=0, acknowledges=True), state="unknown", due_at=None, echo_id="x")
    assert ran_out.takes == ()
    assert reply().takes == ("m1",)


@pytest.mark.parametrize(("state", "expected"), [("unknown", "sending"), ("sending", "waiting")])
def test_an_answer_waits_for_an_acknowledgement_that_is_being_sent_and_not_for_its_fate(state, expected):
    ahead = replace(sending("r0", seq=0, acknowledges=True, author_id="rules"), state=state)
    decision = decide(ahead, reply())
    assert (decision.changed["r1"][1] if "r1" in decision.changed else reply()).state == expected


def test_a_held_reply_frees_the_next_at_once():
    decision = decide(
        reply("r1", seq=1, author_id="ben"), reply("r2", seq=2), answers={"m1": Answer(id="a1", author_id="ann")}
    )
    assert (after(decision, "r1").state, after(decision, "r2").state) == ("held", "sending")


def test_the_window_is_judged_when_the_reply_would_leave():
    assert after(decide(reply(window_until=NOW))).reason == "window-closed"
    assert after(decide(reply(window_until=NOW + timedelta(seconds=1)))).state == "sending"


def test_a_channel_that_must_wait_defers_and_holds_its_order():
    decision = decide(reply("r1"), reply("r2", seq=2), pace=lambda _: 2.5)
    assert after(decision, "r1").due_at == NOW + timedelta(seconds=2.5)
    assert after(decision, "r2").due_at is None
    assert decision.claimed == []


def test_what_is_not_due_keeps_its_place():
    later = NOW + timedelta(seconds=5)
    decision = decide(reply("r1", due_at=later), reply("r2", seq=2))
    assert decision.claimed == []
    assert "r1" not in decision.changed


def test_a_claim_that_ran_out_is_unknown_and_may_be_asked_about_after_the_lag():
    ended = NOW - timedelta(seconds=1)
    decision = decide(sending(claim_deadline=ended))
    assert (after(decision).state, after(decision).ask_after) == ("unknown", ended + timedelta(seconds=60))
    assert after(decision).due_at == after(decision).ask_after


def test_where_the_network_cannot_be_asked_a_person_is_waited_for():
    decision = decide(sending(claim_deadline=NOW - timedelta(seconds=1)), can_be_asked=False)
    assert after(decision).due_at is None


def test_a_claim_that_ran_out_after_its_echo_was_sent_and_takes_the_turn():
    gone = sending("r1", claim_deadline=NOW - timedelta(seconds=1), echo_id="mid.1")
    decision = decide(gone, reply("r2", seq=2, author_id="ben"))
    assert (after(decision, "r1").state, after(decision, "r1").external_id) == ("sent", "mid.1")
    assert (after(decision, "r2").state, after(decision, "r2").other) == ("held", "r1")


def test_a_question_is_asked_once_per_turn_of_the_clock_and_not_for_ever():
    unknown = replace(sending(), state="unknown", due_at=NOW, asks=0)
    first = decide(unknown)
    assert [question.id for question in first.questions] == ["r1"]
    assert after(first).due_at == NOW + timedelta(seconds=30)
    last = decide(replace(unknown, asks=2))
    assert after(last).due_at is None
    assert len(last.questions) == 1


standing = st.builds(
    lambda number, ticket, author, turns, state, seen, override, unseen: (
        sending(
            f"r{number}", ticket_id=ticket, seq=number, author_id=author, turns=turns, after=seen, override=override
        )
        if state == "sending"
        else reply(
            f"r{number}",
            ticket_id=ticket,
            seq=number,
            author_id=author,
            turns=turns,
            after=seen,
            override=override,
            due_at=None if unseen else NOW,
        )
    ),
    number=st.integers(1, 999),
    ticket=st.sampled_from(["t1", "t2"]),
    author=st.sampled_from(["ann", "ben", None]),
    turns=st.lists(st.sampled_from(["m1", "m2", "m3"]), min_size=1, max_size=3, unique=True).map(tuple),
    state=st.sampled_from(["waiting", "waiting", "sending"]),
    seen=st.sampled_from([None, "a1", "a2"]),
    override=st.booleans(),
    unseen=st.booleans(),
)
latest = st.dictionaries(
    st.sampled_from(["m1", "m2", "m3"]),
    st.builds(Answer, id=st.sampled_from(["a1", "a2"]), author_id=st.sampled_from(["ann", "ben", None])),
)


@given(own=st.lists(standing, max_size=8, unique_by=lambda each: each.id), answers=latest)
def test_never_do_two_replies_hold_one_turn_and_none_leaves_unseen(own, answers):
    decision = decide(*own, answers=answers)
    holding = [each for each in own if each.state == "sending"] + decision.claimed
    before = {turn for each in own if each.state == "sending" for turn in each.turn_ids}
    claimed = [turn for each in decision.claimed for turn in each.turn_ids]
    assert len(claimed) == len(set(claimed))
    assert before.isdisjoint(claimed)
    for each in decision.claimed:
        for turn in each.turns:
            answer = answers.get(turn.message_id)
            seen = answer is None or answer.id == turn.after
            assert seen or each.override or (answer.author_id is not None and answer.author_id == each.author_id)
    assert len(holding) == len({each.id for each in holding})
