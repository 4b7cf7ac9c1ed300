"""What the notifier lives between: events of tickets on one side, a network on loopback on the other."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.clock import Clock, SystemClock
from shared.db.appending import decode_headers
from shared.db.pool import Database
from shared.db.scope import Batch, Owner, Scan, Workspace
from shared.egress import AddressPolicy, Egress
from shared.events import envelope, tickets
from shared.events.catalogue import DELIVERIES
from shared.events.envelope import Event
from shared.events.payload import SYSTEM, Actor, Payload
from shared.host import Runtime
from shared.ids import TimeOrderedIds
from shared.platform import credentials
from shared.platform.store import channels, workspaces
from shared.sealing import KeyRing
from shared.settings import KernelSettings
from shared.telemetry.metrics import Metrics
from tests.support.peers import Peer, Server, serving

AT = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
ANN = Actor(kind="agent", id="agt_ann", name="Ann")
BEN = Actor(kind="agent", id="agt_ben", name="Ben")
RING = KeyRing([b"k" * 32])
IDS = TimeOrderedIds()
PAGE_SECRETS = {"app_secret": "s", "verify_token": "v", "access_token": "page-token"}


def ticket(ticket_id: str = "tkt_1", **changes: Any) -> tickets.TicketView:
    """A ticket at some version."""
    fields: dict[str, Any] = {
        "id": ticket_id,
        "state": "open",
        "team": "care",
        "owner": ANN.id,
        "priority": "normal",
        "customer": tickets.CustomerRef(id="cus_1", name="Cleo"),
        "last_seq": 1,
        "version": 1,
    }
    return tickets.TicketView(**(fields | changes))


def happened(
    kind: type[tickets.TicketEvent],
    ticket_id: str = "tkt_1",
    *,
    workspace: str = "w1",
    event_id: str | None = None,
    view: tickets.TicketView | None = None,
    **fields: Any,
) -> Event:
    """An event of a ticket, as tickets publishes it."""
    data = kind(
        workspace_id=workspace,
        ticket=view or ticket(ticket_id),
        actor=fields.pop("actor", SYSTEM),
        at=fields.pop("at", AT),
        **fields,
    )
    return envelope.new(data, event_id=event_id or IDS.new("evt"), key=data.ticket.id, time=AT)


def order(reply_id: str = "rpl_1", **changes: Any) -> tickets.Reply:
    """A reply to direct message `m1` of conversation `cnv_1`, by Ann under fence 1."""
    turns = changes.pop("turns", ("m1",))
    after = changes.pop("after", None)
    fields: dict[str, Any] = {
        "id": reply_id,
        "seq": 2,
        "author": ANN,
        "channel_id": "chn_1",
        "network": "facebook",
        "conversation_id": "cnv_1",
        "text": f"text of {reply_id}",
        "kind": "private",
        "fence": 1,
        "turns": tuple(tickets.Turn(message_id=turn, after=after) for turn in turns),
        "in_reply_to": turns[-1],
        "in_reply_to_external_id": f"ext-{turns[-1]}",
        "correlation_id": f"cor_{reply_id}",
        "recipient_external_id": "psid-1",
        "message_at": SystemClock().now(),
    }
    return tickets.Reply(**(fields | changes))


def queued(reply_id: str = "rpl_1", ticket_id: str = "tkt_1", *, workspace: str = "w1", **changes: Any) -> Event:
    """`reply.queued`."""
    return happened(tickets.ReplyQueued, ticket_id, workspace=workspace, reply=order(reply_id, **changes))


def revoked(fence: int, ticket_id: str = "tkt_1", *, reason: str = "takeover", **more: Any) -> Event:
    """`lease.revoked` of the lease with this fence."""
    lease = tickets.LeaseView(scope="cus_1", holder=ANN, fence=fence, expires_at=AT)
    return happened(tickets.LeaseRevoked, ticket_id, lease=lease, reason=reason, **more)


def answered(message_id: str, *turns: str, ticket_id: str = "tkt_1") -> Event:
    """`answer.detected`: somebody answered in the network's own app."""
    return happened(
        tickets.AnswerDetected, ticket_id, message_id=message_id, conversation_id="cnv_1", turns=turns or ("m1",)
    )


def settled(reply_id: str, state: str, *, by: str = "notifier", ticket_id: str = "tkt_1", **more: Any) -> Event:
    """`reply.settled`."""
    return happened(tickets.ReplySettled, ticket_id, reply_id=reply_id, state=state, settled_by=by, **more)


def echoed(reply_id: str, external_id: str = "mid.echo", ticket_id: str = "tkt_1") -> Event:
    """`echo.matched`."""
    return happened(
        tickets.EchoMatched, ticket_id, reply_id=reply_id, message_id=f"msg_{external_id}", external_id=external_id
    )


