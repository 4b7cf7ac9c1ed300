"""Whatever people, bots, customers, native apps and the last hop do in whatever order: tickets does what a model says,
both sides agree in the end, no text is lost, nobody answers a turn twice unknowingly, and no other workspace notices."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from shared.events.tickets import LeaseAcquired
from shared.platform.models import LeaseScope
from shared.web.auth import Principal
from tests.support.answers import Answers
from tests.support.expectations import DURATIONS
from tests.support.floor import Floor, open_floor
from tests.support.postgres import Server, open_database
from tests.support.rehearsal import ACTORS, ANN, BEN, BOT, LEA, Rehearsal

SOAK: Final = bool(os.environ.get("BATON_SOAK"))
PLACES: Final = st.sampled_from(["main", "main", "elder"])
WHO: Final = st.sampled_from(ACTORS)


class Machine(Rehearsal):
    """What may happen, and what then always holds."""

    @initialize()
    def begin(self) -> None:
        self.open()

    # -- people ---------------------------------------------------------------------------------------------------

    @rule(who=WHO, place=PLACES, session=st.sampled_from([None, "a", "b"]))
    def acquires(self, who: Principal, place: str, session: str | None) -> None:
        self.lease(who, place, session)

    @rule(who=WHO, place=PLACES)
    def asks_for_takeover(self, who: Principal, place: str) -> None:
        self.take_over(who, place, forced=False)

    @rule(who=st.sampled_from([LEA, LEA, LEA, ANN]), place=PLACES)
    def forces_takeover(self, who: Principal, place: str) -> None:
        self.take_over(who, place, forced=True)

    @rule(who=WHO, place=PLACES, lag=st.integers(0, 1), active=st.booleans())
    def heartbeats(self, who: Principal, place: str, lag: int, active: bool) -> None:  # noqa: FBT001
        self.beat(who, place, lag=lag, active=active)

    @rule(who=WHO, place=PLACES, beats=st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=6))
    def goes_on(self, who: Principal, place: str, beats: list[tuple[int, bool]]) -> None:
        """Acquires it, and says so from time to time: until it is idle for too long, or has had it for the longest."""
        self.lease(who, place, None)
        for units, active in beats:
            self.pass_time(units)
            self.beat(who, place, lag=0, active=active)

    @rule(who=WHO, place=PLACES, lag=st.sampled_from([None, None, 0, 1]))
    def releases(self, who: Principal, place: str, lag: int | None) -> None:
        self.release(who, place, lag)

    @rule(units=st.integers(1, 5))
    def time_passes(self, units: int) -> None:
        self.pass_time(units)

    @rule(
        who=st.sampled_from([(ANN, BEN), (BEN, ANN), (LEA, ANN), (BOT, BEN), (ANN, BOT)]),
        then=st.sampled_from(["a", "b", "b", None]),
        units=st.integers(1, 2),
    )
    def is_asked_and_waited_for(self, who: tuple[Principal, Principal], then: str | None, units: int) -> None:
        """Nobody has it, one takes it and another asks; the holder may go on at the same screen or at another one."""
        first, second = who
        self.pass_time(4)
        self.lease(first, "main", "a")
        self.take_over(second, "main", forced=False)
        self.lease(first, "main", then)
        self.pass_time(units)
        self.take_over(second, "main", forced=False)

    @rule(who=st.sampled_from([ANN, BEN, None]))
    def ticket_is_given_to(self, who: Principal | None) -> None:
        self.model.owner = who.id if who else None
        self.rows("UPDATE tickets.ticket SET owner_id = $2 WHERE id = $1", self.answers.ticket_id, self.model.owner)

    @rule(
        who=WHO,
        misses=st.sampled_from([0, 0, 0, 1, 3]),
        shown=st.sampled_from(["none", "none", "none", "current", "old"]),
        override=st.booleans(),
    )
    def answers_somehow(self, who: Principal, misses: int, shown: str, override: bool) -> None:  # noqa: FBT001
        self.answer(who, misses=misses, shown=shown, override=override and who is LEA)

    @rule(who=WHO, meanwhile=st.sampled_from(["customer", "native", "colleague", "sent", "failed", "unknown"]))
    def answers_across(self, who: Principal, meanwhile: str) -> None:
        """Something happens between reading and writing."""
        seen = self.last_seq()
        match meanwhile:
            case "customer":
                self.write()
            case "native":
                self.native()
            case "colleague":
                self.answer(LEA, override=True)
            case _:
                self.drain(meanwhile)
        self.answer(who, seen=seen)

    @rule(who=st.sampled_from([ANN, BEN]), then=st.sampled_from(["keeps", "releases", "is late"]))
    def answers_all(self, who: Principal, then: str) -> None:
        """The plain case, often: somebody who has seen everything."""
        self.answer(who)
        if then == "releases":
            self.release(who, "main")
        elif then == "is late":
            self.pass_time(4)

    @rule(who=st.sampled_from([ANN, BEN]), meanwhile=st.sampled_from(["sent", "failed", "unknown"]))
    def answers_twice(self, who: Principal, meanwhile: str) -> None:
        """The second one knows what became of the first."""
        self.answer(who)
        self.drain(meanwhile)
        self.answer(who)

    @precondition(lambda self: self.model.written)
    @rule(data=st.data(), who=WHO)
    def takes_back(self, data: st.DataObject, who: Principal) -> None:
        self.cancel(who, data.draw(st.sampled_from(sorted(self.model.written))))

    @precondition(lambda self: any(reply.state == "unknown" for reply in self.model.written.values()))
    @rule(data=st.data(), was_sent=st.booleans())
    def finds_out(self, data: st.DataObject, was_sent: bool) -> None:  # noqa: FBT001
        unknown = sorted(id_ for id_, reply in self.model.written.items() if reply.state == "unknown")
        self.settle(data.draw(st.sampled_from(unknown)), was_sent=was_sent)

    # -- the network ----------------------------------------------------------------------------------------------

    @rule()
    def customer_writes(self) -> None:
        self.write()

    @rule()
    def native_answer(self) -> None:
        self.native()

    # -- the last hop -----------------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 4))
    def last_hop_reads(self, count: int) -> None:
        self.read(self.unread()[:count])

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

    # -- what always holds ------------------------------------------------------------------------------------------

    @invariant()
    def tickets_does_what_the_model_says(self) -> None:
        self.check_state()
        # The next move is made in the other workspace, for which nothing may have changed since its last one.
        self.cross_over()

    def teardown(self) -> None:
        if not hasattr(self, "elsewhere"):
            return
        for _ in range(2):
            self._end()
            self.cross_over()
        self.check_state()

    def _end(self) -> None:
        self.check_state()
        self.drain()
        assert {id_: latest[0] for id_, latest in self.hop.latest.items()} == {
            id_: turn.answer.id for id_, turn in self.model.turns.items() if turn.answer
        }
        assert {id_: reply.state for id_, reply in self.model.written.items()} == self.hop.states
        self._check_answers()
        acquired = [event.lease.fence for event in self.events() if isinstance(event, LeaseAcquired)]
        assert acquired == sorted(set(acquired))

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


@pytest.fixture
def machine(server: Server, server_dsn: str, scope: LeaseScope) -> Iterator[type[Machine]]:
    with server.database() as dsn, asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def enter() -> Floor:
            database = await stack.enter_async_context(open_database(dsn, size=4))
            floor = await stack.enter_async_context(open_floor(database))
            for place in (floor, floor.elsewhere):
                await Answers(place).choose(lease_scope=scope, **DURATIONS)
            return floor

        Machine.runner, Machine.floor, Machine.scope = runner, runner.run(enter()), scope
        yield Machine
        runner.run(stack.aclose())


@pytest.mark.timeout(1800 if SOAK else 90)
@pytest.mark.parametrize("scope", ["customer", "ticket"])
def test_tickets_does_what_the_model_says(machine: type[Machine], scope: LeaseScope) -> None:
    chosen = settings(
        max_examples=400 if SOAK else 25,
        stateful_step_count=80 if SOAK else 30,
        # A failure is told as it was found: to make it shorter takes minutes.
        phases=[Phase.generate, Phase.shrink] if SOAK else [Phase.generate],
        derandomize=not SOAK,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=chosen)
