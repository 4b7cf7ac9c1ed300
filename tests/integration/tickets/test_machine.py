"""Whatever people, bots, customers, native apps and the last hop do in whatever order: tickets does what a model says,
both sides agree in the end, no text is lost, and nobody answers a turn twice unknowingly."""

import asyncio
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from services.tickets.domain.lease import FencedOff, LeaseHeld
from services.tickets.domain.reply import ThreadMoved, TurnTaken
from shared.db.transaction import Owner, Workspace, decode_headers
from shared.errors import Refusal
from shared.events import envelope
from shared.events.payload import Payload
from shared.events.tickets import LeaseAcquired, ReplyQueued
from shared.web.auth import Principal
from tests.support.answers import HOME, Answers, agent, bot
from tests.support.floor import Floor, open_floor
from tests.support.last_hop import LastHop
from tests.support.postgres import Server, open_database

SOAK: Final = bool(os.environ.get("BATON_SOAK"))
ANN, BEN, LEA, BOT = agent("agt_ann"), agent("agt_ben"), agent("agt_lea", role="lead"), bot("auto")
ACTORS: Final = [ANN, BEN, LEA, BOT]
CUSTOMERS: Final = itertools.count(1)


@dataclass
class Answer:
    """What a turn was answered with last."""

    id: str
    author: str | None
    seq: int


@dataclass
class Turn:
    """A customer's message."""

    seq: int
    answer: Answer | None = None


@dataclass
class Written:
    """A reply as tickets knows it."""

    author: str
    fence: int
    turns: list[str]
    text: str
    state: str = "queued"


@dataclass
class Model:
    """What must be so."""

    holder: str | None = None
    is_live: bool = False
    fence: int = 0
    owner: str | None = None
    moves: list[tuple[int, str | None]] = field(default_factory=list)
    turns: dict[str, Turn] = field(default_factory=dict)
    written: dict[str, Written] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)

    def taken_by_another(self, who: Principal) -> bool:
        """Whether somebody has the lease whom this one may not push aside."""
        return self.is_live and self.holder != who.id and not self.may_preempt(who)

    def may_preempt(self, who: Principal) -> bool:
        """Humans push bots aside."""
        return self.is_live and self.holder == BOT.id and who.kind == "human"

    def concerned(self, seen: int) -> list[str]:
        """The latest turn, and every open one before it."""
        known = [turn_id for turn_id, turn in self.turns.items() if turn.seq <= seen]
        return [id_ for id_ in known if id_ == known[-1] or self.turns[id_].answer is None]

    def verdict(self, who: Principal, seen: int, fence: int | None, *, override: bool) -> type | None:
        """The refusal that a reply meets, or None."""
        if fence is not None and (fence != self.fence or self.holder != who.id):
            return FencedOff
        if any(seq > seen and author != who.id for seq, author in self.moves):
            return ThreadMoved
        if self.taken_by_another(who) and not override:
            return LeaseHeld
        pushes = self.is_live and self.holder != who.id
        for turn_id in self.concerned(seen):
            answer = self.turns[turn_id].answer
            if answer and who.id not in {self.owner, answer.author} and not override:
                return TurnTaken
            for reply in self.written.values():
                if turn_id not in reply.turns or override:
                    continue
                is_stale = reply.fence < self.fence + pushes
                if reply.state == "unknown" or (reply.state == "queued" and reply.author != who.id and not is_stale):
                    return TurnTaken
        return None


