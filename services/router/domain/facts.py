"""What is known about one message: as it came, and as rules ask for it."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
import re2

from services.router.domain import conditions, language, surging, text
from services.router.domain.classified import Classified
from services.router.domain.surging import Surging
from services.router.domain.vocabulary import ATTRIBUTE, ATTRIBUTES, Change, ShiftChange
from shared.events.routing import Lane

_NAME: Final = r"[\pL\pN\pM_]+"
_HASHTAG: Final = re2.compile(f"#({_NAME})")
_MENTION: Final = re2.compile(r"(?:^|[^\pL\pN\pM_.@])@([\pL\pN\pM_](?:[\pL\pN\pM_.]*[\pL\pN\pM_])?)")
_LINK: Final = re2.compile(r"(?:https?://(?:www\.)?|\bwww\.)([^\s<>\"]*[^\s<>\"'.,;:!?)\]])")


class Ticket(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The open ticket of a message's author, as it stood when the message was decided about."""

    id: str = ""
    team: str
    owner: str | None = None
    priority: str = "normal"
    tags: tuple[str, ...] = ()
    answered_at: datetime | None = None
    state: str = "open"


class Customer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What the team knew of a message's author when the message was decided about."""

    attributes: dict[str, str | int | float | bool] = {}
    tags: tuple[str, ...] = ()


