"""One seed: a workspace, a Page, some people, everything that may go wrong, and in the end an audit."""

import asyncio
import contextvars
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from services.router.store import rulesets
from shared.db.appending import decode_headers
from shared.db.pool import Database
from shared.db.scope import Workspace
from shared.events import envelope
from shared.events.catalogue import TICKETS
from shared.events.envelope import Event
from shared.platform import credentials
from shared.platform.models import WorkspaceSettings
from shared.platform.store import agents, channels, keys, teams, workspaces
from tests.simulation import logs
from tests.simulation.actors import Agent
from tests.simulation.audit import audit, leaving, leftovers
from tests.simulation.broker import Broker
from tests.simulation.connections import Connection, Pool
from tests.simulation.database import Postgres
from tests.simulation.loop import CountedIds, VirtualLoop
from tests.simulation.network import PAGE, SECRETS, URL, Network
from tests.simulation.process import RING, Blueprint, Process
from tests.simulation.statements import Fate

HOME: Final = "w1"
CHANNEL: Final = f"chn_{1:032x}"
LIVELY: Final = 12.0
"""Virtual seconds in which people write and things break."""

PATIENCE: Final = 240.0
"""Virtual seconds after which everything must have found its end."""

STAFF: Final = (("ann", "agent", "human"), ("lee", "lead", "human"), ("bot", "bot", "bot"))
SETTINGS: Final = WorkspaceSettings(
    heartbeat=1_000,
    lease_ttl=4_000,
    presence_ttl=3_000,
    idle_release=6_000,
    lease_max=20_000,
    takeover_free_after=2_000,
    takeover_request=1_500,
    queue_wait_alert=30_000,
)
MESSAGES: Final = 6
"""The most that customers write."""

_WEIGHTY: Final = re.compile(
    r"(INSERT INTO|UPDATE|DELETE FROM) (notifier\.(reply|turn|feed|moderation)"
    r"|tickets\.(ticket|reply|lease|turn|entry|message|moderation)"
    r"|ingest\.(inbox|item)|log\.event)"
)
"""Statements around which trouble is worth having; polls, of which there are many, get little."""
_DOUBTFUL: Final = """
SELECT id FROM tickets.reply WHERE state = 'unknown' AND ask_after + interval '20 s' < clock_timestamp() ORDER BY id
"""
"""Of what the network was asked long enough, a person says what became."""
_NOBODY: Final = contextvars.Context()


@dataclass(slots=True, kw_only=True)
class Story:
    """What a seed came to."""

    seed: int
    trace: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    statements: int = 0


