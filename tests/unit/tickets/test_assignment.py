"""Who gets a ticket, as a pure choice."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tickets.domain.assignment import MOST_CANDIDATES, Assignment, Member, Roster, Terms, answered, choose

NOW = datetime(2026, 11, 22, tzinfo=UTC)
NOBODY: frozenset[str] = frozenset()


def member(
    name: str, *, load: int = 0, capacity: int = 5, turn: float = 0.0, availability: str = "available"
) -> Member:
    return Member(agent=name, name=name, availability=availability, capacity=capacity, load=load, turn=turn)


def roster(*members: Member) -> Roster:
    agents = {("w", one.agent): one for one in members}
    return Roster(agents, {("w", "care"): [one.agent for one in members]}, {("w", "care"): Terms()}, now=NOW)


def test_the_least_loaded_is_chosen() -> None:
    choice = choose([member("a", load=2), member("b", load=1)], prefer=None, declined=NOBODY)
    assert (choice.agent, choice.strategy) == ("b", "least-load")


def test_among_equals_the_one_who_waits_longest_is_chosen() -> None:
    assert choose([member("a", turn=9.0), member("b", turn=3.0)], prefer=None, declined=NOBODY).agent == "b"


def test_the_preferred_one_is_chosen_although_others_have_less() -> None:
    choice = choose([member("a", load=4), member("b")], prefer="a", declined=NOBODY)
    assert (choice.agent, choice.strategy) == ("a", "preferred")


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (member("a", load=5), "full"),
        (member("a", capacity=0), "full"),
        (member("a", availability="away"), "away"),
        (member("a", availability="offline"), "offline"),
        (Member(agent="a", name="a", availability="available", disabled=True, capacity=5), "disabled"),
    ],
)
def test_who_may_not_is_named_with_the_reason(one: Member, reason: str) -> None:
    choice = choose([one], prefer="a", declined=NOBODY)
    assert (choice.agent, [candidate.reason for candidate in choice.candidates]) == (None, [reason])


def test_who_declined_a_moment_ago_is_not_asked_again() -> None:
    choice = choose([member("a"), member("b", load=4)], prefer=None, declined=frozenset({"a"}))
    assert choice.agent == "b"
    assert {candidate.agent: candidate.reason for candidate in choice.candidates} == {"b": None, "a": "declined"}


def test_a_preferred_one_who_is_not_in_the_team_is_named_as_that() -> None:
    choice = choose([member("a")], prefer="z", declined=NOBODY)
    assert (choice.agent, choice.strategy) == ("a", "least-load")
    assert [(one.agent, one.reason) for one in choice.candidates] == [("a", None), ("z", "not-in-team")]
    many = choose([member(f"a{n:03}") for n in range(100)], prefer="z", declined=NOBODY)
    assert (len(many.candidates), many.candidates[-1].agent) == (MOST_CANDIDATES, "z")


@pytest.mark.parametrize(
    ("prefer", "reasons"),
    [
        (None, {"a": None, "b": "shorter-wait", "c": "more-load", "d": "full"}),
        ("c", {"c": None, "a": "not-preferred", "b": "not-preferred", "d": "full"}),
    ],
)
def test_everybody_but_the_chosen_one_is_answered_for(prefer: str | None, reasons: dict[str, str | None]) -> None:
    members = [member("a", load=1, turn=1), member("b", load=1, turn=2), member("c", load=2), member("d", load=5)]
    choice = choose(members, prefer=prefer, declined=NOBODY)
    step = Assignment(
        id="asg_1",
        workspace_id="w",
        ticket_id="tkt_1",
        team="care",
        agent=choice.agent,
        state="declined",
        strategy=choice.strategy,
        candidates=choice.candidates,
        created_at=NOW,
    )
    assert {one.agent: one.reason for one in answered(step)} == reasons


def test_an_assignment_names_its_best_candidates_only() -> None:
    choice = choose([member(f"a{n:03}", load=n % 4) for n in range(100)], prefer=None, declined=NOBODY)
    assert len(choice.candidates) == MOST_CANDIDATES
    assert choice.candidates[0].agent == choice.agent


@given(capacities=st.lists(st.integers(0, 4), min_size=1, max_size=8), tickets=st.integers(0, 40))
def test_nobody_is_given_more_than_fits_and_nothing_waits_while_somebody_has_room(
    capacities: list[int], tickets: int
) -> None:
    book = roster(*[member(f"a{n}", capacity=capacity) for n, capacity in enumerate(capacities)])
    given_ = 0
    for _ in range(tickets):
        choice = book.choose("w", "care")
        if choice.agent is not None:
            book.reserve("w", choice.agent)
            given_ += 1
    assert given_ == min(tickets, sum(capacities))
    assert all(book.find("w", f"a{n}").load <= capacity for n, capacity in enumerate(capacities))


def test_tickets_given_in_one_transaction_go_round() -> None:
    book = roster(member("a"), member("b"), member("c"))
    order = []
    for _ in range(6):
        agent = book.choose("w", "care").agent
        book.reserve("w", agent)
        order.append(agent)
    assert order == ["a", "b", "c", "a", "b", "c"]


def test_a_load_never_falls_below_zero() -> None:
    book = roster(member("a"))
    book.release("w", "a")
    assert book.find("w", "a").load == 0


def test_an_agent_of_another_workspace_is_not_found() -> None:
    assert roster(member("a")).find("other", "a") is None
    assert not roster(member("a")).has_room("other", "a")
