"""The words of the rule language: every fact with its operators, every action, and which of them work today."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

import re2

from services.router.domain.classified import Sentiment, Urgency
from services.router.domain.language import LANGUAGES
from shared.events.customers import ATTRIBUTE_NAME
from shared.events.messages import Kind
from shared.events.routing import Lane, Priority
from shared.events.tickets import TicketState

Trigger = Literal[
    "message.received",
    "message.edited",
    "customer.replied",
    "ticket.changed",
    "surge.changed",
    "shift.changed",
    "timer",
]
TRIGGERS: Final[Mapping[Trigger, str]] = {
    "message.received": "a message came in",
    "message.edited": "its author changed a message of a ticket",
    "customer.replied": "a message of the customer came to a ticket that was open already",
    "ticket.changed": "the state, team, owner, priority or tags of a ticket changed",
    "surge.changed": "a surge that concerns an open ticket began or ended",
    "shift.changed": "the owner or the team of an open ticket came or went, by schedule or availability",
    "timer": "nobody has answered the customer of an open ticket for `after_minutes`",
}
"""What rules are asked about. All but the first decide about a ticket that is there already."""

RECEIVED: Final[Trigger] = "message.received"
TIMER: Final[Trigger] = "timer"
SURGE_CHANGED: Final[Trigger] = "surge.changed"
SHIFT_CHANGED: Final[Trigger] = "shift.changed"
FUTURE_TRIGGERS: Final[Mapping[str, str]] = {
    "sla.warning": "a promise is about to be broken",
}
ASPECTS: Final = ("state", "team", "owner", "priority", "tags")
"""What may change of a ticket, as rules tell it."""

Change = Literal["began", "ended"]
ShiftChange = Literal["owner-on", "owner-off", "owner-available", "owner-away", "team-on", "team-off"]

Type = Literal["word", "words", "text", "number", "flag", "attribute", "time", "author"]

ATTRIBUTES: Final = "customer.attributes."
"""What every attribute of a customer begins with."""

ATTRIBUTE: Final = f"{ATTRIBUTES}*"
"""All of these: which there are, every workspace decides."""

_NAMED_ATTRIBUTE: Final = re2.compile(f"customer\\.attributes\\.{ATTRIBUTE_NAME}")


@dataclass(frozen=True, slots=True)
class Fact:
    """What a rule can ask about. `known`: its only values. `names`: the part of the document that its values name."""

    type: Type
    about: str
    known: tuple[str, ...] = ()
    names: Literal["lists", "lanes", "calendars"] | None = None
    fed: bool = True


FACTS: Final[Mapping[str, Fact]] = {
    "network": Fact("word", "the network it came from"),
    "channel": Fact("word", "id of the channel it came through"),
    "channel.purpose": Fact("word", "what that channel is for", ("brand", "care", "ads")),
    "kind": Fact("word", "what it is", get_args(Kind)),
    "verb": Fact("word", "what happened: rules are asked about new messages only", ("received",)),
    "replayed": Fact("flag", "whether it was understood only afterwards"),
    "text": Fact("text", "its text"),
    "language": Fact("word", "language of its text by ISO 639-1; not set when it is too short to tell", LANGUAGES),
    "lane": Fact(
        "words",
        "what it is about, by the words of the document's `lanes` or by the classifier",
        get_args(Lane),
        names="lanes",
    ),
    "hashtags": Fact("words", "hashtags in the text, without `#`"),
    "mentions": Fact("words", "accounts that the text mentions, without `@`"),
    "links": Fact("words", "links in the text, without `https://`"),
    "media": Fact("words", "kinds of its attachments"),
    "rating": Fact("number", "stars of a review"),
    "author.id": Fact("word", "the author's id on the network"),
    "author.handle": Fact("word", "the author's handle, without `@`"),
    "author.followers": Fact("number", "how many follow the author"),
    "author.verified": Fact("flag", "whether the network has verified the author"),
    "author.list": Fact("author", "named lists that the author stands on", names="lists"),
    "post": Fact("word", "id of the post that it stands under"),
    "post.campaign": Fact("word", "campaign of that post"),
    "post.ad": Fact("word", "ad of that post"),
    "reply.minutes": Fact("number", "minutes until the first kind of reply is no longer possible"),
    "time": Fact("time", "when it was received", names="calendars"),
    "sentiment": Fact("word", "its mood, by the classifier", get_args(Sentiment)),
    "urgency": Fact("word", "how much it presses, by the classifier", get_args(Urgency)),
    "author.first": Fact("flag", "whether the author never wrote before"),
    ATTRIBUTE: Fact("attribute", "an attribute of the customer by its name, such as `customer.attributes.plan`"),
    "customer.tags": Fact("words", "tags of the customer"),
    "ticket.open": Fact("flag", "whether the customer has an open ticket"),
    "ticket.owner": Fact("word", "who owns that ticket"),
    "ticket.team": Fact("word", "its team"),
    "ticket.priority": Fact("word", "its priority", get_args(Priority)),
    "ticket.tags": Fact("words", "its tags"),
    "ticket.state": Fact("word", "its state", get_args(TicketState)),
    "ticket.changed": Fact("words", "what of it changed just now", ASPECTS),
    "ticket.answered": Fact("number", "minutes since its last answer"),
    "shift": Fact("words", "people on duty, by id, and the teams that have somebody on duty"),
    "shift.change": Fact(
        "words",
        "who of the ticket's owner came on duty or left it, or became available or away; or that its team has "
        "somebody on duty again, or nobody any more",
        get_args(ShiftChange),
    ),
    "surge.change": Fact("word", "whether the surge began or ended", get_args(Change)),
    "surge.subject": Fact("word", "what surges: `workspace`, `channel:<id>`, `lane:<lane>` or `tag:<tag>`"),
    "volume.surge": Fact(
        "flag", "whether far more comes in than usual, here or on its channel; or of the classifier's lane"
    ),
}
ALIASES: Final = ("keywords", "author")
"""Short forms: words in the text, and ids or handles of the author."""

GROUPS: Final = ("all", "any", "not")

OPERATORS: Final[Mapping[Type, tuple[str, ...]]] = {
    "word": ("eq", "in", "ne", "starts", "wildcard", "regex", "set"),
    "words": ("eq", "in", "any", "all", "ne", "none", "starts", "wildcard", "regex", "set"),
    "text": ("any", "phrase", "all", "none", "eq", "in", "ne", "starts", "wildcard", "regex", "set"),
    "number": ("eq", "in", "ne", "gt", "gte", "lt", "lte", "between", "set"),
    "flag": ("eq", "ne", "set"),
    "attribute": (
        "eq",
        "in",
        "ne",
        "gt",
        "gte",
        "lt",
        "lte",
        "between",
        "starts",
        "wildcard",
        "regex",
        "set",
    ),
    "time": ("within", "outside", "holiday", "workday"),
    "author": ("eq", "in", "any", "ne", "none"),
}
NAMED_OPERATORS: Final = ("eq", "in", "any", "ne", "none")
"""What can be asked of a fact whose values are names in the document."""

NEEDS_OPERATOR: Final[tuple[Type, ...]] = ("time",)
"""Facts that a value alone does not ask: the others are short for `eq` or `in`."""

MAY_BE_EMPTY: Final = ("network", "channel", "kind")
"""Facts of which an empty list asks nothing, as it always did; of all others it is refused."""

CHANGED: Final = "changed"
"""Known for every fact; told of a ticket's state, team, owner, priority and tags only."""

