"""Outbound items of the networks: our own replies coming back, or answers from the network's own app."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import structlog

from services.tickets.domain import echo as echoes_
from services.tickets.domain.echo import Matched, Native, Own, Waits
from services.tickets.domain.message import Stored
from services.tickets.domain.outcome import Record
from services.tickets.handlers import natives
from services.tickets.handlers.changes import Changes
from services.tickets.handlers.ledger import Book, Desk
from services.tickets.handlers.natives import Found
from services.tickets.handlers.waiting import ask_to_stay
from services.tickets.store import echoes, messages, replies, tickets, turns
from services.tickets.store.echoes import Waiting
from shared.db.transaction import Transaction
from shared.events.envelope import Event
from shared.events.messages import Message
from shared.events.payload import SYSTEM
from shared.events.routing import MessageRouted
from shared.events.tickets import EchoMatched


@dataclass(slots=True, kw_only=True)
class _Batch:
    changes: Changes
    records: dict[str, Record]
    """Replies that one of the items may be the echo of, each with the ticket in which its story goes on."""
    awaited: set[str]
    sharing: dict[str, list[str]]
    """The tickets of each conversation, newest first."""
    parents: dict[tuple[str, str], str]
    waits: list[Waiting] = field(default_factory=list)
    stays: list[Record] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)
    places: dict[str, tuple[str, int]] = field(default_factory=dict)

    def ours(self) -> list[Own]:
        return [own_of(record) for record in self.records.values()]

    def tickets_for(self, item: Message) -> list[str]:
        parent = self.parents.get((item.conversation_id, item.parent_external_id or ""))
        shared = self.sharing.get(item.conversation_id, [])
        return [parent] if parent in shared else shared


class _Places(NamedTuple):
    """Where items may belong, before anything is locked."""

    sharing: dict[str, list[str]]
    """The tickets of each conversation, newest first."""
    parents: dict[tuple[str, str], str]
    replied: set[str]

    @property
    def tickets(self) -> set[str]:
        return {id_ for ids_ in self.sharing.values() for id_ in ids_} | set(self.parents.values()) | self.replied


async def on_outbound(tx: Transaction, events: Sequence[Event], *, desk: Desk) -> None:
    """Tells echoes from native answers, in order; an item that is known already changes nothing."""
    routed = {
        event.data.message.id: event
        for event in events
        if isinstance(event.data, MessageRouted) and event.data.verb == "received"
    }
    if not routed:
        return
    items = [event.data.message for event in routed.values() if isinstance(event.data, MessageRouted)]
    batch = await _prepare(tx, items, desk)
    known = await messages.load(tx, [item.id for item in items], lock=True)
    fresh = [item for item in items if item.id not in known and _has_ticket(batch, item)]
    for item in fresh:
        batch.changes.cause = routed[item.id].id
        _judge(batch, item)
    await _write(batch, desk, fresh)


async def concerned(tx: Transaction, items: Sequence[Message]) -> set[str]:
    """The tickets that these items may be about; not locked."""
    return (await _look(tx, items)).tickets


async def _look(tx: Transaction, items: Sequence[Message]) -> _Places:
    parents = {(item.conversation_id, item.parent_external_id) for item in items if item.parent_external_id}
    return _Places(
        sharing=await turns.sharing(tx, {item.conversation_id for item in items}),
        parents=await turns.parents(tx, parents),
        replied={record.ticket_id for record in await replies.echoed(tx, items)},
    )


async def _prepare(tx: Transaction, items: Sequence[Message], desk: Desk) -> _Batch:
    places = await _look(tx, items)
    locked = await tickets.lock_known(tx, places.tickets)
    changes = Changes(tx, desk.ids, now=await tx.now())
    changes.adopt(*{ticket.id: ticket for ticket in locked.values()}.values())
    # Again, because what was read before the locks may have been settled since.
    records = {
        record.id: msgspec.structs.replace(record, ticket_id=locked[record.ticket_id].id)
        for record in await replies.echoed(tx, items)
        if record.ticket_id in locked
    }
    awaited = {waiting.reply_id for waiting in await echoes.for_replies(tx, records)}
    return _Batch(
        changes=changes,
        records=records,
        awaited=awaited,
        sharing={name: [locked[id_].id for id_ in ids_ if id_ in locked] for name, ids_ in places.sharing.items()},
        parents={place: locked[id_].id for place, id_ in places.parents.items() if id_ in locked},
    )


def _has_ticket(batch: _Batch, item: Message) -> bool:
    if batch.tickets_for(item) or echoes_.named(item, batch.ours()):
        return True
    structlog.get_logger().info("native_item_without_ticket", message_id=item.id, channel_id=item.channel_id)
    return False


def _judge(batch: _Batch, item: Message) -> None:
    match echoes_.judge(item, batch.ours(), awaited=batch.awaited):
        case Matched(reply=own, is_news=is_news):
            record = batch.records[own.id]
            batch.places[item.id] = (record.ticket_id, record.seq)
            if is_news:
                _tell(batch, record, item)
            if own.state == "sent" and own.external_id is None:
                batch.names[own.id] = item.external_id
                batch.records[own.id] = msgspec.structs.replace(record, external_id=item.external_id)
        case Waits(reply=own):
            record = batch.records[own.id]
            batch.places[item.id] = (record.ticket_id, record.seq)
            batch.waits.append(Waiting(ticket_id=record.ticket_id, reply_id=own.id, item=item))
            batch.awaited.add(own.id)
            if record.reason is None:
                batch.stays.append(record)
        case Native(contradicts=own):
            of_reply = [batch.records[own.id].ticket_id] if own else []
            batch.found.append(Found(item=item, ticket_ids=of_reply or batch.tickets_for(item)))


def _tell(batch: _Batch, record: Record, item: Message) -> None:
    fields = {"reply_id": record.id, "message_id": item.id, "external_id": item.external_id}
    batch.changes.emit(EchoMatched, record.ticket_id, SYSTEM, **fields)


async def _write(batch: _Batch, desk: Desk, items: Sequence[Message]) -> None:
    changes, book = batch.changes, Book(batch.changes, desk)
    await replies.name(changes.tx, batch.names)
    await ask_to_stay(changes, batch.stays, SYSTEM, reason="echo")
    await echoes.insert(changes.tx, batch.waits)
    places = batch.places | await natives.detect(changes, book, batch.found)
    await messages.insert(changes.tx, [_stored(item, *places[item.id]) for item in items])
    await book.write()
    for ticket_id, since in (await messages.waiting(changes.tx, {ticket for ticket, _ in places.values()})).items():
        if since != changes[ticket_id].waiting_since:
            changes.amend(ticket_id, waiting_since=since)
    await changes.flush()


def own_of(record: Record) -> Own:
    """The reply as an item may show it."""
    order = record.order
    return Own(
        id=record.id,
        seq=record.seq,
        state=record.state,
        channel_id=order.channel_id,
        conversation_id=order.conversation_id,
        correlation_id=order.correlation_id,
        normalized_text=record.normalized_text,
        has_files=bool(order.attachments),
        external_id=record.external_id,
        is_fresh=record.is_fresh,
    )


def _stored(item: Message, ticket_id: str, seq: int) -> Stored:
    return Stored(
        id=item.id,
        workspace_id=item.workspace_id,
        ticket_id=ticket_id,
        seq=seq,
        received=True,
        text=item.text,
        message=item,
    )