class SurgeChange(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A surge began, or ended."""

    change: Change
    subject: str


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A message as the router saw it, kept with its decision: with the version it gives the same decision again.

    Where a ticket changed without a message, what a message tells is empty.
    """

    network: str
    kind: str = "dm"
    channel: str = ""
    purpose: str | None = None
    verb: str = "received"
    replayed: bool = False
    text: str | None = None
    media: tuple[str, ...] = ()
    rating: float | None = None
    author_id: str | None = None
    handle: str | None = None
    name: str | None = None
    """What the author is called."""
    followers: int | None = None
    verified: bool | None = None
    first: bool | None = None
    """Whether the author never wrote before; None: nobody asked."""
    post: str | None = None
    campaign: str | None = None
    ad: str | None = None
    reply_until: datetime | None = None
    """When the first kind of reply is no longer possible."""
    at: datetime | None = None
    """When it was received, by ingest's clock."""
    has_ticket: bool | None = None
    """Whether the author's customer has an open ticket; None: nobody asked."""
    ticket: Ticket | None = None
    customer: Customer | None = None
    """Attributes and tags of the author's customer; None: nobody asked."""
    shift: tuple[str, ...] | None = None
    """People on duty, and the teams that have somebody on duty; None: nobody asked."""
    classified: Classified | None = None
    """What the classifier said of the text; None: nobody asked."""
    changed: tuple[str, ...] = ()
    """What of the ticket changed just now."""
    surging: Surging | None = None
    """What surged then; None: nobody asked, and nothing that would have changed the decision."""
    surge: SurgeChange | None = None
    """The surge that began or ended just now."""
    shifted: tuple[ShiftChange, ...] = ()
    """What changed just now of the duty of the ticket's owner or team."""

    @property
    def told_lane(self) -> Lane | None:
        """The lane that the classifier told."""
        return self.classified.lane if self.classified else None


def as_kept(kept: Any) -> Facts:
    """The facts that were kept with a decision."""
    # Decisions of the first release kept the normalized text only.
    return msgspec.convert({"text": kept.get("words"), **kept}, Facts)


Value = Any
Derive = Callable[[Facts, str], Value]

DERIVED: Final[Mapping[str, Derive]] = {
    "network": lambda facts, _: facts.network or None,
    "channel": lambda facts, _: facts.channel or None,
    "channel.purpose": lambda facts, _: facts.purpose,
    "kind": lambda facts, _: facts.kind or None,
    "verb": lambda facts, _: facts.verb or None,
    "replayed": lambda facts, _: facts.replayed,
    "text": lambda _, words: words or None,
    "language": lambda facts, _: language.tell(facts.text or ""),
    "lane": lambda facts, _: facts.told_lane,
    "sentiment": lambda facts, _: facts.classified.sentiment if facts.classified else None,
    "urgency": lambda facts, _: facts.classified.urgency if facts.classified else None,
    "hashtags": lambda _, words: frozenset(_HASHTAG.findall(words)) if "#" in words else frozenset(),
    "mentions": lambda _, words: frozenset(_MENTION.findall(words)) if "@" in words else frozenset(),
    "links": lambda _, words: links(words),
    "media": lambda facts, _: frozenset(map(text.normalize, facts.media)),
    "rating": lambda facts, _: facts.rating,
    "author.id": lambda facts, _: facts.author_id,
    "author.handle": lambda facts, _: conditions.fold("author.handle", facts.handle) if facts.handle else None,
    "author.followers": lambda facts, _: facts.followers,
    "author.verified": lambda facts, _: facts.verified,
    "author.first": lambda facts, _: facts.first,
    "post": lambda facts, _: facts.post,
    "post.campaign": lambda facts, _: facts.campaign,
    "post.ad": lambda facts, _: facts.ad,
    "reply.minutes": lambda facts, _: _minutes(facts.at, facts.reply_until),
    "time": lambda facts, _: facts.at,
    "customer.tags": lambda facts, _: frozenset(facts.customer.tags) if facts.customer else frozenset(),
    "ticket.open": lambda facts, _: facts.has_ticket,
    "ticket.owner": lambda facts, _: facts.ticket.owner if facts.ticket else None,
    "ticket.team": lambda facts, _: facts.ticket.team if facts.ticket else None,
    "ticket.priority": lambda facts, _: facts.ticket.priority if facts.ticket else None,
    "ticket.tags": lambda facts, _: frozenset(facts.ticket.tags) if facts.ticket else frozenset(),
    "ticket.state": lambda facts, _: facts.ticket.state if facts.ticket else None,
    "ticket.changed": lambda facts, _: frozenset(facts.changed),
    "ticket.answered": lambda facts, _: _since(facts.ticket.answered_at, facts.at) if facts.ticket else None,
    "shift": lambda facts, _: frozenset(facts.shift or ()),
    "shift.change": lambda facts, _: frozenset(facts.shifted),
    "surge.change": lambda facts, _: facts.surge.change if facts.surge else None,
    "surge.subject": lambda facts, _: facts.surge.subject if facts.surge else None,
    "volume.surge": lambda facts, _: surging.is_surge(facts.surging, lane=facts.told_lane),
}
"""Each fact as it is compared, from what came and its normalized text; None: not set. A lane is told by words, too."""


def links(words: str) -> frozenset[str]:
    """Links in a normalized text, as facts name them."""
    return frozenset(_LINK.findall(words)) if "." in words else frozenset()


def without_mentions(words: str) -> str:
    """A normalized text without the accounts that it mentions."""
    return _MENTION.sub(" ", words) if "@" in words else words


LOOKED_UP: Final[Mapping[str, Callable[[Facts], bool]]] = {
    "author.first": lambda facts: facts.first is not None,
    **dict.fromkeys(
        (name for name in DERIVED if name.startswith("ticket.") and name != "ticket.changed"),
        lambda facts: facts.has_ticket is not None,
    ),
    **dict.fromkeys((ATTRIBUTE, "customer.tags"), lambda facts: facts.customer is not None),
    "shift": lambda facts: facts.shift is not None,
    "volume.surge": lambda facts: facts.surging is not None,
    **dict.fromkeys(("sentiment", "urgency"), lambda facts: facts.classified is not None or not facts.text),
}
"""Facts that are looked up only where a rule asks for them, and whether that was done for a message."""

SLOW: Final = frozenset({"language"})
"""What takes longer to tell than a whole decision: told when a rule comes to it, and no rule is filed under it."""


def derivation(name: str) -> Derive:
    """What tells this fact, also one that every workspace names for itself."""
    if not name.startswith(ATTRIBUTES):
        return DERIVED[name]
    attribute = name.removeprefix(ATTRIBUTES)
    return lambda facts, _: facts.customer.attributes.get(attribute) if facts.customer else None


class Told(dict[str, Value]):
    """Facts by name; a slow one is told when it is first asked for."""

    def __init__(self, quick: Mapping[str, Value], facts: Facts, words: str) -> None:
        super().__init__(quick)
        self._of = (facts, words)

    def __missing__(self, fact: str) -> Value:
        value = self[fact] = DERIVED[fact](*self._of)
        return value


def _since(answered: datetime | None, at: datetime | None) -> float | None:
    # What was decided late may have been answered meanwhile.
    minutes = _minutes(answered, at)
    return None if minutes is None else max(minutes, 0.0)


def _minutes(start: datetime | None, end: datetime | None) -> float | None:
    return (end - start).total_seconds() / 60 if start is not None and end is not None else None
