"""What a ticket's events say about it in the end, however often and late they come."""

from datetime import timedelta

import pytest

from services.router.domain.standing import key_of, latest
from shared.events.messages import MessageReceived
from shared.events.tickets import (
    AnswerDetected,
    ReplySettled,
    TicketMerged,
    TicketReopened,
    TicketUpdated,
)
from shared.networks.accounts import account_of
from tests.support.messages import message
from tests.support.ticket_events import AT, account, created, told

C1, C2 = (key_of(account(one)) for one in ("c1", "c2"))


def only(*payloads):
    [standing] = latest(payloads).values()
    return standing


def test_a_ticket_is_as_its_last_event_says():
    standing = only(created(), told(TicketUpdated, 2, ticket={"team": "care", "owner": "agt_1", "tags": ("late",)}))
    assert (standing.version, standing.is_open) == (2, True)
    assert (standing.ticket.team, standing.ticket.owner, standing.ticket.tags) == ("care", "agt_1", ("late",))


def test_an_event_that_comes_late_changes_nothing():
    standing = only(
        created("c1"), told(TicketUpdated, 5, ticket={"team": "care"}, accounts=(account("c2"),)), created("c1")
    )
    assert (standing.version, standing.ticket.team, standing.accounts) == (5, "care", frozenset({C2}))


def test_who_opens_a_ticket_is_its_only_account_until_others_are_told():
    assert only(created("c1")).accounts == {C1}
    assert only(created("c1", accounts=(account("c1"), account("c2")))).accounts == {C1, C2}
    assert only(created("c1"), told(TicketUpdated, 2)).accounts == {C1}


def test_an_old_message_that_is_told_again_brings_no_account():
    edited = told(TicketUpdated, 3, message=message(author="c2"), reason="edited", changes=("messages",))
    assert only(edited).accounts is None


def test_what_closes_a_ticket_and_what_opens_it_again_is_told():
    merged = told(TicketMerged, 2, ticket={"state": "merged"}, into="tkt_2")
    resolved = told(TicketUpdated, 3, ticket={"state": "resolved"})
    assert [only(one).is_open for one in (merged, resolved, told(TicketReopened, 4))] == [False, False, True]
    assert only(told(TicketUpdated, 3, ticket={"state": "snoozed"})).is_open


def test_the_last_answer_is_the_latest_that_left_or_was_seen():
    sent = told(ReplySettled, 2, reply_id="r1", state="sent", at=AT + timedelta(minutes=1))
    native = told(AnswerDetected, 3, message_id="m", conversation_id="c", turns=(), at=AT + timedelta(minutes=2))
    failed = told(ReplySettled, 4, reply_id="r2", state="failed", at=AT + timedelta(minutes=3))
    assert only(created(), sent, native, failed).ticket.answered_at == AT + timedelta(minutes=2)
    assert only(created(), failed).ticket.answered_at is None


def test_whoever_was_told_that_the_message_came_still_waits_for_an_answer():
    told_so = told(ReplySettled, 2, reply_id="r1", state="sent", acknowledges=True, at=AT + timedelta(minutes=1))
    assert only(created(), told_so).ticket.answered_at is None
    assert only(created(), told_so).silent_since == only(created()).silent_since


def test_tickets_of_one_batch_are_told_apart_and_other_events_are_not_looked_at():
    found = latest(
        [created("c1"), created("c2", ticket={"id": "tkt_2"}), MessageReceived(workspace_id="w", message=message())]
    )
    assert {id_: one.accounts for id_, one in found.items()} == {"tkt_1": {C1}, "tkt_2": {C2}}


@pytest.mark.parametrize(
    ("changes", "scope", "external_id"),
    [
        ({"network": "facebook", "author": "c1"}, "chn_1", "c1"),
        ({"network": "x", "author": "c1"}, "", "c1"),
        ({"network": "unheard-of", "author": "c1"}, "chn_1", "c1"),
        ({"author": None, "conversation_id": "cnv_1"}, "chn_1", "conversation:cnv_1"),
    ],
)
def test_an_account_holds_for_a_channel_or_for_its_network(changes, scope, external_id):
    found = account_of(message(**changes))
    assert (found.scope, found.external_id) == (scope, external_id)


def test_a_silence_lasts_from_the_first_message_after_the_last_answer():
    later = AT + timedelta(minutes=5)
    answer = told(ReplySettled, 3, at=later, reply_id="rep_1", state="sent")
    again = told(TicketUpdated, 4, at=later, message=message(occurred_at=later), changes=("messages",))
    first = created().message.occurred_at
    assert only(created()).silent_since == first
    assert only(created(), told(TicketUpdated, 2, message=message(), changes=("messages",))).silent_since == first
    assert only(created(), answer).silent_since is None
    assert only(created(), answer, again).silent_since == later
    assert only(created(), told(TicketUpdated, 2, ticket={"state": "resolved"})).silent_since is None


def test_a_network_whose_clock_runs_ahead_shortens_no_silence():
    ahead = message(occurred_at=AT + timedelta(hours=3))
    assert only(told(TicketUpdated, 2, message=ahead, changes=("messages",))).silent_since == AT


def test_nobody_waits_for_an_answer_to_what_was_edited_or_understood_only_afterwards():
    edited = told(TicketUpdated, 2, message=message(), changes=("messages",), reason="edited")
    replayed = told(TicketUpdated, 2, message=message(replayed=True), changes=("messages",))
    assert [only(one).silent_since for one in (edited, replayed)] == [None, None]
