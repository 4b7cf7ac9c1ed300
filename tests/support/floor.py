"""Two workspaces with teams and agents, and what happens to their tickets: for tests of who owns what."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from services.tickets.handlers import routed as routing
from services.tickets.handlers.ledger import Desk
from shared import ids
from shared.db.pool import Database
from shared.db.scope import Batch, Workspace
from shared.db.transaction import Transaction
from shared.errors import BatonError, Retryable
from shared.events import envelope
from shared.events.envelope import Event
from shared.events.messages import Message
from shared.events.routing import Chain, Decision, MessageRouted, TicketRouted
from shared.platform.models import WorkspaceSettings
from shared.platform.scopes import ROLES, Role
from shared.platform.store import agents, teams, workspaces
from shared.telemetry.metrics import Metrics
from shared.web.auth import Principal
from tests.support.messages import AT, message

T = TypeVar("T")

HOME: Final = "wsp_1"
OTHER: Final = "wsp_2"


@dataclass(slots=True)
class Floor:
    """Both workspaces, and the doors to them; where a test names none, it is at home."""

    database: Database
    desk: Desk
    home: str = HOME

    @property
    def elsewhere(self) -> "Floor":
        """The same floor for somebody who is at home in the other workspace."""
        return replace(self, home=OTHER if self.home == HOME else HOME)

    def agent(self, agent_id: str, *, role: Role = "agent") -> Principal:
        """The principal of an agent of this workspace."""
        return agent(agent_id, workspace=self.home, role=role)

    def message(self, external_id: str = "m1", **changes: Any) -> Message:
        """What a customer writes to this workspace: in the other one, the same has another channel and another id."""
        return message(external_id, workspace=self.home, channel=f"chn_{self.home}", **changes)

    async def add_agent(
        self,
        name: str,
        *,
        workspace: str | None = None,
        team: str | None = "care",
        capacity: int = 50,
        availability: str = "available",
    ) -> str:
        """An agent `agt_<workspace>_<name>`, in a team."""
        workspace = workspace or self.home
        agent_id = f"agt_{workspace}_{name}"
        async with self.database.transaction(Workspace(workspace)) as tx:
            await agents.create(
                tx, workspace, agent_id=agent_id, name=name.title(), capacity=capacity, availability=availability
            )
            if team is not None:
                await teams.add_member(tx, workspace, team, agent_id)
        return agent_id

    async def add_team(self, team: str, *, workspace: str | None = None, seconds: int | None = None) -> None:
        """A team; with `seconds`, its offers must be accepted within so long."""
        workspace = workspace or self.home
        async with self.database.transaction(Workspace(workspace)) as tx:
            await teams.create(
                tx,
                workspace,
                team_id=team,
                name=team.title(),
                requires_acceptance=seconds is not None,
                offer_seconds=seconds or 120,
            )

    async def deliver(self, *events: Event) -> None:
        """Applies routed events as the consumer does: one batch, tried again while it is worth it."""
        for _ in range(20):
            try:
                scope = Batch(frozenset(event.workspace_id for event in events))
                async with self.database.transaction(scope, schema="tickets") as tx:
                    await routing.on_routed(tx, events, desk=self.desk)
            except Retryable:
                await asyncio.sleep(0.01)
            else:
                return
        raise AssertionError("the batch was never applied")

    async def act(self, work: Callable[[Transaction], Awaitable[T]], *, workspace: str | None = None) -> T:
        """One request's transaction."""
        async with self.database.transaction(Workspace(workspace or self.home), schema="tickets") as tx:
            return await work(tx)

    async def attempt(self, work: Callable[[Transaction], Awaitable[Any]], *, workspace: str | None = None) -> Any:
        """What a request came to, refusals included."""
        try:
            return await self.act(work, workspace=workspace)
        except BatonError as refusal:
            return refusal

    async def rows(self, sql: str, *arguments: Any, workspace: str | None = None) -> list[dict[str, Any]]:
        """What is stored in one workspace."""
        async with self.database.transaction(Workspace(workspace or self.home)) as tx:
            return [dict(row) for row in await tx.fetch(sql, *arguments)]

    async def ticket(self, *, workspace: str | None = None) -> dict[str, Any]:
        """The only ticket."""
        [row] = await self.rows("SELECT * FROM tickets.ticket", workspace=workspace)
        return row

    async def told(self, *, workspace: str | None = None) -> list[str]:
        """The types of the events on the tickets' topic, in order."""
        return [event.type for event in await self.events(workspace=workspace)]

    async def events(self, *, workspace: str | None = None) -> list[Event]:
        """The events on the tickets' topic, in order."""
        from shared.db.appending import decode_headers
        from shared.db.scope import Owner

        async with self.database.transaction(Owner()) as tx:
            rows = await tx.fetch(
                "SELECT headers, value FROM log.event WHERE topic = 'baton.tickets.v1' AND workspace_id = $1 ORDER BY id",
                workspace or self.home,
            )
        return [envelope.decode(decode_headers(row["headers"]), row["value"]) for row in rows]

    async def check_books(self, *, workspace: str | None = None) -> None:
        """Loads are what tickets say, each ticket has at most one current assignment, and it says who owns it."""
        loads = await self.rows(
            """
            SELECT l.agent_id, l.load, count(t.id) AS held FROM tickets.agent_load l
            LEFT JOIN tickets.assignment a ON a.agent_id = l.agent_id AND a.ended_at IS NULL
            LEFT JOIN tickets.ticket t ON t.id = a.ticket_id AND t.state IN ('open', 'pending', 'snoozed')
            GROUP BY l.agent_id, l.load
            """,
            workspace=workspace,
        )
        assert [(row["agent_id"], row["load"]) for row in loads] == [(row["agent_id"], row["held"]) for row in loads]
        odd = await self.rows(
            """
            SELECT t.id, t.owner_id, t.offer_id, a.state, a.agent_id FROM tickets.ticket t
            LEFT JOIN tickets.assignment a ON a.ticket_id = t.id AND a.ended_at IS NULL
            WHERE t.state IN ('open', 'pending', 'snoozed') AND NOT coalesce(CASE a.state
                WHEN 'accepted' THEN t.owner_id = a.agent_id AND t.offer_id IS NULL
                WHEN 'offered' THEN t.owner_id IS NULL AND t.offer_id = a.id
                WHEN 'queued' THEN t.owner_id IS NULL AND t.offer_id IS NULL END, false)
            """,
            workspace=workspace,
        )
        assert odd == []
        gaps = await self.rows(
            """
            SELECT t.id, t.last_seq, count(e.seq) AS lines, max(e.seq) AS highest FROM tickets.ticket t
            LEFT JOIN tickets.entry e ON e.ticket_id = t.id GROUP BY t.id, t.last_seq
            HAVING count(e.seq) <> t.last_seq OR max(e.seq) <> t.last_seq
            """,
            workspace=workspace,
        )
        assert gaps == []


