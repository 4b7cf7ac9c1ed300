"""What tickets' events ask rules about, what rules answer, and how far their answers may lead to further questions."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, get_args

import msgspec

from services.router.domain.compile import Ruleset, Verdict
from services.router.domain.facts import Facts, SurgeChange
from services.router.domain.outcome import Outcome
from services.router.domain.standing import Standing, customers_message, standing_of
from services.router.domain.vocabulary import ASPECTS, SHIFT_CHANGED, TIMER, ShiftChange, Trigger
from shared import ids
from shared.events.envelope import Event
from shared.events.messages import Message
from shared.events.routing import Chain, Priority
from shared.events.tickets import TicketEvent, TicketUpdated

PRIORITIES: Final[tuple[str, ...]] = get_args(Priority)

MAX_HOPS: Final = 5
"""Decisions of which each led to the next; what they lead to then is left to people."""

MAX_TRIES: Final = 5
"""Versions of a ticket that one occasion is decided about, where the ticket has moved on each time."""

Held = Literal["loop", "hop-limit"]


class Occasion(msgspec.Struct, frozen=True, kw_only=True):
    """Something about a ticket that rules listen to. `changed`: what of the ticket is otherwise than before."""

    trigger: Trigger
    event_id: str
    at: datetime | None
    changed: tuple[str, ...] = ()
    message: Message | None = None
    chain: Chain | None = None
    after: int | None = None
    """Minutes of silence."""
    surge: SurgeChange | None = None
    shifted: tuple[ShiftChange, ...] = ()
    facts: Facts | None = None
    """What the rules saw the first time, where the ticket had moved on by then."""
    tries: int = 0
    """How often it was decided about before."""
    traceparent: str | None = None


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What rules say to an occasion. `skipped`: rules that held and were not asked again; `held`: why nothing comes."""

    verdict: Verdict
    skipped: tuple[str, ...] = ()
    held: Held | None = None


def occasions(events: Iterable[Event], before: Mapping[str, Standing]) -> dict[str, list[Occasion]]:
    """By ticket, in order. `before`: how tickets stood; what is not newer was asked about already."""
    known = dict(before)
    found: dict[str, list[Occasion]] = {}
    for event in events:
        data = event.data
        if not isinstance(data, TicketEvent):
            continue
        last = known.get(data.ticket.id)
        if last is not None and data.ticket.version <= last.version:
            continue
        now = known[data.ticket.id] = standing_of(data, last)
        if some := list(_occasions(event, data, last, now)):
            found.setdefault(data.ticket.id, []).extend(some)
    return found


class Awaited(msgspec.Struct, frozen=True, kw_only=True):
    """A decision that changes a ticket if that is still at the version that the rules saw."""

    ticket_id: str
    event_id: str
    version: int
    tries: int
    decisions: tuple[str, ...]


def was_dropped(awaited: Awaited, events: Iterable[Event]) -> bool | None:
    """Whether the ticket had moved on: its next version is then somebody else's. None: it is not known yet."""
    for event in events:
        data = event.data
        if isinstance(data, TicketEvent) and data.ticket.version > awaited.version:
            return data.cause != awaited.event_id
    return None


def changes_something(action: Outcome, standing: Standing) -> bool:
    """Whether a decision is sure to change a ticket that stands like this."""
    ticket = standing.ticket
    adds = not set(action.tags) <= set(ticket.tags)
    raises = action.priority is not None and PRIORITIES.index(action.priority) > PRIORITIES.index(ticket.priority)
    moves = action.reroute is not None and action.reroute.team not in (None, ticket.team) and standing.is_open
    waits = action.snooze is not None and ticket.state in ("open", "pending")
    return adds or raises or moves or waits or bool(action.flags)


