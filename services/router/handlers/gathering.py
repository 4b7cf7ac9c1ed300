"""What rules ask about a message: what it says itself, and, where one asks for it, what is known besides."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.router.domain.classified import Classified
from services.router.domain.compile import Ruleset
from services.router.domain.facts import Customer, Facts
from services.router.domain.facts import Ticket as OpenTicket
from services.router.domain.standing import key_of
from services.router.domain.surge import Watched
from services.router.domain.surging import Surging, may_concern
from services.router.domain.vocabulary import FACTS
from services.router.handlers.besides import CUSTOMER, NOBODY, SHIFT, SURGE
from services.router.handlers.classifying import Classifier
from services.router.store import authors, customers, tickets
from services.router.store.authors import Author
from shared.db.transaction import Transaction
from shared.events.catalogue import EVENT_TYPES
from shared.events.envelope import Event
from shared.events.messages import Message, MessageEvent
from shared.networks.accounts import account_of
from shared.platform.store import channels, teams

PURPOSE: Final = ("channel.purpose",)
FIRST: Final = ("author.first",)
CLASSIFIED: Final = ("sentiment", "urgency", "lane")
TICKET: Final = tuple(name for name in FACTS if name.startswith("ticket."))


@dataclass(frozen=True, slots=True)
class Untold:
    """Facts that nothing tells in this deployment: whoever keeps a ruleset that asks for them is warned."""

    facts: frozenset[str]


Asking = Mapping[str, Sequence[Ruleset]]
"""Whose rules are asked, by workspace: the version in force and the candidate beside it."""


async def gather(
    tx: Transaction,
    fresh: Mapping[str, Event],
    asking: Asking,
    *,
    classifier: Classifier | None,
    watched: Mapping[str, Watched],
) -> dict[str, Facts]:
    """The facts of each message; what no rule of its workspace asks for is not looked for.

    Every author is remembered, whoever asks: a rule of tomorrow may want to know whether somebody wrote before.
    """
    # First, because it may have to be asked outside of the transaction, and then all of this is done again.
    classified = _classified(fresh, asking, classifier) if classifier else {}
    writers = {id_: Author(event.workspace_id, key_of(account_of(message_of(event)))) for id_, event in fresh.items()}
    of_channels = _which(fresh, asking, PURPOSE)
    purposes = await _purposes(tx, [fresh[id_] for id_ in of_channels]) if of_channels else {}
    greeted = _which(fresh, asking, FIRST)
    newcomers = await _newcomers(tx, {id_: writers[id_] for id_ in fresh if id_ in greeted}) if greeted else frozenset()
    authors.remember(tx, [writer for id_, writer in writers.items() if id_ not in greeted])
    served = _which(fresh, asking, TICKET)
    alert = _which(fresh, asking, SURGE)
    standing = await tickets.of_authors(tx, {writers[id_] for id_ in served}) if served else {}
    asked = _which(fresh, asking, CUSTOMER)
    known = await customers.of_authors(tx, {writers[id_] for id_ in asked}) if asked else {}
    working = _which(fresh, asking, SHIFT)
    shifts = await teams.on_shift(tx, {fresh[id_].workspace_id for id_ in working}) if working else {}
    return {
        id_: facts_of(
            message_of(event),
            verb=EVENT_TYPES[event.type].name.split(".")[1],
            at=message_of(event).received_at,
            purpose=purposes.get(message_of(event).channel_id) if id_ in of_channels else None,
            is_first=id_ in newcomers if id_ in greeted else None,
            has_ticket=writers[id_] in standing if id_ in served else None,
            ticket=standing.get(writers[id_]),
            customer=known.get(writers[id_], NOBODY) if id_ in asked else None,
            shift=shifts.get(event.workspace_id),
            classified=classified.get(id_),
            surging=_surging(event, watched.get(event.workspace_id), is_asked=id_ in alert),
        )
        for id_, event in fresh.items()
    }


def _which(fresh: Mapping[str, Event], asking: Asking, facts: Iterable[str]) -> frozenset[str]:
    """The messages about which somebody asks one of these."""
    workspaces = {
        workspace for workspace, some in asking.items() if any(ruleset.asks(fact) for ruleset in some for fact in facts)
    }
    return (
        frozenset(id_ for id_, event in fresh.items() if event.workspace_id in workspaces)
        if workspaces
        else frozenset()
    )


async def _purposes(tx: Transaction, events: Iterable[Event]) -> dict[str, str]:
    return dict(await channels.purposes(tx, {message_of(event).channel_id for event in events}))


async def _newcomers(tx: Transaction, writers: Mapping[str, Author]) -> frozenset[str]:
    """Messages whose author never wrote before: of several in one batch it is the first."""
    earliest: dict[Author, str] = {}
    for id_, writer in writers.items():
        earliest.setdefault(writer, id_)
    return frozenset(earliest[writer] for writer in await authors.greet(tx, earliest))


def _classified(fresh: Mapping[str, Event], asking: Asking, classifier: Classifier) -> dict[str, Classified]:
    asked = _which(fresh, asking, CLASSIFIED)
    texts = {id_: text for id_ in fresh if id_ in asked and (text := message_of(fresh[id_]).text)}
    return classifier.classify(texts) if texts else {}


def _surging(event: Event, watched: Watched | None, *, is_asked: bool) -> Surging | None:
    """What surges, where a rule asks or the policy wants something of it."""
    if watched is None or not watched.open:
        return Surging() if is_asked else None
    found = may_concern(watched.open, subjects=[f"channel:{message_of(event).channel_id}"])
    return Surging(open=found, during=watched.policy.during) if found or is_asked else None


def facts_of(
    message: Message,
    *,
    verb: str,
    at: datetime | None,
    purpose: str | None = None,
    is_first: bool | None = None,
    has_ticket: bool | None = None,
    ticket: OpenTicket | None = None,
    customer: Customer | None = None,
    shift: tuple[str, ...] | None = None,
    classified: Classified | None = None,
    surging: Surging | None = None,
) -> Facts:
    """What a message says itself, and what was found out besides."""
    author, post = message.author, message.post
    return Facts(
        network=message.network,
        channel=message.channel_id,
        purpose=purpose,
        kind=message.kind,
        verb=verb,
        replayed=message.replayed,
        text=message.text,
        media=tuple(attachment.kind for attachment in message.attachments),
        rating=message.rating,
        author_id=author.external_id if author else None,
        handle=author.handle if author else None,
        name=author.name if author else None,
        followers=author.followers if author else None,
        verified=author.verified if author else None,
        first=is_first,
        post=post.external_id if post else None,
        campaign=post.campaign_id if post else None,
        ad=post.ad_id if post else None,
        reply_until=min((one.until for one in message.reply_options if one.until is not None), default=None),
        at=at,
        has_ticket=has_ticket,
        ticket=ticket,
        customer=customer,
        shift=shift,
        classified=classified,
        surging=surging,
    )


def message_of(event: Event) -> Message:
    """What the event is about; asked of message events only."""
    assert isinstance(event.data, MessageEvent)  # noqa: S101 - channel events were taken out before
    return event.data.message