@asynccontextmanager
async def open_floor(database: Database) -> AsyncIterator[Floor]:
    """Both workspaces, with the same teams."""
    for workspace in (HOME, OTHER):
        async with database.transaction(Workspace(workspace)) as tx:
            await workspaces.create(tx, workspace, name=workspace, settings=WorkspaceSettings())
    yield Floor(database, Desk(ids=database.ids, metrics=Metrics()))


async def at_once(works: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """All of them at the same moment, each on a connection of its own."""
    barrier = asyncio.Barrier(len(works))

    async def one(work: Callable[[], Awaitable[T]]) -> T:
        await barrier.wait()
        return await work()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(work)) for work in works]
    return [task.result() for task in tasks]


def agent(
    agent_id: str, *, workspace: str = HOME, role: Role = "agent", only: Iterable[str] | None = None
) -> Principal:
    """The principal of an agent."""
    return Principal(
        workspace_id=workspace,
        key_id=f"key_{agent_id}",
        agent_id=agent_id,
        name=agent_id.rsplit("_", 1)[-1].title(),
        kind="human",
        role=role,
        scopes=ROLES[role],
        teams=None if only is None else frozenset(only),
    )


def routed(given: Message, *, verb: str = "received", version: str = "", event: str = "", **decided: Any) -> Event:
    """`message.routed`; an arriving item is decided for the team `care` unless the test says otherwise."""
    event_id = ids.digest("evt", given.id, verb, version, given.text or "", event)
    reaction, reason = decided.pop("reaction", None), decided.pop("reason", None)
    decision = None
    if verb == "received" and given.direction == "in":
        fields = {"outcome": "route", "rule": "all", "ruleset_version": 1, "team": "care"} | decided
        decision = Decision(id=ids.digest("dec", event_id), **fields)
    data = MessageRouted(
        workspace_id=given.workspace_id,
        verb=verb,
        event_id=event_id,
        message=given,
        provider_version=version,
        reaction=reaction,
        decision=decision,
        reason=reason,
    )
    key = f"{given.workspace_id}:{given.channel_id}:{given.conversation_id}"
    return envelope.new(data, event_id=ids.digest("evt", "routed", event_id), key=key, time=AT)


def triggered(ticket: dict[str, Any], *, version: int | None = None, event: str = "", **fields: Any) -> Event:
    """`ticket.routed` about a ticket as it is stored; what else the event says comes by name."""
    decided = {name: fields.pop(name) for name in ("tags", "priority", "flags", "moderation") if name in fields}
    event_id = ids.digest("evt", "ticket-routed", ticket["id"], str(ticket["version"]), event)
    decision = Decision(
        id=ids.digest("dec", event_id),
        outcome="route",
        rule="rule",
        ruleset_version=1,
        **({"priority": "low"} | decided),
    )
    data = TicketRouted(
        workspace_id=ticket["workspace_id"],
        ticket_id=ticket["id"],
        ticket_version=ticket["version"] if version is None else version,
        decision=decision,
        **({"trigger": "ticket.changed", "chain": Chain(hops=1, rules=("rule",))} | fields),
    )
    return envelope.new(data, event_id=event_id, key=ticket["id"], time=AT)


__all__ = ["AT", "HOME", "OTHER", "Floor", "agent", "at_once", "message", "open_floor", "routed", "triggered"]
