"""Doing something to an item on its network: rules and people ask, the notifier does it, the ticket tells of it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from services.tickets.domain import message as messages_
from services.tickets.domain import moderation as moderation_
from services.tickets.domain import ticket as tickets_
from services.tickets.domain.message import Stored
from services.tickets.domain.moderation import VERBS, Moderation
from services.tickets.domain.ticket import Ticket
from services.tickets.handlers.access import actor_of
from services.tickets.handlers.acting import begin
from services.tickets.handlers.changes import Changes
from services.tickets.handlers.ledger import Desk
from services.tickets.handlers.reading import find
from services.tickets.store import messages, moderations, search
from services.tickets.store.search import Text
from shared import ids
from shared.db.transaction import Transaction
from shared.errors import NotFound, Retryable
from shared.events.deliveries import ModerationSettled
from shared.events.envelope import Event
from shared.events.messages import Operation
from shared.events.moderation import ModerationConcluded, ModerationRequested
from shared.events.payload import SYSTEM
from shared.events.routing import Chain, Decision
from shared.networks.port import Capabilities
from shared.networks.registry import NETWORKS
from shared.web.auth import Principal

LISTED: Final = 100
"""Operations on one item that are told."""


class Asked(NamedTuple):
    """Something that is wanted of an item, and what led to it."""

    moderation: Moderation
    stored: Stored
    ticket_id: str | None
    cause: str | None = None
    traceparent: str | None = None
    chain: Chain | None = None


def by_rules(
    decision: Decision,
    stored: Stored,
    *,
    ticket_id: str | None,
    cause: str,
    traceparent: str | None,
    chain: Chain | None = None,
) -> list[Asked]:
    """What a decision wants of an item. The ids say the same of the same decision, however often it comes."""
    return [
        Asked(
            Moderation(
                id=ids.digest("mod", decision.id, stored.id, one.operation),
                workspace_id=stored.workspace_id,
                message_id=stored.id,
                operation=one.operation,
                actor=SYSTEM,
                rule=one.rule,
            ),
            stored,
            ticket_id,
            cause,
            traceparent,
            chain,
        )
        for one in moderation_.asked_by(decision, stored)
    ]


async def request(changes: Changes, asked: Sequence[Asked]) -> None:
    """Asks the notifier for each that was not asked for already; the locks of tickets and items are held."""
    if not asked:
        return
    made = await moderations.insert(changes.tx, [one.moderation for one in asked])
    for one in asked:
        # The same may have been asked for twice at once.
        number = made.pop(one.moderation.id, None)
        if number is None:
            continue
        moderation = msgspec.structs.replace(one.moderation, number=number)
        changes.tx.traceparent = one.traceparent
        _record(changes, one.ticket_id, "moderation-requested", moderation, one.stored)
        _emit(changes, ModerationRequested, moderation, one.stored, one.ticket_id, cause=one.cause, chain=one.chain)


async def moderate(
    tx: Transaction, desk: Desk, who: Principal, ticket_id: str, *, message_id: str, operation: Operation
) -> Moderation:
    """A person asks; what is under way or done already is not asked for again."""
    changes, ticket = await begin(tx, desk, who, ticket_id)
    stored = (await messages.load(tx, [message_id], lock=True)).get(message_id)
    if stored is None or stored.ticket_id != ticket.id:
        raise NotFound(f"there is no message {message_id} in this ticket")
    network = NETWORKS.get(stored.message.network)
    moderation_.check(operation, stored, network.capabilities if network else Capabilities())
    wanted = Moderation(
        id=desk.ids.new("mod"),
        workspace_id=ticket.workspace_id,
        message_id=message_id,
        operation=operation,
        actor=actor_of(who),
    )
    await request(changes, [Asked(wanted, stored, ticket.id, traceparent=tx.traceparent)])
    await changes.flush()
    standing = await moderations.standing(tx, message_id, operation)
    assert standing is not None  # noqa: S101 - it stood before, or stands now
    return standing


async def of_message(tx: Transaction, who: Principal, ticket_id: str, message_id: str) -> list[Moderation]:
    """All that was asked for of an item of a ticket."""
    ticket = await find(tx, who, ticket_id)
    stored = (await messages.load(tx, [message_id])).get(message_id)
    if stored is None or stored.ticket_id != ticket.id:
        raise NotFound(f"there is no message {message_id} in this ticket")
    return await moderations.of_message(tx, message_id, limit=LISTED)


async def conclude(changes: Changes, events: Iterable[Event], locked: Mapping[str, Ticket]) -> None:
    """What networks made of operations, each taken in once: the timeline tells, and the item is as it is there.

    `locked`: the tickets of the items, by the ids that these know them by.
    """
    said = {event.data.moderation_id: event for event in events if isinstance(event.data, ModerationSettled)}
    if not said:
        return
    waiting = await moderations.load(changes.tx, said)
    stored = await messages.load(changes.tx, {one.message_id for one in waiting.values()}, lock=True)
    if any(item.ticket_id is not None and item.ticket_id not in locked for item in stored.values()):
        raise Retryable("an item moved to another ticket at this moment")
    # Only now, because whoever takes in the same holds the locks of the same items.
    waiting = await moderations.load(changes.tx, said)
    settling = _Settling(changes, stored, {known_as: ticket.id for known_as, ticket in locked.items()})
    for id_, event in said.items():
        if (before := waiting.get(id_)) is not None and before.state == "requested":
            settling.apply(before, event)
    await settling.write()


class _Settling:
    """Outcomes of operations, in memory, and the items and tickets that they change."""

    def __init__(self, changes: Changes, stored: dict[str, Stored], roots: Mapping[str, str]) -> None:
        self._changes = changes
        self._stored = stored
        self._roots = roots
        self._settled: list[Moderation] = []
        self._turned: dict[str, Stored] = {}
        self._silenced: set[str] = set()

    def apply(self, before: Moderation, event: Event) -> None:
        """One outcome."""
        data = event.data
        assert isinstance(data, ModerationSettled)  # noqa: S101 - nothing else was chosen
        item = self._stored[before.message_id]
        ticket_id = self._roots[item.ticket_id] if item.ticket_id is not None else None
        settled = msgspec.structs.replace(before, state=data.outcome, reason=data.reason, code=data.code)
        self._settled.append(settled)
        self._changes.tx.traceparent = event.traceparent
        _record(self._changes, ticket_id, f"moderation-{data.outcome}", settled, item)
        if data.outcome == "done":
            self._turn(settled, item, ticket_id)
        outcome = {"outcome": data.outcome, "reason": data.reason, "code": data.code}
        _emit(self._changes, ModerationConcluded, settled, item, ticket_id, cause=event.id, **outcome)

    def _turn(self, settled: Moderation, item: Stored, ticket_id: str | None) -> None:
        # Not every network tells it again as an event of its own, and none tells it at once.
        verb = VERBS.get(settled.operation)
        turned = messages_.turned(verb, item) if verb else None
        if turned is None:
            return
        self._stored[item.id] = self._turned[item.id] = turned
        if verb == "deleted" and ticket_id is not None:
            self._silenced.add(ticket_id)

    async def write(self) -> None:
        """Everything, in a constant number of statements."""
        tx, changes = self._changes.tx, self._changes
        await moderations.settle(tx, self._settled)
        turned = list(self._turned.values())
        search.put(tx, [Text(one.id, one.workspace_id, one.text or "", changes.now) for one in turned if one.ticket_id])
        await messages.save(tx, turned)
        if self._silenced:
            for ticket_id, since in (await messages.waiting(tx, self._silenced)).items():
                changes.amend(ticket_id, waiting_since=since)
        await changes.flush()


def _record(changes: Changes, ticket_id: str | None, kind: str, moderation: Moderation, stored: Stored) -> None:
    if ticket_id is None:
        return
    told = {
        "moderation_id": moderation.id,
        "operation": moderation.operation,
        "rule": moderation.rule,
        "reason": moderation.reason,
        "code": moderation.code,
    }
    changes.record(
        ticket_id,
        kind,
        moderation.actor if kind == "moderation-requested" else SYSTEM,
        message_id=stored.id,
        conversation_id=stored.message.conversation_id,
        data={name: value for name, value in told.items() if value is not None},
    )


def _emit(
    changes: Changes,
    kind: type[ModerationRequested] | type[ModerationConcluded],
    moderation: Moderation,
    stored: Stored,
    ticket_id: str | None,
    **fields: Any,
) -> None:
    # An item that no ticket holds has its own order: the lock of its row.
    event = kind(
        workspace_id=moderation.workspace_id,
        moderation=moderation_.order(moderation, stored),
        actor=moderation.actor,
        at=changes.now,
        ticket=tickets_.view(changes[ticket_id]) if ticket_id is not None else None,
        **fields,
    )
    changes.tx.emit(event, key=ticket_id or stored.id)