@dataclass
class Network:
    """A network on loopback: what it was sent, and what it answers next."""

    port: int = 0
    sent: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    answer: Callable[[Peer, dict[str, Any]], Awaitable[None]] | None = None
    """For what is sent; by default it takes the message and names it `mid.<number>`."""
    listing: list[dict[str, Any]] = field(default_factory=list)
    """What it shows when it is asked about a conversation."""
    changed: list[str] = field(default_factory=list)
    """What it was asked to do to items: method and path."""
    verdicts: list[bytes | None] = field(default_factory=list)
    """What it answers to that instead of success; None: nothing, although it does it."""

    @property
    def texts(self) -> list[str]:
        """The texts that it was sent, in order of arrival."""
        return [body["message"]["text"] for body in self.sent]

    async def behave(self, peer: Peer) -> None:
        """One connection, one request."""
        request = await peer.read_request()
        head, _, raw = request.partition(b"\r\n\r\n")
        if head.startswith(b"GET"):
            self.asked.append(head.split(b" ")[1].decode())
            await peer.send(http(200, {"data": [{"messages": {"data": self.listing}}]}))
            return
        if not raw:
            self.changed.append(" ".join(head.decode().split(" ")[:2]))
            verdict = self.verdicts.pop(0) if self.verdicts else http(200, {"success": True})
            if verdict is not None:
                await peer.send(verdict)
            return
        body = json.loads(raw)
        self.sent.append(body)
        if self.answer:
            await self.answer(peer, body)
        else:
            await peer.send(http(200, {"recipient_id": "psid-1", "message_id": f"mid.{len(self.sent)}"}))


def http(status: int, body: Any, **headers: str) -> bytes:
    """An HTTP response."""
    content = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(content)}", "content-type: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


@dataclass
class World:
    """A runtime of the notifier, and the database behind it."""

    database: Database
    runtime: Runtime
    network: Network

    async def deliver(self, handler: Any, *events: Event) -> None:
        """One batch, as the consumer hands it over."""
        scope = Batch(frozenset(event.workspace_id for event in events))
        async with self.database.transaction(scope, schema="notifier") as tx:
            await handler(tx, events)

    async def told(self, topic: str = DELIVERIES) -> list[Payload]:
        """Everything that was published on a topic, in order."""
        async with self.database.transaction(Scan()) as tx:
            rows = await tx.fetch("SELECT headers, value FROM log.event WHERE topic = $1 ORDER BY id", topic)
        return [envelope.decode(decode_headers(row["headers"]), row["value"]).data for row in rows]

    async def rows(self, sql: str, *arguments: Any) -> Sequence[Any]:
        """What the database holds, seen by its owner."""
        async with self.database.transaction(Owner()) as tx:
            return await tx.fetch(sql, *arguments)

    async def let_pass(self, seconds: float) -> None:
        """Time by the database's clock, for replies: everything that they wait for comes so much nearer."""
        async with self.database.transaction(Owner()) as tx:
            await tx.execute(
                "UPDATE notifier.reply SET due_at = due_at - $1::interval, "
                "claim_deadline = claim_deadline - $1::interval, ask_after = ask_after - $1::interval, "
                "claimed_at = claimed_at - $1::interval, window_until = window_until - $1::interval",
                timedelta(seconds=seconds),
            )
            await tx.execute("UPDATE notifier.ticket SET due_at = due_at - $1::interval", timedelta(seconds=seconds))

    async def states(self) -> dict[str, str]:
        """The state of every reply."""
        return {row["id"]: row["state"] for row in await self.rows("SELECT id, state FROM notifier.reply")}

    async def add_channel(
        self,
        workspace: str = "w1",
        channel_id: str = "chn_1",
        *,
        network: str = "facebook",
        secrets: Mapping[str, str] = PAGE_SECRETS,
    ) -> None:
        """A channel, a Facebook page unless said otherwise, on the loopback network."""
        async with self.database.transaction(Workspace(workspace)) as tx:
            await channels.create(
                tx,
                workspace,
                channel_id=channel_id,
                network=network,
                name="Page",
                external_id=f"page-{channel_id}",
                purpose="care",
                credentials=credentials.seal(RING, channel_id, dict(secrets)),
                api_base_url=f"http://127.0.0.1:{self.network.port}",
            )


def new_runtime(database: Database, egress: Egress, *, clock: Clock | None = None, log: Any = None) -> Runtime:
    """What a process gives to the notifier."""
    return Runtime(
        service="notifier",
        settings=KernelSettings(),
        database=database,
        log=log,
        egress=egress,
        keyring=RING,
        metrics=Metrics(),
        clock=clock or database.clock,
        ids=database.ids,
    )


@asynccontextmanager
async def world(database: Database, *, clock: Clock | None = None, log: Any = None) -> AsyncIterator[World]:
    """Two workspaces, each with a channel, and a network that takes whatever it is sent."""
    network = Network()
    server: Server
    async with (
        Egress(AddressPolicy(allow_private=True)) as egress,
        asyncio.timeout(55),
        serving(network.behave) as server,
    ):
        network.port = server.port
        made = World(database, new_runtime(database, egress, clock=clock, log=log), network)
        for workspace, channel in (("w1", "chn_1"), ("w2", "chn_2")):
            async with database.transaction(Workspace(workspace)) as tx:
                await workspaces.create(tx, workspace, name=workspace)
            await made.add_channel(workspace, channel)
        yield made