class Machine(RuleBasedStateMachine):
    """One customer's ticket, everybody who touches it, and the last hop."""

    runner: ClassVar[asyncio.Runner]
    floor: ClassVar[Floor]

    @initialize()
    def begin(self) -> None:
        self.name = f"c{next(CUSTOMERS)}"
        self.numbers = itertools.count(1)
        self.answers = Answers(self.floor)
        self.model = Model()
        self.position = 0
        self.fences: list[int] = []
        item = self.run(self.answers.says(f"{self.name}-m0", author=self.name, text="m0"))
        [row] = self.rows("SELECT ticket_id FROM tickets.message WHERE id = $1", item.id)
        self.answers.ticket_id = row["ticket_id"]
        self.rows("UPDATE tickets.ticket SET owner_id = NULL WHERE id = $1", row["ticket_id"])
        self.hop = LastHop(HOME, row["ticket_id"])
        self._arrived(item.id)

    # -- people ---------------------------------------------------------------------------------------------------

    @rule(who=st.sampled_from(ACTORS))
    def take_lease(self, who: Principal) -> None:
        result = self.run(self.answers.lease(who))
        if self.model.taken_by_another(who):
            assert isinstance(result, LeaseHeld)
            assert result.fields["holder"]["id"] == self.model.holder
        else:
            self._got(who, result["fence"])

    @rule(who=st.sampled_from([LEA]))
    def force_takeover(self, who: Principal) -> None:
        self._got(who, self.run(self.answers.take_over(who, mode="force"))["fence"])

    @rule(who=st.sampled_from(ACTORS), lag=st.integers(0, 1))
    def heartbeat(self, who: Principal, lag: int) -> None:
        result = self.run(self.answers.beat(who, max(self.model.fence - lag, 1), active=True))
        is_mine = self.model.is_live and self.model.holder == who.id and self.model.fence - lag == self.model.fence
        assert isinstance(result, dict) == is_mine

    @rule(who=st.sampled_from(ACTORS))
    def release_lease(self, who: Principal) -> None:
        self.release_of(who)

    def release_of(self, who: Principal) -> None:
        result = self.run(self.answers.release(who))
        assert isinstance(result, FencedOff) == (self.model.is_live and self.model.holder != who.id)
        if self.model.holder == who.id:
            self.model.holder, self.model.is_live = None, False

    @rule()
    def let_lease_end(self) -> None:
        self.let_end()

    def let_end(self) -> None:
        self.rows(
            "UPDATE tickets.lease SET expires_at = clock_timestamp() - interval '1 s' WHERE scope = "
            "(SELECT customer_id FROM tickets.ticket WHERE id = $1) AND holder_id IS NOT NULL",
            self.answers.ticket_id,
        )
        self.model.is_live = False

    @rule(who=st.sampled_from([ANN, BEN, None]))
    def give_ticket_to(self, who: Principal | None) -> None:
        self.model.owner = who.id if who else None
        self.rows("UPDATE tickets.ticket SET owner_id = $2 WHERE id = $1", self.answers.ticket_id, self.model.owner)

    @rule(
        who=st.sampled_from(ACTORS),
        misses=st.sampled_from([0, 0, 0, 1, 3]),
        shown=st.sampled_from(["none", "none", "none", "current", "old"]),
        override=st.booleans(),
    )
    def answer(self, who: Principal, misses: int, shown: str, override: bool) -> None:  # noqa: FBT001
        self.answer_of(who, misses=misses, shown=shown, override=override and who is LEA)

    @rule(
        who=st.sampled_from(ACTORS),
        meanwhile=st.sampled_from(["customer", "native", "colleague", "sent", "failed", "unknown"]),
    )
    def answer_across(self, who: Principal, meanwhile: str) -> None:
        """Something happens between reading and writing."""
        seen = self._last_seq()
        match meanwhile:
            case "customer":
                self.writes()
            case "native":
                self.native()
            case "colleague":
                self.answer_of(LEA, override=True)
            case _:
                self.drain(meanwhile)
        self.answer_of(who, seen=seen)

    def answer_of(
        self, who: Principal, *, seen: int | None = None, misses: int = 0, shown: str = "none", override: bool = False
    ) -> None:
        last = seen or self._last_seq()
        seen = max(last - misses, 1)
        fence = {"none": None, "current": self.model.fence or None, "old": max(self.model.fence - 1, 1)}[shown]
        text = f"{self.name} text {next(self.numbers)}"
        expected = self.model.verdict(who, seen, fence, override=override)
        result = self.run(self.answers.write(who, text, seen=seen, fence=fence, override=override))
        if expected is not None:
            assert type(result) is expected
            self.model.kept.add(text)
            return
        assert not isinstance(result, Refusal), result
        is_own = self.model.holder == who.id
        turns = self.model.concerned(seen)
        assert self._queued(result["id"]) == {id_: self._after(id_, seen) for id_ in turns}
        self._got(who, result["fence"], may_keep=is_own)
        self.model.written[result["id"]] = Written(author=who.id, fence=result["fence"], turns=turns, text=text)

    @rule(who=st.sampled_from([ANN, BEN]), then=st.sampled_from(["keeps", "releases", "is late"]))
    def answer_all(self, who: Principal, then: str) -> None:
        """The plain case, often: somebody who has seen everything."""
        self.answer_of(who)
        if then == "releases":
            self.release_of(who)
        elif then == "is late":
            self.let_end()

    @precondition(lambda self: self.model.written)
    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        reply_id = data.draw(st.sampled_from(sorted(self.model.written)))
        result = self.run(self.answers.cancel(LEA, reply_id))
        assert isinstance(result, dict) == (self.model.written[reply_id].state == "queued")

    @precondition(lambda self: any(reply.state == "unknown" for reply in self.model.written.values()))
    @rule(data=st.data(), was_sent=st.booleans())
    def settle(self, data: st.DataObject, was_sent: bool) -> None:  # noqa: FBT001
        unknown = sorted(id_ for id_, reply in self.model.written.items() if reply.state == "unknown")
        reply_id = data.draw(st.sampled_from(unknown))
        self.run(self.answers.settle(LEA, reply_id, was_sent=was_sent))
        self._ended(reply_id, "sent" if was_sent else "failed")

    # -- the network ----------------------------------------------------------------------------------------------

    @rule()
    def customer_writes(self) -> None:
        self.writes()

    def writes(self) -> None:
        number = next(self.numbers)
        item = self.run(self.answers.says(f"{self.name}-m{number}", author=self.name, text=f"m{number}"))
        self._arrived(item.id)

    @rule()
    def native_answer(self) -> None:
        self.native()

    def native(self) -> None:
        number = next(self.numbers)
        event = self.answers.shows(f"{self.name}-n{number}", text=f"native {number}", customer=self.name)
        self.run(self.floor.deliver(event))
        [line] = self.rows("SELECT seq FROM tickets.entry WHERE message_id = $1 AND kind = 'native'", self._id(event))
        self.model.moves.append((line["seq"], None))
        for turn in self.model.turns.values():
            turn.answer = turn.answer or Answer(self._id(event), None, line["seq"])
        if self.model.is_live:
            self.model.holder, self.model.is_live = None, False
            [[_, fence, _]], _, _ = self.run(self._look())
            assert fence > self.model.fence
            self.model.fence = fence

    # -- the last hop -----------------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 4))
    def last_hop_reads(self, count: int) -> None:
        self.read(self._unread()[:count])

    def read(self, events: Sequence[Payload]) -> None:
        for event in events:
            self.position += 1
            self.hop.read(event)

    @rule(outcome=st.sampled_from(["sent", "sent", "failed", "unknown", "sending"]))
    def last_hop_sends(self, outcome: str) -> None:
        reply_id = self.hop.claim()
        if reply_id and outcome != "sending":
            self.hop.conclude(reply_id, outcome)

    @precondition(lambda self: "sending" in self.hop.states.values())
    @rule(outcome=st.sampled_from(["sent", "failed", "unknown"]))
    def last_hop_hears(self, outcome: str) -> None:
        reply_id = next(id_ for id_, state in self.hop.states.items() if state == "sending")
        self.hop.conclude(reply_id, outcome)

    @precondition(lambda self: self.hop.news)
    @rule(count=st.integers(1, 3), twice=st.booleans())
    def tickets_hears(self, count: int, twice: bool) -> None:  # noqa: FBT001
        self.hear(count, twice=twice)

    @rule(outcome=st.sampled_from(["sent", "failed", "unknown"]))
    def everything_comes_to_rest(self, outcome: str) -> None:
        self.drain(outcome)

    def hear(self, count: int, *, twice: bool = False) -> None:
        news, self.hop.news = self.hop.news[:count], self.hop.news[count:]
        self.run(self.answers.notify(*news))
        if twice:
            self.run(self.answers.notify(*news))
        for payload in news:
            self._ended(payload.reply_id, type(payload).__name__.removeprefix("Reply").lower())

    # -- what always holds ------------------------------------------------------------------------------------------

    @invariant()
    def tickets_does_what_the_model_says(self) -> None:
        lease, turns, kept = self.run(self._look())
        if lease:
            live = self.model.holder is not None and self.model.is_live
            assert tuple(lease[0]) == (self.model.holder, self.model.fence, live)
        assert dict(turns) == {id_: turn.answer.id if turn.answer else None for id_, turn in self.model.turns.items()}
        assert sorted(text for (text,) in kept) == sorted(self.model.kept)

    def teardown(self) -> None:
        if not hasattr(self, "hop"):
            return
        self.drain()
        assert {id_: latest[0] for id_, latest in self.hop.latest.items()} == {
            id_: turn.answer.id for id_, turn in self.model.turns.items() if turn.answer
        }
        assert {id_: reply.state for id_, reply in self.model.written.items()} == self.hop.states
        self._check_answers()
        acquired = [event.lease.fence for event in self._events() if isinstance(event, LeaseAcquired)]
        assert acquired == sorted(set(acquired))

    def drain(self, outcome: str = "sent") -> None:
        for _ in range(100):
            reply_id = next((id_ for id_, state in self.hop.states.items() if state == "sending"), None)
            if self.hop.news:
                self.hear(3)
            elif unread := self._unread():
                self.read(unread)
            elif reply_id or (reply_id := self.hop.claim()):
                self.hop.conclude(reply_id, outcome)
            elif not self.hop.news:
                return
        raise AssertionError("it never comes to rest")

    def _check_answers(self) -> None:
        answered: dict[str, list[tuple[str, str]]] = {}
        for turn_id, author, reply_id in self.hop.left:
            before = answered.setdefault(turn_id, [])
            reply = self.hop.replies[reply_id]
            [turn] = [turn for turn in reply.turns if turn.message_id == turn_id]
            others = [earlier for earlier, writer in before if writer != author]
            # A second writer knew the answer before, or overrode.
            assert not others or reply.override or turn.after is not None or before[-1][1] == author
            before.append((reply_id, author))

    # -- helpers ----------------------------------------------------------------------------------------------------

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    def rows(self, sql: str, *arguments: Any) -> list[dict[str, Any]]:
        return self.run(self.floor.rows(sql, *arguments))

    def _id(self, event: Any) -> str:
        return str(event.data.message.id)

    def _last_seq(self) -> int:
        return int(self.run(self.answers.last_seq()))

    def _arrived(self, message_id: str) -> None:
        [row] = self.rows("SELECT seq FROM tickets.turn WHERE message_id = $1", message_id)
        self.model.turns[message_id] = Turn(seq=row["seq"])
        self.model.moves.append((row["seq"], None))

    def _got(self, who: Principal, fence: int, *, may_keep: bool = True) -> None:
        kept = may_keep and self.model.is_live and self.model.holder == who.id
        assert fence == self.model.fence if kept else fence > self.model.fence
        self.model.holder, self.model.is_live, self.model.fence = who.id, True, fence

    def _after(self, turn_id: str, seen: int) -> str | None:
        answer = self.model.turns[turn_id].answer
        return answer.id if answer and answer.seq <= seen else None

    def _queued(self, reply_id: str) -> dict[str, str | None]:
        [order] = [
            event.reply for event in self._events() if isinstance(event, ReplyQueued) and event.reply.id == reply_id
        ]
        return {turn.message_id: turn.after for turn in order.turns}

    def _ended(self, reply_id: str, outcome: str) -> None:
        reply = self.model.written[reply_id]
        if reply.state not in {"queued", "unknown"} or (reply.state == "unknown" and outcome in {"held", "unknown"}):
            return
        reply.state = outcome
        if outcome in {"failed", "held"}:
            self.model.kept.add(reply.text)
        if outcome == "sent":
            [line] = self.rows("SELECT seq FROM tickets.entry WHERE reply_id = $1 AND kind = 'answer'", reply_id)
            self.model.moves.append((line["seq"], reply.author))
            for turn_id in reply.turns:
                self.model.turns[turn_id].answer = Answer(reply_id, reply.author, line["seq"])

    def _events(self) -> list[Payload]:
        return self.run(self._read_events())

    def _unread(self) -> list[Payload]:
        return self._events()[self.position :]

    async def _look(self) -> Any:
        ticket_id = self.answers.ticket_id
        async with self.floor.database.transaction(Workspace(HOME)) as tx:
            lease = await tx.fetch(
                "SELECT holder_id, fence, holder_id IS NOT NULL AND expires_at > clock_timestamp() FROM tickets.lease "
                "WHERE scope = (SELECT customer_id FROM tickets.ticket WHERE id = $1)",
                ticket_id,
            )
            turns = await tx.fetch("SELECT message_id, answer_id FROM tickets.turn WHERE ticket_id = $1", ticket_id)
            return lease, turns, await tx.fetch("SELECT text FROM tickets.draft WHERE ticket_id = $1", ticket_id)

    async def _read_events(self) -> list[Payload]:
        async with self.floor.database.transaction(Owner()) as tx:
            rows = await tx.fetch(
                "SELECT headers, value FROM log.event WHERE topic = 'baton.tickets.v1' AND key = $1 ORDER BY id",
                self.answers.ticket_id,
            )
        return [envelope.decode(decode_headers(row["headers"]), row["value"]).data for row in rows]


@pytest.fixture
def machine(server: Server, server_dsn: str) -> Iterator[type[Machine]]:
    with server.database() as dsn, asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def enter() -> Floor:
            database = await stack.enter_async_context(open_database(dsn, size=4))
            return await stack.enter_async_context(open_floor(database))

        Machine.runner, Machine.floor = runner, runner.run(enter())
        yield Machine
        runner.run(stack.aclose())


@pytest.mark.timeout(1800 if SOAK else 60)
def test_tickets_does_what_the_model_says(machine: type[Machine]) -> None:
    chosen = settings(
        max_examples=400 if SOAK else 70,
        stateful_step_count=60 if SOAK else 30,
        deadline=None,
        derandomize=not SOAK,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=chosen)
