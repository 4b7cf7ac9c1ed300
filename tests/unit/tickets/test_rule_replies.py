"""What keeps a rule from saying something: when the message was written, and what was said to this customer before."""

from datetime import UTC, datetime, timedelta

import pytest

from services.tickets.domain.rule_replies import FRESH, MOST, Said, withheld
from shared.events.routing import RuleReply
from tests.support.messages import message

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ONCE = RuleReply(kind="private", text="Soon", rule="soon")
EACH = RuleReply(kind="private", text="Soon", rule="soon", once_per="message")


def said(message_id="msg_other", *, kind="private", ticket="tkt_1", rule="soon", is_recent=False):
    return Said(message_id=message_id, kind=kind, ticket_id=ticket, rule=rule, is_recent=is_recent)


def why(reply=ONCE, *before, **changes):
    given = message(**({"occurred_at": NOW} | changes))
    return withheld(given, reply, ticket_id="tkt_1", said=before, at=NOW)


def test_what_was_just_written_is_answered():
    assert why() is None
    assert why(occurred_at=NOW - FRESH) is None
    assert why(occurred_at=NOW + timedelta(minutes=1)) is None


def test_what_was_written_before_or_understood_afterwards_is_not():
    assert why(occurred_at=NOW - FRESH - timedelta(seconds=1)) == "late"
    assert why(replayed=True) == "replayed"


@pytest.mark.parametrize(
    ("before", "once", "each"),
    [
        (said(), "once", None),
        (said(rule="hours"), None, None),
        (said(kind="public"), None, None),
        (said(ticket="tkt_0"), None, None),
        (said(message().id, rule="hours"), "once", "once"),
    ],
)
def test_a_rule_says_it_once_in_a_ticket_unless_it_means_each_message(before, once, each):
    assert (why(ONCE, before), why(EACH, before)) == (once, each)


def test_whatever_rules_say_one_customer_hears_only_so_much_in_an_hour():
    lately = [said(f"msg_{number}", rule="other", is_recent=True) for number in range(MOST)]
    assert why(EACH, *lately) == "often"
    assert why(EACH, *lately[1:], said("msg_old", rule="other")) is None
