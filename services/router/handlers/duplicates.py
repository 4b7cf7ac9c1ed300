"""While it surges, messages of different customers that say the same get one tag, also those who said it first."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import msgspec

from services.router.domain import duplicates
from services.router.domain.compile import Verdict
from services.router.domain.facts import Facts
from services.router.domain.standing import key_of
from services.router.domain.surge import DUPLICATE_TAG
from services.router.domain.surging import of_decision
from services.router.handlers.gathering import message_of
from services.router.store import sayings
from services.router.store.sayings import Due, Said
from shared import ids
from shared.db.timers import Timer
from shared.db.transaction import Transaction
from shared.events.envelope import Event
from shared.events.routing import Decision, TicketRouted
from shared.networks.accounts import account_of

RULE: Final = "group_duplicates"
"""What a ticket is told instead of a rule's name: the policy decides it."""

SOON: Final = timedelta(seconds=2)
"""When the tickets are looked at of those who said it first: by then the router knows them."""

LATE: Final = timedelta(minutes=1)
AT_ONCE: Final = 200


async def found(
    tx: Transaction, fresh: Mapping[str, Event], facts: Mapping[str, Facts], verdicts: Mapping[str, Verdict]
) -> dict[str, Facts]:
    """The facts of messages that say what others said as well; asked only where a policy wants it of a surge."""
    said: dict[str, tuple[Said, str]] = {}
    for id_, one in facts.items():
        surging, action = one.surging, verdicts[id_].action
        if surging is None or surging.during is None or not surging.during.group_duplicates:
            continue
        concerned = of_decision(action, surging, lane=one.told_lane)
        name = duplicates.name(one.text)
        if concerned and name and not action.ignore and not one.replayed:
            account = key_of(account_of(message_of(fresh[id_])))
            said[id_] = Said(fresh[id_].workspace_id, min(concerned.values()), name), account
    together = await sayings.say(tx, said.values(), look_after=SOON)
    return {id_: _named(facts[id_], what.name) for id_, (what, _) in said.items() if what in together}


async def on_timer(tx: Transaction, timer: Timer) -> None:
    """Tags the tickets of those who said first what others said then; one that moves on is tagged the next time."""
    due = await sayings.due(tx, timer.workspace_id, late_after=LATE, limit=AT_ONCE)
    waiting = [one for one in due if not one.is_late and not _is_tagged(one)]
    for ticket_id in sorted({one.ticket_id for one in waiting if one.ticket_id is not None}):
        _tag(tx, timer.workspace_id, [one for one in waiting if one.ticket_id == ticket_id])
    await sayings.told(tx, timer.workspace_id, [one for one in due if one not in waiting])
    if due:
        await sayings.look(tx, [timer.workspace_id], after=SOON)


def _named(facts: Facts, name: str) -> Facts:
    assert facts.surging is not None  # noqa: S101 - only what a surge concerns is compared
    return msgspec.structs.replace(facts, surging=msgspec.structs.replace(facts.surging, duplicate=name))


def _is_tagged(one: Due) -> bool:
    return one.ticket_id is not None and f"{DUPLICATE_TAG}{one.name}" in one.tags


def _tag(tx: Transaction, workspace_id: str, some: list[Due]) -> None:
    ticket_id, version = some[0].ticket_id, some[0].version
    assert ticket_id is not None  # noqa: S101 - whoever calls has looked
    assert version is not None  # noqa: S101 - a ticket has one
    tags = tuple(dict.fromkeys(f"{DUPLICATE_TAG}{one.name}" for one in some))
    about = (ticket_id, str(version), *tags)
    # Priorities only rise: the lowest says nothing.
    decision = Decision(
        id=ids.digest("dec", *about), outcome="route", rule=RULE, ruleset_version=0, priority="low", tags=tags
    )
    told = TicketRouted(workspace_id=workspace_id, ticket_id=ticket_id, ticket_version=version, decision=decision)
    tx.emit(told, key=ticket_id, event_id=ids.digest("evt", "ticket-routed", *about))