BY_MESSAGES: Final[tuple[Trigger, ...]] = (RECEIVED, "message.edited", "customer.replied")
"""Triggers that a message leads to: to the others there is none that something could be done to."""

OF_MESSAGES: Final = frozenset(
    name
    for name in FACTS
    if name != "time" and not name.startswith(("ticket.", "shift", "surge.", "volume.", "customer."))
)
"""Facts that are not set where no message led to the question."""

FUTURE_ACTIONS: Final[Mapping[str, str]] = {
    "assignment": "how the team's queue is shared out",
    "skills": "what the agent must be able to do",
    "sla": "the promise that holds for it",
    "ask_approval": "ask for an approval before an answer leaves",
    "start_consult": "ask somebody who knows",
}


def fact(name: str) -> Fact | None:
    """The fact of this name, if it is one; every attribute is."""
    if name.startswith(ATTRIBUTES):
        return FACTS[ATTRIBUTE] if _NAMED_ATTRIBUTE.fullmatch(name) else None
    return FACTS.get(name)


def named(name: str) -> Fact:
    """The fact of this name, which is one."""
    return FACTS[ATTRIBUTE if name.startswith(ATTRIBUTES) else name]


def aspect(name: str) -> str | None:
    """What of a ticket the fact tells, if its changes are known."""
    found = name.removeprefix("ticket.")
    return found if found != name and found in ASPECTS else None


def operators(asked: Fact) -> tuple[str, ...]:
    """What can be asked of it."""
    return NAMED_OPERATORS if asked.names in {"lists", "lanes"} else OPERATORS[asked.type]
