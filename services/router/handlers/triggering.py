"""Asks rules about tickets that are there already, whenever an event tells that something happened to them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from services.router.domain.compile import Ruleset, joined
from services.router.domain.explain import explain as why
from services.router.domain.facts import Facts, as_kept
from services.router.domain.outcome import Outcome
from services.router.domain.rounds import about
from services.router.domain.standing import Standing, latest, message_of
from services.router.domain.surging import Surging, may_concern
from services.router.domain.triggers import (
    MAX_TRIES,
    Awaited,
    Judgement,
    Occasion,
    changes_something,
    judge,
    link,
    occasions,
    shifted,
    silence,
    still_asks,
    was_dropped,
)
from services.router.domain.vocabulary import SHIFT_CHANGED, SURGE_CHANGED, Trigger
from services.router.handlers import besides
from services.router.handlers.besides import Besides
from services.router.handlers.following import on_tickets
from services.router.handlers.gathering import facts_of
from services.router.handlers.remembered import Versions
from services.router.handlers.rounds import on_shifts
from services.router.store import (
    awaited,
    decisions,
    rounds,
    rule_counts,
    rulesets,
    silences,
    ticket_decisions,
    tickets,
)
from services.router.store.ticket_decisions import TicketDecided
from shared import ids
from shared.db.timers import Timer
from shared.db.transaction import Transaction
from shared.events.envelope import Event
from shared.events.routing import Chain, Decision, Moderation, Reroute, TicketRouted
from shared.events.tickets import TicketEvent

LISTED: Final = 100
"""Decisions about one ticket that are told."""

AT_ONCE: Final = 200
"""Tickets that one transaction asks about."""

_UNSAID: Final = Facts(network="", kind="", verb="")


class Asked(NamedTuple):
    """What rules are asked about one ticket, how it stands, and by which version they answer."""

    now: Standing
    occasions: Sequence[Occasion]
    version: int
    compiled: Ruleset


class Triggers:
    """Follows tickets, and decides about them by the versions in force; `writer` as for messages."""

    def __init__(self, versions: Versions | None = None, *, writer: int = 0) -> None:
        self._versions = Versions() if versions is None else versions
        self._writer = writer

    async def on_tickets(self, tx: Transaction, events: Sequence[Event]) -> None:
        """A batch of ticket events. Where no rule listens to tickets, they are followed and nothing else."""
        listening = await self._listening(tx, {event.workspace_id for event in events})
        heard = [event for event in events if event.workspace_id in listening]
        before = await tickets.stood(tx, _tickets(heard)) if heard else {}
        lanes = await decisions.lanes(tx, _messages(_listening_to(SURGE_CHANGED, heard, listening)))
        await on_tickets(tx, events, lanes)
        if not heard:
            return
        await on_shifts(tx, _listening_to(SHIFT_CHANGED, heard, listening))
        now = latest((event.data for event in heard), before, lanes)
        await silences.look(tx, _dues(now.values(), listening))
        again = await _dropped(tx, heard, before, now)
        found = occasions(heard, before)
        asked = [
            Asked(one, [*again.get(ticket_id, ()), *found.get(ticket_id, ())], *listening[one.workspace_id])
            for ticket_id, one in now.items()
            if ticket_id in again or ticket_id in found
        ]
        await self._conclude(tx, asked)

    async def on_silence(self, tx: Transaction, timer: Timer) -> None:
        """Asks about the silences of one workspace that are long enough by now, and looks again for the next one."""
        listening = (await self._listening(tx, [timer.workspace_id])).get(timer.workspace_id)
        minutes = sorted(listening[1].timers) if listening else []
        if listening is None or not minutes:
            return
        found = await silences.due(tx, timer.workspace_id, minutes, limit=AT_ONCE)
        now = await tx.now()
        asked = [Asked(one, [silence(one, after, now) for after in due], *listening) for one, due in found]
        await self._conclude(tx, asked)
        if found:
            await silences.told(tx, {one.ticket.id: due[-1] for one, due in found})
        following = await silences.following(tx, timer.workspace_id, minutes)
        await silences.look(tx, {timer.workspace_id: following} if following else {})

    async def on_round(self, tx: Transaction, timer: Timer) -> None:
        """Asks about some of the tickets that a surge or a change of duty concerns; then somebody goes on."""
        leg = rounds.leg_of(timer)
        listening = (await self._listening(tx, [leg.workspace_id])).get(leg.workspace_id)
        if listening is None or listening[1].listening(leg.round.trigger) is None:
            return
        found = await rounds.concerned(tx, leg, limit=AT_ONCE)
        now = await tx.now()
        await self._conclude(tx, [Asked(one, [about(leg.round, one, now)], *listening) for one in found])
        if len(found) == AT_ONCE:
            await rounds.go_on(tx, [leg._replace(after=found[-1].ticket.id)])

    async def _conclude(self, tx: Transaction, asked: Sequence[Asked]) -> None:
        seen = await besides.look(tx, [(one.now.workspace_id, one.now.ticket.id, one.compiled) for one in asked])
        made: list[TicketDecided] = []
        expected: list[tuple[str, Awaited]] = []
        for some in asked:
            decided, awaits = _decide(tx, some, seen)
            made += decided
            expected += [(some.now.workspace_id, awaits)] if awaits else []
        awaited.add(tx, expected)
        ticket_decisions.keep(tx, made)
        rule_counts.add(tx, [one for one in made if one.held is None], writer=self._writer)

    async def _listening(self, tx: Transaction, workspaces: Iterable[str]) -> dict[str, tuple[int, Ruleset]]:
        versions = await rulesets.active_versions(tx, workspaces)
        compiled = await self._versions.rulesets(tx, versions)
        return {name: (versions[name], found) for name, found in compiled.items() if found.others}


async def explain(tx: Transaction, workspace_id: str, ticket_id: str) -> list[dict[str, Any]]:
    """What was decided about a ticket once it was there, newest first, and by which rules, as they saw it."""
    explained = []
    compiled: dict[int, Ruleset] = {}
    versions = Versions()
    for one in await ticket_decisions.of_ticket(tx, workspace_id, ticket_id, limit=LISTED):
        version = one.ruleset_version
        if version not in compiled:
            compiled |= {version: (await versions.rulesets(tx, {workspace_id: version}))[workspace_id]}
        ruleset = compiled[version].about(one.trigger, one.after_minutes)
        told = why(ruleset, as_kept(one.facts))
        moderation = [msgspec.to_builtins(each) for each in ruleset.moderation(one.matched)]
        seen = {"facts": told["facts"], "evidence": told["matched"], "missed": told["missed"]}
        explained.append({**_shown(one), "moderation": moderation, **seen})
    return explained


def _shown(one: TicketDecided) -> dict[str, Any]:
    return {name: getattr(one, name) for name in TicketDecided.__slots__ if name not in {"workspace_id", "facts"}}


def _tickets(events: Iterable[Event]) -> list[str]:
    return sorted({event.data.ticket.id for event in events if isinstance(event.data, TicketEvent)})


def _listening_to(
    trigger: Trigger, events: Iterable[Event], listening: Mapping[str, tuple[int, Ruleset]]
) -> list[Event]:
    """The events of workspaces with rules on this."""
    return [event for event in events if listening[event.workspace_id][1].listening(trigger) is not None]


def _messages(events: Iterable[Event]) -> dict[str, str]:
    return {message.id: event.workspace_id for event in events if (message := message_of(event.data)) is not None}


def _dues(standings: Iterable[Standing], listening: Mapping[str, tuple[int, Ruleset]]) -> dict[str, datetime]:
    """By workspace, when the first of these silences is long enough for a rule."""
    found: dict[str, datetime] = {}
    for one in standings:
        left = [minutes for minutes in listening[one.workspace_id][1].timers if minutes > one.told]
        if one.silent_since is not None and left:
            due = one.silent_since + timedelta(minutes=min(left))
            found[one.workspace_id] = min(due, found.get(one.workspace_id, due))
    return found


async def _dropped(
    tx: Transaction, heard: Sequence[Event], before: Mapping[str, Standing], now: Mapping[str, Standing]
) -> dict[str, list[Occasion]]:
    """By ticket, what was decided about a version that had passed by then: it is asked about the present one."""
    by_ticket: dict[str, list[Event]] = {ticket_id: [] for ticket_id in before}
    for event in heard:
        if isinstance(event.data, TicketEvent) and event.data.ticket.id in by_ticket:
            by_ticket[event.data.ticket.id].append(event)
    known = [(one, was_dropped(one, by_ticket[one.ticket_id])) for one in await awaited.of_tickets(tx, by_ticket)]
    await awaited.settled(tx, [one for one, is_dropped in known if is_dropped is not None])
    dropped = [one for one, is_dropped in known if is_dropped and one.tries < MAX_TRIES]
    kept = await ticket_decisions.load(tx, [id_ for one in dropped for id_ in one.decisions])
    found: dict[str, list[Occasion]] = {}
    for one in dropped:
        again = [_again(kept[id_], one.tries + 1) for id_ in one.decisions if id_ in kept]
        found.setdefault(one.ticket_id, []).extend(each for each in again if still_asks(each, now[one.ticket_id]))
    return found


def _again(kept: TicketDecided, tries: int) -> Occasion:
    facts = as_kept(kept.facts)
    return Occasion(
        trigger=kept.trigger,
        event_id=kept.event_id,
        at=facts.at,
        changed=facts.changed,
        chain=msgspec.convert(kept.chain, Chain | None),
        after=kept.after_minutes,
        surge=facts.surge,
        shifted=facts.shifted,
        facts=facts,
        tries=tries,
    )


def _decide(tx: Transaction, asked: Asked, seen: Besides) -> tuple[list[TicketDecided], Awaited | None]:
    """Every occasion is judged by how the ticket stands now, because that is what the decision is about."""
    made: list[TicketDecided] = []
    effective: list[tuple[Occasion, TicketDecided]] = []
    moderation: list[Moderation] = []
    for occasion in asked.occasions:
        ruleset = asked.compiled.listening(occasion.trigger, occasion.after)
        facts = _facts(occasion, asked.now, seen)
        judgement = judge(ruleset, facts, occasion.chain) if ruleset else None
        if judgement is None:
            continue
        decided = _decided(occasion, asked, facts, judgement)
        made.append(decided)
        if judgement.held is None:
            effective.append((occasion, decided))
            moderation += _moderation(occasion, ruleset, decided)
    return made, _tell(tx, asked.now, effective, moderation) if effective else None


def _moderation(occasion: Occasion, ruleset: Ruleset | None, decided: TicketDecided) -> Iterable[Moderation]:
    # Asked about again, the occasion has no message any more: what was wanted of that was asked for the first time.
    if ruleset is None or occasion.message is None:
        return []
    asked = ruleset.moderation(decided.matched)
    return [msgspec.structs.replace(one, message_id=occasion.message.id) for one in asked]


def _tell(
    tx: Transaction,
    now: Standing,
    effective: Sequence[tuple[Occasion, TicketDecided]],
    moderation: Sequence[Moderation],
) -> Awaited | None:
    """One event for all that was decided about one version: a second one would find the ticket changed."""
    first, decided = effective[0]
    action = joined([one.action for _, one in effective])
    move = action.reroute
    matched = [name for _, one in effective for name in one.matched]
    tx.traceparent = first.traceparent
    told = TicketRouted(
        workspace_id=decided.workspace_id,
        ticket_id=decided.ticket_id,
        ticket_version=decided.ticket_version,
        decision=_decision(decided, action, moderation),
        trigger=decided.trigger,
        reroute=Reroute(team=move.team, agent=move.agent) if move else None,
        snooze_minutes=action.snooze.minutes if action.snooze else None,
        chain=link([occasion.chain for occasion, _ in effective], matched),
    )
    made = tuple(one.id for _, one in effective)
    event_id = tx.emit(told, key=decided.ticket_id, event_id=ids.digest("evt", "ticket-routed", *made))
    # What changes nothing leaves no trace in the ticket that could be waited for.
    if not changes_something(action, now):
        return None
    tries = max(occasion.tries for occasion, _ in effective)
    return Awaited(ticket_id=now.ticket.id, event_id=event_id, version=now.version, tries=tries, decisions=made)


def _decision(decided: TicketDecided, action: Outcome, moderation: Sequence[Moderation]) -> Decision:
    return Decision(
        id=decided.id,
        outcome="route",
        rule=decided.rule,
        ruleset_version=decided.ruleset_version,
        # Priorities only rise: the lowest says nothing.
        priority=action.priority or "low",
        tags=action.tags,
        flags=action.flags,
        moderation=tuple(moderation),
    )


def _facts(occasion: Occasion, now: Standing, seen: Besides) -> Facts:
    said = occasion.facts or _UNSAID
    if occasion.message is not None:
        said = facts_of(occasion.message, verb="", at=occasion.at)
    # A surge's policy says what becomes of messages that come in; about tickets that are there rules decide alone.
    surges = seen.surges.get(now.workspace_id)
    surging = (
        None
        if surges is None
        else Surging(open=may_concern(surges, subjects={f"channel:{said.channel}", *now.subjects}))
    )
    return msgspec.structs.replace(
        said,
        at=occasion.at,
        has_ticket=now.is_open,
        ticket=now.ticket,
        changed=occasion.changed,
        surge=occasion.surge,
        shifted=shifted(occasion, now),
        customer=seen.known.get(now.ticket.id),
        shift=seen.shifts.get(now.workspace_id),
        surging=surging,
    )


def _decided(occasion: Occasion, asked: Asked, facts: Facts, judgement: Judgement) -> TicketDecided:
    now, verdict = asked.now, judgement.verdict
    return TicketDecided(
        id=ids.digest("dec", occasion.event_id, occasion.trigger, str(occasion.tries)),
        workspace_id=now.workspace_id,
        ticket_id=now.ticket.id,
        ticket_version=now.version,
        trigger=occasion.trigger,
        after_minutes=occasion.after,
        event_id=occasion.event_id,
        ruleset_version=asked.version,
        rule=verdict.rule,
        action=verdict.action,
        matched=() if judgement.held else verdict.matched,
        skipped=judgement.skipped,
        held=judgement.held,
        chain=occasion.chain,
        facts=facts,
    )
