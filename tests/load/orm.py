"""The same tickets through SQLAlchemy's ORM, one message a transaction: written plainly, on our own tables."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from services.tickets.store.tables import conversations, work
from shared.db.pool import Topology
from shared.db.tables import LOG_SCHEMA
from shared.events.envelope import Event
from shared.events.messages import Message
from shared.events.routing import MessageRouted
from shared.platform.tables import team_member

Factory = async_sessionmaker[AsyncSession]
NewId = Callable[[str], str]

TOPIC: Final = "baton.tickets.v1"
ACTIVE: Final = ("open", "pending", "snoozed")
SYSTEM: Final = {"kind": "system", "id": "baton"}


class Base(DeclarativeBase):
    """Models of existing tables."""


class Customer(Base):
    __table__ = conversations.customer


class Identity(Base):
    __table__ = conversations.identity


class Ticket(Base):
    __table__ = conversations.ticket


class Label(Base):
    __table__ = conversations.ticket_label


class Conversation(Base):
    __table__ = conversations.conversation


class Item(Base):
    __table__ = conversations.message


class Search(Base):
    __table__ = conversations.search


class Turn(Base):
    __table__ = conversations.turn


class Entry(Base):
    __table__ = conversations.entry


class Assignment(Base):
    __table__ = work.assignment


class Load(Base):
    __table__ = work.agent_load


class LogEvent(Base):
    __table__ = LOG_SCHEMA.metadata.tables["log.event"]


class LogQueue(Base):
    __table__ = LOG_SCHEMA.metadata.tables["log.queue"]


class Member(Base):
    __table__ = team_member


@asynccontextmanager
async def sessions(dsn: str, size: int) -> AsyncIterator[Factory]:
    """A factory over a pool, as its documentation shows."""
    engine = create_async_engine(dsn.replace("postgresql://", "postgresql+asyncpg://"), pool_size=size)
    try:
        yield async_sessionmaker(engine, expire_on_commit=False)
    finally:
        await engine.dispose()


async def apply(session: AsyncSession, event: Event, *, topology: Topology, new: NewId) -> None:
    """What one routed message does, in the session's transaction."""
    assert isinstance(event.data, MessageRouted)
    message = event.data.message
    if await session.get(Item, message.id) is not None:
        return
    identity = await _identity(session, message, new)
    ticket = await session.scalar(
        select(Ticket)
        .where(
            Ticket.workspace_id == message.workspace_id,
            Ticket.customer_id == identity.customer_id,
            Ticket.state.in_(ACTIVE),
        )
        .with_for_update()
    )
    told = ["ticket.updated.v1"]
    if ticket is None:
        ticket = await _open(session, event.data, identity, new)
        told = ["ticket.created.v1", "assignment.offered.v1", "assignment.accepted.v1"]
    _attach(session, ticket, message)
    if await session.get(Conversation, (message.conversation_id, ticket.id)) is None:
        session.add(Conversation(id=message.conversation_id, ticket_id=ticket.id, **_channel(message)))
    for name in told:
        await _emit(session, ticket, name, message, topology)


async def _identity(session: AsyncSession, message: Message, new: NewId) -> Any:
    author = message.author
    assert author is not None
    key = (message.workspace_id, message.network, message.channel_id, author.external_id)
    found = await session.get(Identity, key)
    if found is not None:
        return found
    customer = Customer(id=new("cus"), workspace_id=message.workspace_id, name=author.name, attributes={})
    found = Identity(
        workspace_id=message.workspace_id,
        network=message.network,
        scope=message.channel_id,
        external_id=author.external_id,
        customer_id=customer.id,
        home_customer_id=customer.id,
        name=author.name,
    )
    session.add_all([customer, found])
    return found