def judge(ruleset: Ruleset, facts: Facts, chain: Chain | None) -> Judgement | None:
    """None: no rule holds. A rule is asked once in a chain, so that what it does never asks it again."""
    verdict = answer(ruleset, facts)
    if verdict is None or chain is None:
        return Judgement(verdict=verdict) if verdict else None
    if chain.hops >= MAX_HOPS:
        return Judgement(verdict=verdict, skipped=verdict.matched, held="hop-limit")
    skipped = tuple(name for name in verdict.matched if name in chain.rules)
    if not skipped:
        return Judgement(verdict=verdict)
    rest = answer(ruleset, facts, chain.rules)
    return Judgement(verdict=rest or verdict, skipped=skipped, held=None if rest else "loop")


def link(before: Sequence[Chain | None], matched: Iterable[str]) -> Chain:
    """The chain that goes on with a decision; of several that meet in it, the longest."""
    chains = [one for one in before if one is not None]
    rules = [name for chain in chains for name in chain.rules]
    hops = max((chain.hops for chain in chains), default=0)
    return Chain(hops=hops + 1, rules=tuple(dict.fromkeys((*rules, *matched))))


def answer(ruleset: Ruleset, facts: Facts, without: Sequence[str] = ()) -> Verdict | None:
    """What the rules say; None: none of them holds."""
    verdict = ruleset.decide(facts, without=without)
    if not verdict.matched:
        return None
    # Nobody has to own what is owned already: without a rule that does, the first one stands for all.
    is_owned = verdict.rule in verdict.matched
    return verdict if is_owned else msgspec.structs.replace(verdict, rule=verdict.matched[0])


def silence(standing: Standing, minutes: int, at: datetime) -> Occasion:
    """Nobody has answered for so long."""
    return Occasion(
        trigger=TIMER,
        event_id=_silence_id(standing, minutes),
        at=at,
        after=minutes,
    )


def still_asks(occasion: Occasion, standing: Standing) -> bool:
    """Whether there is still something to decide: the silence may have ended, the ticket gone into another one."""
    if standing.ticket.state == "merged":
        return False
    if occasion.trigger == SHIFT_CHANGED:
        return bool(shifted(occasion, standing))
    return occasion.after is None or occasion.event_id == _silence_id(standing, occasion.after)


def shifted(occasion: Occasion, standing: Standing) -> tuple[ShiftChange, ...]:
    """What of a change of duty still concerns a ticket, which may have another owner or team by now."""
    before = occasion.facts.ticket if occasion.facts else None
    if before is None:
        return occasion.shifted
    has_same = {"owner": before.owner == standing.ticket.owner, "team": before.team == standing.ticket.team}
    return tuple(change for change in occasion.shifted if has_same[change.partition("-")[0]])


def _silence_id(standing: Standing, minutes: int) -> str:
    since = standing.silent_since.isoformat() if standing.silent_since else ""
    return ids.digest("sil", standing.ticket.id, since, str(minutes))


def _occasions(event: Event, data: TicketEvent, before: Standing | None, now: Standing) -> Iterable[Occasion]:
    if data.ticket.state == "merged":
        return

    def occasion(trigger: Trigger, **fields: Any) -> Occasion:
        return Occasion(
            trigger=trigger,
            event_id=event.id,
            at=data.at,
            chain=data.chain,
            traceparent=event.traceparent,
            **fields,
        )

    if isinstance(data, TicketUpdated) and data.message is not None and data.reason == "edited":
        yield occasion("message.edited", message=data.message)
    if isinstance(data, TicketUpdated) and (message := customers_message(data)) is not None:
        yield occasion("customer.replied", message=message)
    if before is not None and (changed := _changed(before, now)):
        yield occasion("ticket.changed", changed=changed)


def _changed(before: Standing, now: Standing) -> tuple[str, ...]:
    # Of what was followed before states were, the state is not known.
    asked = ASPECTS if before.ticket.state else [name for name in ASPECTS if name != "state"]
    return tuple(name for name in asked if getattr(before.ticket, name) != getattr(now.ticket, name))
