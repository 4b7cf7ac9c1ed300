"""What rules say by themselves: what keeps it from being said, and to whom it was said before."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from shared.events.messages import Message
from shared.events.routing import RuleReply

FRESH: Final = timedelta(minutes=15)
"""Whoever wrote longer ago may have been answered elsewhere meanwhile: connecting a channel brings its history, and
after a stop there is a backlog. An answer that nobody wrote must be quick, or must not be."""

MOST: Final = 10
WITHIN: Final = timedelta(hours=1)
"""So many to one customer within so long, whatever rules say: two machines that answer each other come to an end."""

Withheld = Literal["replayed", "late", "once", "often", "disabled", "unsendable"]
"""On what was understood only afterwards automations stay off; written too long ago; said to this customer already; too
often; the bot of the rules is disabled; the network would not take it."""

Outcome = Literal["queued", "refused", "unsendable"]
"""What an attempt came to. It counts as said all the same: whoever was in the way is there, or the rule is wrong."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt of a rule to say something."""

    message_id: str
    kind: str
    ticket_id: str
    rule: str
    is_recent: bool
    """Within `WITHIN`."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """The same as it is kept: of each kind one per message, for as long as the message is."""

    message_id: str
    kind: str
    workspace_id: str
    customer_id: str
    ticket_id: str
    rule: str
    outcome: Outcome
    reply_id: str | None = None


def withheld(
    message: Message, reply: RuleReply, *, ticket_id: str, said: Iterable[Said], at: datetime
) -> Withheld | None:
    """Why a rule does not say this; None: it may try. `said`: to the same customer, lately or in the same ticket."""
    if message.replayed:
        return "replayed"
    if message.occurred_at < at - FRESH:
        return "late"
    before = list(said)
    if any(_is_again(one, message, reply, ticket_id) for one in before):
        return "once"
    return "often" if sum(one.is_recent for one in before) >= MOST else None


def _is_again(one: Said, message: Message, reply: RuleReply, ticket_id: str) -> bool:
    if one.kind != reply.kind:
        return False
    by_rule = reply.once_per == "ticket" and (one.ticket_id, one.rule) == (ticket_id, reply.rule)
    return by_rule or one.message_id == message.id