async def _open(session: AsyncSession, routed: MessageRouted, identity: Any, new: NewId) -> Any:
    decision, workspace = routed.decision, routed.workspace_id
    assert decision is not None
    load = await session.scalar(
        select(Load)
        .join(Member, (Member.workspace_id == Load.workspace_id) & (Member.agent_id == Load.agent_id))
        .where(Load.workspace_id == workspace, Member.team_id == decision.team)
        .order_by(Load.load)
        .limit(1)
        .with_for_update()
    )
    if load is None:
        load = await _loads(session, workspace, str(decision.team))
    load.load += 1
    load.last_assigned_at = datetime.now(UTC)  # noqa: TID251 - as it would be written
    ticket = Ticket(
        id=new("tkt"),
        workspace_id=workspace,
        customer_id=identity.customer_id,
        customer_name=identity.name,
        customer_network=routed.message.network,
        state="open",
        team_id=decision.team,
        owner_id=load.agent_id,
        rank=2,
        tags=list(decision.tags),
        networks=[routed.message.network],
        last_seq=1,
        version=1,
        changed_by=SYSTEM,
        change="assigned",
        waiting_since=routed.message.occurred_at,
    )
    assignment = Assignment(
        id=new("asg"),
        workspace_id=workspace,
        ticket_id=ticket.id,
        team_id=decision.team,
        agent_id=load.agent_id,
        state="accepted",
        strategy="least-load",
        candidates=[],
    )
    entry = Entry(
        ticket_id=ticket.id, seq=1, workspace_id=workspace, kind="assigned", actor=SYSTEM, moves=False, data={}
    )
    labels = [f"tag:{tag}" for tag in decision.tags] + [f"network:{routed.message.network}"]
    session.add_all([ticket, assignment, entry])
    session.add_all([Label(workspace_id=workspace, label=name, rank=2, ticket_id=ticket.id) for name in labels])
    session.add(Search(id=identity.customer_id, workspace_id=workspace, text=identity.name, at=ticket.waiting_since))
    return ticket


async def _loads(session: AsyncSession, workspace: str, team: str) -> Any:
    members = await session.scalars(select(Member).where(Member.workspace_id == workspace, Member.team_id == team))
    made = [Load(workspace_id=workspace, agent_id=member.agent_id, load=0) for member in members]
    session.add_all(made)
    await session.flush()
    return made[0]


def _attach(session: AsyncSession, ticket: Any, message: Message) -> None:
    ticket.last_seq += 1
    ticket.version += 1
    place = {"ticket_id": ticket.id, "seq": ticket.last_seq}
    session.add_all(
        [
            Item(
                id=message.id,
                conversation_id=message.conversation_id,
                direction=message.direction,
                origin=message.origin,
                external_id=message.external_id,
                text=message.text,
                received=True,
                data=msgspec.to_builtins(message),
                occurred_at=message.occurred_at,
                **place,
                **_channel(message),
            ),
            Entry(
                workspace_id=message.workspace_id,
                kind="message",
                actor={"kind": "customer", "id": ticket.customer_id},
                message_id=message.id,
                conversation_id=message.conversation_id,
                moves=True,
                data={},
                **place,
            ),
            Turn(
                message_id=message.id,
                workspace_id=message.workspace_id,
                conversation_id=message.conversation_id,
                **place,
            ),
            Search(id=message.id, workspace_id=message.workspace_id, text=message.text, at=message.received_at),
        ]
    )


def _channel(message: Message) -> dict[str, Any]:
    return {
        "workspace_id": message.workspace_id,
        "channel_id": message.channel_id,
        "network": message.network,
        "kind": message.kind,
    }


async def _emit(session: AsyncSession, ticket: Any, name: str, message: Message, topology: Topology) -> None:
    event = LogEvent(
        shard=topology.shard(TOPIC, ticket.id),
        topic=TOPIC,
        key=ticket.id,
        workspace_id=ticket.workspace_id,
        headers=name.encode(),
        value=msgspec.json.encode({"ticket": {"id": ticket.id, "owner": ticket.owner_id}, "message": message}),
    )
    session.add(event)
    await session.flush()
    session.add(LogQueue(shard=event.shard, event_id=event.id))