class World:
    """Everything of one seed."""

    def __init__(self, seed: int, blueprint: Blueprint, postgres: Postgres) -> None:
        self.story = Story(seed=seed)
        self.postgres = postgres
        self.loop = VirtualLoop(postgres.step, self._unheard)
        self.ids = CountedIds()
        self._blueprint = blueprint
        self._chance = self._dice("chaos")
        self._choice = self._dice("choice")
        self._is_calm = False
        self.is_over = False
        self._processes: list[Process] = []
        self._lives = 0
        self.network = Network(world=self, chance=self._dice("network"), webhook_path=f"/webhooks/facebook/{CHANNEL}")
        self._replicas = 2 if self._chance.random() < 0.25 else 1
        poll = logs.ALONE if self._replicas == 1 else logs.TOGETHER
        self.broker = Broker(self.loop, self._dice("broker")) if self._chance.random() < 0.5 else None
        self._open_log = logs.on_broker(self.broker, poll) if self.broker else logs.on_postgres(poll)
        self._trouble = self._chance.choice((0.0, 0.002, 0.005, 0.01))
        self.agents: list[Agent] = []
        random.seed(seed)

    def _dice(self, name: str) -> random.Random:
        return random.Random(f"{self.story.seed}/{name}")

    def end(self) -> None:
        """Nothing of it runs on: what its tasks say when they are taken apart must not reach the next seed."""
        self.is_over = True
        for process in self._processes:
            process.die()

    # -- what the others ask ------------------------------------------------------------------------------------

    def process(self) -> Process | None:
        """One that answers, whichever."""
        up = [process for process in self._processes if process.is_up]
        return self._choice.choice(up) if up else None

    def tell(self, line: str) -> None:
        """A line of the trace."""
        self.story.trace.append(f"{self.loop.time():9.4f} {line}")

    def blame(self, line: str) -> None:
        """Something that must not be."""
        self.tell(f"FAULT {line}")
        self.story.faults.append(line)

    def history(self) -> list[Event]:
        """What tickets told, in order."""
        if self.broker:
            return self.broker.history(TICKETS)
        rows = self.postgres.rows("SELECT headers, value FROM log.event WHERE topic = $1 ORDER BY id", TICKETS)
        return [envelope.decode(decode_headers(row["headers"]), row["value"]) for row in rows]

    @property
    def groups(self) -> Sequence[tuple[str, str]]:
        """Who consumes what."""
        return self._blueprint.groups

    def backlog(self) -> list[str]:
        """What the broker still holds for somebody."""
        return self.broker.backlog() if self.broker else []

    def _unheard(self, line: str) -> None:
        # What the dead leave behind is nobody's fault, and told only once they are taken apart.
        if not self.is_over:
            self.blame(f"nobody heard of: {line}")

    def check_leaving(self, text: str) -> None:
        """Of a reply that leaves right now."""
        for fault in leaving(self.postgres, text):
            self.blame(fault)

    # -- what a seed does to statements --------------------------------------------------------------------------

    def fate(self, connection: Connection, sql: str, *, commits: bool) -> Fate:
        """Most often nothing."""
        process = connection.owner
        if self._is_calm or process is None or not isinstance(process, Process):
            return Fate()
        roll = self._chance.random()
        delay = self._chance.choice((0.01, 0.2, 2.5)) if roll > 0.97 else 0.0
        if _WEIGHTY.search(sql):
            connection.is_weighty = True
        weight = (12.0 if commits else 4.0) if connection.is_weighty else 0.3
        if roll >= self._trouble * weight:
            return Fate(delay=delay)
        kind = self._chance.choice(("die-before", "die-after", "die-after", "cut-before", "cut-after", "pause"))
        what = " ".join(sql.split())[:50]
        match kind:
            case "die-before":
                return Fate(before=lambda: self._kill(process, f"before {what}"))
            case "die-after":
                return Fate(after=lambda: self._kill(process, f"after {what}"))
            case "cut-before" | "cut-after":
                self.tell(f"{process.name} loses a connection: {kind} {what}")
                return Fate(cut=kind.removeprefix("cut-"))
            case _:
                return Fate(before=lambda: self._pause(process))

    def _kill(self, process: Process, when: str) -> None:
        if process.is_dead:
            return
        self.tell(f"{process.name} dies {when}")
        process.die()
        self._processes.remove(process)
        self.loop.call_later(self._chance.choice((0.05, 1.0, 4.0)), self._start, context=_NOBODY)

    def _pause(self, process: Process) -> None:
        if process.stash is None and not process.is_dead:
            seconds = self._chance.choice((0.5, 3.0, 9.0, 20.0))
            self.tell(f"{process.name} stands still for {seconds} s")
            process.pause(seconds)

    def _start(self) -> None:
        self._lives += 1
        process = Process(
            name=f"p{self._lives}",
            loop=self.loop,
            blueprint=self._blueprint,
            postgres=self.postgres,
            ids=self.ids,
            egress=self.network,
            open_log=self._open_log,
            blame=self.blame,
        )
        self.tell(f"{process.name} starts")
        self._processes.append(process)
        process.start()

    # -- the story ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """From the first message to the audit."""
        await self._prepare()
        self.tell(f"{self._replicas} replicas, {'broker' if self.broker else 'postgres'} log, trouble {self._trouble}")
        for _ in range(self._replicas):
            self._start()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._customers())
            for agent in self.agents:
                group.create_task(agent.work(LIVELY))
        self._is_calm = self.network.is_calm = True
        if self.broker:
            self.broker.is_calm = True
        self.tell("all is calm from now on")
        await self._settle()
        self.story.statements = self.postgres.count
        for fault in audit(self):
            self.blame(fault)

    async def _settle(self) -> None:
        until = self.loop.time() + PATIENCE
        settler = next(agent for agent in self.agents if agent.is_lead)
        while rest := leftovers(self):
            if self.loop.time() > until:
                self.blame(f"it never became quiet: {rest[:5]}")
                return
            await asyncio.sleep(3.0)
            for row in self.postgres.rows(_DOUBTFUL):
                await self._settle_by_hand(settler, row["id"])

    async def _settle_by_hand(self, lead: Agent, reply_id: str) -> None:
        shown = await lead.get(f"/v1/replies/{reply_id}")
        if shown:
            there = [one for one in self.network.taken if one.text == shown["text"]]
            body = {"outcome": "sent", "external_id": there[0].external_id} if there else {"outcome": "failed"}
            await lead.send("POST", f"/v1/replies/{reply_id}/outcome", body)

    async def _customers(self) -> None:
        chance = self._dice("customers")
        people = [f"77{number}" for number in range(chance.randint(1, 2))]
        for number in range(chance.randint(2, MESSAGES)):
            await asyncio.sleep(chance.choice((0.0, 0.01, 0.5, 2.0, 4.0)) if number else 0.1)
            author = chance.choice(people)
            write = self.network.direct if chance.random() < 0.6 else self.network.comment
            item = write(author, f"message {number}")
            self.tell(f"customer {author} writes {item}")
            if chance.random() < 0.15:
                self.loop.call_later(
                    chance.choice((0.1, 1.0, 5.0)), self.network.native, item, author, f"native {number}"
                )

    async def _prepare(self) -> None:
        direct = _Direct(self.postgres)
        database = Database(
            pool=direct,
            lookouts=direct,
            clock=None,
            ids=self.ids,
            topology=self._blueprint.topology,  # type: ignore[arg-type]
        )
        async with database.transaction(Workspace(HOME)) as tx:
            await workspaces.create(tx, HOME, name="Home", settings=SETTINGS)
            team = self._choice.random() < 0.5
            for number, (name, role, kind) in enumerate(STAFF):
                agent_id = self.ids.new("agt")
                capacity = self._choice.choice((0, 1, 5)) if kind == "human" else 0
                await agents.create(tx, HOME, agent_id=agent_id, name=name, kind=kind, role=role, capacity=capacity)  # type: ignore[arg-type]
                if team and kind == "human":
                    for each in ("care", "community"):
                        await teams.add_member(tx, HOME, each, agent_id)
                _, token = await keys.issue(
                    tx,
                    HOME,
                    key_id=self.ids.new("key"),
                    name=name,
                    role=role,  # type: ignore[arg-type]
                    environment="test",
                    agent_id=agent_id,
                    secret=f"{number}".rjust(43, "A"),
                )
                self.agents.append(
                    Agent(
                        world=self,
                        chance=self._dice(name),
                        name=name,
                        id=agent_id,
                        token=token,
                        is_lead=role == "lead",
                        is_bot=kind == "bot",
                    )
                )
            await channels.create(
                tx,
                HOME,
                channel_id=CHANNEL,
                network="facebook",
                name="Page",
                external_id=PAGE,
                purpose="care",
                credentials=credentials.seal(RING, CHANNEL, dict(SECRETS)),
                api_base_url=URL,
            )
            if (dice := self._dice("rules")).random() < 0.5:
                kept = await rulesets.create(tx, HOME, document=speaking(dice), note=None, author="ann")
                await rulesets.activate(tx, HOME, kept.version, author="ann", reason="activate")


def speaking(chance: random.Random) -> dict[str, Any]:
    """Rules that say something of their own to some of the messages: to each once, and some take the turn."""

    def said(how: str, number: int, *, answers: bool) -> dict[str, Any]:
        return {"text": f"{how} to message {number} by the rules", "once_per": "message", "answers": answers}

    rules = []
    for number in range(MESSAGES):
        answers = chance.random() < 0.5
        then = {
            "auto_reply": said("public", number, answers=answers),
            "private_reply": said("private", number, answers=answers),
        }
        if chance.random() < 0.6:
            rules.append({"name": f"rule {number}", "when": {"text": {"phrase": f"message {number}"}}, "then": then})
    return {"fallback": {"team": "community"}, "rules": rules}


class _Direct:
    """The pool that a seed is prepared through: no chance has a say in it."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    def acquire(self, *, timeout: float) -> Any:

        return Pool(self._postgres, 2).acquire(timeout=timeout)
