"""Answers on a floor of two workspaces: writers, what the notifier says of replies, and what networks show."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from services.tickets.domain.reply import Order
from services.tickets.handlers import deliveries, lease, reply
from shared import ids
from shared.db.scope import Batch, Workspace
from shared.db.transaction import Transaction
from shared.errors import Refusal, Retryable
from shared.events import envelope
from shared.events.deliveries import ReplyFailed, ReplyHeld, ReplySent, ReplyUnknown
from shared.events.envelope import Event
from shared.events.messages import Author, Message
from shared.events.payload import Payload
from shared.platform.models import WorkspaceSettings, changed
from shared.platform.scopes import ROLES
from shared.platform.store import workspaces
from shared.web.auth import Principal
from tests.support.floor import AT, HOME, Floor, agent, message, routed

Work = Callable[[Transaction], Awaitable[Any]]

_AGE_LEASES: Final = """
UPDATE tickets.lease SET acquired_at = acquired_at - $1::interval, active_at = active_at - $1::interval,
    expires_at = expires_at - $1::interval, hard_until = hard_until - $1::interval,
    wanted_until = wanted_until - $1::interval
"""
_AGE_PRESENCE: Final = "UPDATE tickets.presence SET expires_at = expires_at - $1::interval"


@dataclass(slots=True)
class Answers:
    """Somebody waits for an answer in one workspace, and perhaps the same in the other one."""

    floor: Floor
    ticket_id: str = ""
    customer_id: str = ""
    told_before: int = 0
    network: str = "api"
    """The generic one takes answers for ever."""
    elsewhere: "Answers" = field(init=False, repr=False, compare=False)
    """The same in the other workspace, after `open_both`."""
    heart: lease.Heart = field(init=False)
    _counter: int = field(default=0)

    def __post_init__(self) -> None:
        self.heart = lease.Heart(self.floor.database, self.floor.desk)

    async def open(self, **fields: Any) -> "Answers":
        """A customer's first message."""
        await self.says("m1", **fields)
        ticket = await self.floor.ticket()
        self.ticket_id, self.customer_id = ticket["id"], ticket["customer_id"]
        await self.mark()
        return self

    async def open_both(self, **fields: Any) -> "Answers":
        """A customer's first message, to both workspaces."""
        self.elsewhere = await replace(self, floor=self.floor.elsewhere).open(**fields)
        return await self.open(**fields)

    def here(self, who: Principal) -> Principal:
        """Whoever tests know by a name alone is at home where the story is told."""
        return replace(who, workspace_id=self.floor.home) if who.workspace_id == HOME else who

    async def says(self, external_id: str, *, workspace: str | None = None, **fields: Any) -> Message:
        """The customer writes."""
        workspace = workspace or self.floor.home
        self._counter += 1
        given = {"network": self.network, "occurred_at": AT + timedelta(seconds=self._counter)} | fields
        item = message(external_id, workspace=workspace, channel=f"chn_{workspace}", **given)
        await self.floor.deliver(routed(item))
        return item

    def shows(self, external_id: str, *, text: str, **fields: Any) -> Event:
        """An item that the brand wrote, as the network shows it: an echo, or a native answer."""
        self._counter += 1
        said = {name: fields.pop(name) for name in ("verb", "reason") if name in fields}
        conversation = ids.digest("cnv", f"chn_{self.floor.home}", fields.pop("customer", "c1"))
        given = {
            "network": self.network,
            "direction": "out",
            "origin": "native",
            "author": None,
            "conversation_id": conversation,
            "occurred_at": AT + timedelta(seconds=self._counter),
            "text": text,
        } | fields
        return routed(self.floor.message(external_id, **given), **said)

    async def act(self, who: Principal, work: Work) -> Any:
        """One request as the HTTP face runs it: a refusal that keeps its effects is committed, then raised."""
        return await retried(lambda: self._once(who, work))

    async def attempt(self, who: Principal, work: Work) -> Any:
        """What a request came to, refusals included."""
        try:
            return await self.act(who, work)
        except Refusal as refusal:
            return refusal

    async def lease(self, who: Principal, *, ticket: str | None = None, session: str | None = None) -> Any:
        """Tries to take the lease."""
        who, desk, ticket_id = self.here(who), self.floor.desk, ticket or self.ticket_id
        return await self.attempt(who, lambda tx: lease.acquire(tx, desk, who, ticket_id, session=session))

    async def beat(self, who: Principal, fence: int, *, active: bool = False, ticket: str | None = None) -> Any:
        """A heartbeat, as the HTTP face runs it."""
        who, desk, ticket_id = self.here(who), self.floor.desk, ticket or self.ticket_id
        if kept := await self.heart.beat(who, ticket_id, fence=fence, active=active):
            return kept
        return await self.attempt(who, lambda tx: lease.heartbeat(tx, desk, who, ticket_id, fence=fence, active=active))

    async def release(self, who: Principal, *, fence: int | None = None, ticket: str | None = None) -> Any:
        """Gives the lease back."""
        who, desk, ticket_id = self.here(who), self.floor.desk, ticket or self.ticket_id
        return await self.attempt(who, lambda tx: lease.release(tx, desk, who, ticket_id, fence=fence))

    async def take_over(self, who: Principal, *, mode: Any = "auto", ticket: str | None = None) -> Any:
        """A takeover."""
        who, desk, ticket_id = self.here(who), self.floor.desk, ticket or self.ticket_id
        return await self.attempt(who, lambda tx: lease.take_over(tx, desk, who, ticket_id, mode=mode, session=None))

    async def write(
        self, who: Principal, text: str = "Hi", *, ticket: str | None = None, seen: int | None = None, **fields: Any
    ) -> Any:
        """An answer by somebody who has seen everything, unless the test says how much."""
        who, desk, ticket_id = self.here(who), self.floor.desk, ticket or self.ticket_id
        seen_seq = await self.last_seq(ticket_id) if seen is None else seen
        order = Order(text=text, seen_seq=seen_seq, **fields)
        return await self.attempt(who, lambda tx: reply.submit(tx, desk, who, ticket_id, order))

    async def cancel(self, who: Principal, reply_id: str) -> Any:
        """Takes an answer back."""
        who, desk = self.here(who), self.floor.desk
        return await self.attempt(who, lambda tx: reply.cancel(tx, desk, who, reply_id))

    async def settle(self, who: Principal, reply_id: str, *, was_sent: bool, external_id: str | None = None) -> Any:
        """A person says what became of an answer."""
        who, desk = self.here(who), self.floor.desk
        return await self.attempt(
            who, lambda tx: reply.settle(tx, desk, who, reply_id, was_sent=was_sent, external_id=external_id)
        )

    async def sent(self, reply_id: str, external_id: str | None = "x1") -> None:
        """The notifier sent it."""
        await self.notify(ReplySent(**self._about(reply_id), external_id=external_id))

    async def failed(self, reply_id: str) -> None:
        """The network refused it."""
        await self.notify(ReplyFailed(**self._about(reply_id), reason="spam", code="9"))

    async def held(self, reply_id: str, reason: Any = "turn-taken") -> None:
        """The notifier stopped it."""
        await self.notify(ReplyHeld(**self._about(reply_id), reason=reason))

    async def lost(self, reply_id: str, *, ask_after: datetime | None = None) -> None:
        """Nobody knows whether it left."""
        after = ask_after or datetime(2020, 1, 1, tzinfo=UTC)
        await self.notify(ReplyUnknown(**self._about(reply_id), reason="timeout", ask_after=after))

    async def notify(self, *payloads: Payload) -> None:
        """Applies delivery events as the consumer does."""
        events = [
            envelope.new(payload, event_id=ids.digest("evt", repr(payload)), key=self.ticket_id, time=AT)
            for payload in payloads
        ]
        await retried(lambda: self._apply(events))

    async def choose(self, **settings: Any) -> None:
        """Changes settings of the workspace, shorter than its API would take."""
        workspace = self.floor.home
        async with self.floor.database.transaction(Workspace(workspace)) as tx:
            before = await workspaces.settings(tx, workspace)
            chosen = changed(before, {"lease_scope": settings.pop("lease_scope", before.lease_scope)})
            values = {name: getattr(chosen, name) for name in WorkspaceSettings.__struct_fields__} | settings
            await tx.execute("UPDATE platform.workspace SET settings = $2 WHERE workspace_id = $1", workspace, values)

    async def own(self, owner: str | None) -> None:
        """From now on this one owns the workspace's tickets."""
        await self.floor.rows("UPDATE tickets.ticket SET owner_id = $1", owner)

    async def age(self, seconds: float) -> None:
        """Lets so much time pass for leases and presence, by moving them into the past."""
        for sql in (_AGE_LEASES, _AGE_PRESENCE):
            await self.floor.rows(sql, timedelta(seconds=seconds))

    async def last_seq(self, ticket_id: str | None = None) -> int:
        """The ticket's last line."""
        [row] = await self.floor.rows("SELECT last_seq FROM tickets.ticket WHERE id = $1", ticket_id or self.ticket_id)
        return int(row["last_seq"])

    async def state(self, reply_id: str) -> str:
        """A reply's state."""
        [row] = await self.floor.rows("SELECT state FROM tickets.reply WHERE id = $1", reply_id)
        return str(row["state"])

    async def drafts(self, *, reason: str | None = None) -> list[dict[str, Any]]:
        """Kept texts."""
        return await self.floor.rows(
            "SELECT * FROM tickets.draft WHERE $1::text IS NULL OR reason = $1 ORDER BY created_at, id", reason
        )

    async def ledger(self) -> list[tuple[str, str]]:
        """Outcome and kind of every second answer, in order."""
        rows = await self.floor.rows("SELECT outcome, kind FROM tickets.collision ORDER BY id")
        return [(row["outcome"], row["kind"]) for row in rows]

    async def turns(self) -> dict[str, str | None]:
        """By the customer's words: who answered."""
        rows = await self.floor.rows(
            "SELECT m.text, t.answer_id FROM tickets.turn t JOIN tickets.message m ON m.id = t.message_id ORDER BY t.seq"
        )
        return {row["text"]: row["answer_id"] for row in rows}

    async def mark(self) -> None:
        """From here on `told` begins anew."""
        self.told_before = len(await self.floor.events())

    async def told(self) -> list[str]:
        """What was told since the mark, in order, without versions."""
        return [event.type.removesuffix(".v1") for event in await self.heard()]

    async def heard(self) -> list[Event]:
        """The events since the mark."""
        return (await self.floor.events())[self.told_before :]

    async def _once(self, who: Principal, work: Work) -> Any:
        kept: Refusal | None = None
        result: Any = None
        scope = Workspace(self.here(who).workspace_id)
        async with self.floor.database.transaction(scope, schema="tickets") as tx:
            try:
                result = await work(tx)
            except Refusal as refusal:
                if not refusal.keeps_effects:
                    raise
                kept = refusal
        if kept is not None:
            raise kept
        return result

    async def _apply(self, events: list[Event]) -> None:
        scope = Batch(frozenset(event.workspace_id for event in events))
        async with self.floor.database.transaction(scope, schema="tickets") as tx:
            await deliveries.on_delivery(tx, events, desk=self.floor.desk)

    def _about(self, reply_id: str) -> dict[str, Any]:
        return {"workspace_id": self.floor.home, "ticket_id": self.ticket_id, "reply_id": reply_id, "at": AT}


async def retried(work: Callable[[], Awaitable[Any]]) -> Any:
    """Does it again while the database only asks for patience."""
    for _ in range(20):
        try:
            return await work()
        except Retryable:
            await asyncio.sleep(0.01)
    raise AssertionError("it never came through")


def bot(name: str) -> Principal:
    """A bot with its own key."""
    return Principal(
        workspace_id=HOME,
        key_id=f"key_{name}",
        agent_id=f"agt_{name}",
        name=name,
        kind="bot",
        role="bot",
        scopes=ROLES["bot"],
        teams=None,
    )


__all__ = ["HOME", "Answers", "Author", "agent", "bot"]
