"""A ticket as a value."""

from datetime import timedelta

from services.tickets.domain import ticket as tickets_
from services.tickets.domain.batch import phases
from services.tickets.domain.ticket import (
    Ticket,
    attached,
    changed,
    is_revivable,
    opened,
    raised,
    record,
    revived,
    view,
)
from shared.events.payload import Actor
from shared.events.routing import Decision
from tests.support.floor import routed
from tests.support.messages import AT, message

ANN = Actor(kind="agent", id="agt_ann", name="Ann")
LATER = AT + timedelta(hours=1)


def decision(**fields) -> Decision:
    return Decision(**{"id": "d", "outcome": "route", "rule": "r", "ruleset_version": 1, "team": "care"} | fields)


def ticket(**fields) -> Ticket:
    base = opened("tkt_1", message(), decision(), team="care", customer_id="cus_1", at=LATER)
    return changed(base, ANN, "test", **fields)


def test_lines_are_numbered_without_gaps() -> None:
    one, first = record(ticket(), "message", ANN, moves=True)
    two, second = record(one, "note", ANN)
    assert (first.seq, second.seq, two.last_seq) == (1, 2, 2)
    assert (first.moves, second.moves) == (True, False)


def test_every_change_makes_a_version_and_remembers_who() -> None:
    before = ticket()
    after = changed(before, ANN, "claimed", owner="agt_ann")
    assert (after.version, after.changed_by, after.change) == (before.version + 1, ANN, "claimed")
    assert before.owner is None


def test_a_view_shows_the_priority_by_name() -> None:
    assert [view(ticket(rank=rank)).priority for rank in range(4)] == ["urgent", "high", "normal", "low"]


def test_a_message_wakes_whoever_slept_and_keeps_the_oldest_wait() -> None:
    asleep = ticket(state="snoozed", snoozed_until=LATER)
    fields = attached(asleep, message("m2", occurred_at=LATER), None, at=LATER)
    assert (fields["state"], fields["snoozed_until"], fields["waiting_since"]) == ("open", None, AT)


def test_a_reaction_makes_nobody_wait() -> None:
    idle = ticket(waiting_since=None)
    assert attached(idle, message("r", kind="reaction"), None, at=LATER)["waiting_since"] is None


def test_a_later_decision_only_adds() -> None:
    known = ticket(tags=("a",), rank=1)
    assert raised(known, decision(tags=("a",), priority="low")) == {}
    assert raised(known, decision(tags=("b",), priority="urgent")) == {"tags": ("a", "b"), "rank": 0}


def test_a_reopening_sets_the_team_anew_and_forgets_the_old_wait() -> None:
    solved = ticket(state="resolved", resolved_at=AT, waiting_since=AT - timedelta(days=9))
    fields = revived(solved, message(), decision(), team="product", at=LATER)
    assert (fields["state"], fields["team"], fields["waiting_since"]) == ("open", "product", AT)


def test_the_window_for_reopening_ends() -> None:
    solved = ticket(state="resolved", resolved_at=AT)
    assert is_revivable(solved, hours=2, at=LATER)
    assert not is_revivable(solved, hours=1, at=LATER)
    assert not is_revivable(ticket(), hours=1, at=LATER)


def test_a_queue_owns_what_is_open_and_neither_owned_nor_offered() -> None:
    assert ticket().is_queued
    assert not ticket(owner="agt_ann").is_queued
    assert not ticket(offer="asg_1").is_queued
    assert not ticket(state="pending").is_queued
    assert {"open", "pending", "snoozed"} == tickets_.ACTIVE


def test_an_answer_of_the_networks_own_app_keeps_its_place_among_the_customers_messages() -> None:
    before, after = routed(message("m1")), routed(message("m2"))
    answer = routed(message("a1", direction="out", origin="native"))
    other = routed(message("o1", author="c2"))
    cut = phases([before, answer, after, other])
    assert [phase.outbound for phase in cut] == [False, True, False]
    assert [event.data.message.external_id for event in cut[0].events] == ["m1", "o1"]
    assert [event.data.message.external_id for event in cut[2].events] == ["m2"]


def test_a_batch_without_answers_is_one_phase() -> None:
    assert len(phases([routed(message(f"m{n}")) for n in range(9)])) == 1
    assert phases([]) == []
