"""One customer's tickets on real Postgres beside a model of them: each move is made in both, and must come to the same.

The same customer has as many in another workspace, with a model of their own that knows nothing of these.
"""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from hypothesis.stateful import RuleBasedStateMachine

from services.tickets.domain.lease import FencedOff, LeaseHeld
from shared.db.appending import decode_headers
from shared.db.scope import Owner, Workspace
from shared.errors import Forbidden, Refusal
from shared.events import envelope
from shared.events.payload import Payload
from shared.events.tickets import ReplyQueued
from shared.platform.models import LeaseScope
from shared.web.auth import Principal
from tests.support.answers import Answers, agent, bot
from tests.support.expectations import UNIT, Answer, Model, Right, Step, Turn, Written
from tests.support.floor import Floor
from tests.support.last_hop import LastHop

ANN, BEN, LEA, BOT = agent("agt_ann"), agent("agt_ben"), agent("agt_lea", role="lead"), bot("auto")
ACTORS: Final = [ANN, BEN, LEA, BOT]
CUSTOMERS: Final = itertools.count(1)
STORY: Final = ("answers", "model", "position", "numbers", "hop", "places", "scopes", "rights")
"""What there is of everything in either workspace."""

_LEASES: Final = """
SELECT scope, holder_id, session, fence, wanted_by->>'id' AS wanted, expires_at > clock_timestamp() AS live
FROM tickets.lease WHERE scope = ANY($1::text[])
"""
_TURNS: Final = "SELECT message_id, answer_id FROM tickets.turn WHERE ticket_id = $1"
_DRAFTS: Final = "SELECT text FROM tickets.draft WHERE ticket_id = $1"


class Rehearsal(RuleBasedStateMachine):
    """Everybody who touches the tickets, and the last hop. The elder ticket is resolved: only its lease matters."""

    runner: ClassVar[asyncio.Runner]
    floor: ClassVar[Floor]
    scope: ClassVar[LeaseScope]

    def open(self) -> None:
        """A customer of both workspaces."""
        self.name = f"c{next(CUSTOMERS)}"
        self._begin(Answers(self.floor.elsewhere))
        self.elsewhere = self._story()
        self._begin(Answers(self.floor))

    def cross_over(self) -> None:
        """From here on, everything happens in the other workspace."""
        story, self.elsewhere = self.elsewhere, self._story()
        vars(self).update(story)

    def _story(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in STORY}

    def _begin(self, answers: Answers) -> None:
        """A customer who wrote long ago, and again now."""
        self.numbers = itertools.count(1)
        self.answers, self.model, self.position = answers, Model(), 0
        elder = self.run(self.answers.says(f"{self.name}-e0", author=self.name, conversation_id=f"cnv_{self.name}"))
        self.rows(
            "UPDATE tickets.ticket SET state = 'resolved', resolved_at = now() - interval '1 year' WHERE id = $1",
            elder_id := self._ticket_of(elder.id),
        )
        item = self.run(self.answers.says(f"{self.name}-m0", author=self.name, text="m0"))
        self.answers.ticket_id = self._ticket_of(item.id)
        self.rows("UPDATE tickets.ticket SET owner_id = NULL WHERE id = $1", self.answers.ticket_id)
        [row] = self.rows("SELECT customer_id FROM tickets.ticket WHERE id = $1", self.answers.ticket_id)
        self.hop = LastHop(answers.floor.home, self.answers.ticket_id)
        self.places = {"main": self.answers.ticket_id, "elder": elder_id}
        self.scopes = dict.fromkeys(self.places, row["customer_id"]) if self.scope == "customer" else self.places
        rights = {scope: Right() for scope in self.scopes.values()}
        self.rights = {place: rights[scope] for place, scope in self.scopes.items()}
        self.model.right = self.rights["main"]
        self._arrived(item.id)

    # -- the lease --------------------------------------------------------------------------------------------------

    def lease(self, who: Principal, place: str, session: str | None) -> None:
        """Asks for it."""
        right, result = (
            self.rights[place],
            self.run(self.answers.lease(who, ticket=self.places[place], session=session)),
        )
        self._got(right, who, right.acquire(who, self.model.now, session), result, session=session)

    def take_over(self, who: Principal, place: str, *, forced: bool) -> None:
        """Asks for it, or takes it."""
        mode, right = "force" if forced else "auto", self.rights[place]
        result = self.run(self.answers.take_over(who, mode=mode, ticket=self.places[place]))
        if forced and who is not LEA:
            assert isinstance(result, Forbidden)
            return
        self._got(right, who, right.take_over(who, self.model.now, forced=forced), result)

    def beat(self, who: Principal, place: str, *, lag: int, active: bool) -> None:
        """A sign of life, under an old fence perhaps."""
        right = self.rights[place]
        fence = max(right.fence - lag, 1)
        result = self.run(self.answers.beat(who, fence, active=active, ticket=self.places[place]))
        if right.beat(who, fence, self.model.now, active=active):
            self._is_shown(right, result)
        else:
            assert isinstance(result, FencedOff)

    def release(self, who: Principal, place: str, lag: int | None = None) -> None:
        """Gives it back."""
        right = self.rights[place]
        fence = None if lag is None else max(right.fence - lag, 1)
        result = self.run(self.answers.release(who, fence=fence, ticket=self.places[place]))
        assert isinstance(result, FencedOff) == right.release(who, fence, self.model.now)

    def pass_time(self, units: int) -> None:
        """Leases grow old."""
        self.run(self.answers.age(units * UNIT))
        self.model.now += units * UNIT

    # -- answers ----------------------------------------------------------------------------------------------------

    def answer(
        self, who: Principal, *, seen: int | None = None, misses: int = 0, shown: str = "none", override: bool = False
    ) -> None:
        """Writes one, by what the writer had seen."""
        right, seen = self.model.right, max((seen or self.last_seq()) - misses, 1)
        fence = {"none": None, "current": right.fence or None, "old": max(right.fence - 1, 1)}[shown]
        text = f"{self.name} text {next(self.numbers)}"
        expected = self.model.verdict(who, seen, fence, override=override)
        result = self.run(self.answers.write(who, text, seen=seen, fence=fence, override=override))
        if expected is not None:
            assert type(result) is expected
            self.model.kept.add(text)
            return
        assert not isinstance(result, Refusal), result
        turns = self.model.concerned(seen)
        assert self._queued(result["id"]) == {id_: self.model.after(id_, seen) for id_ in turns}
        step = right.acquire(who, self.model.now)
        session = right.session if right.holder == who.id else None
        self._took(right, who, "take" if step == "held" else step, result["fence"], session=session)
        self.model.written[result["id"]] = Written(author=who.id, fence=result["fence"], turns=turns, text=text)

    def cancel(self, who: Principal, reply_id: str) -> None:
        """Takes one back."""
        reply, result = self.model.written[reply_id], self.run(self.answers.cancel(who, reply_id))
        if who is not LEA and reply.author != who.id:
            assert isinstance(result, Forbidden)
        else:
            assert isinstance(result, dict) == (reply.state == "queued")

    def settle(self, reply_id: str, *, was_sent: bool) -> None:
        """A person says what became of one."""
        self.run(self.answers.settle(LEA, reply_id, was_sent=was_sent))
        self._ended(reply_id, "sent" if was_sent else "failed")

    def write(self) -> None:
        """The customer does."""
        number = next(self.numbers)
        item = self.run(self.answers.says(f"{self.name}-m{number}", author=self.name, text=f"m{number}"))
        self._arrived(item.id)

    def native(self) -> None:
        """Somebody answers in the network's own app."""
        number, right = next(self.numbers), self.model.right
        event = self.answers.shows(f"{self.name}-n{number}", text=f"native {number}", customer=self.name)
        message_id: str = event.data.message.id  # type: ignore[attr-defined]
        self.run(self.answers.floor.deliver(event))
        [line] = self.rows("SELECT seq FROM tickets.entry WHERE message_id = $1 AND kind = 'native'", message_id)
        self.model.moves.append((line["seq"], None))
        for turn in self.model.turns.values():
            turn.answer = turn.answer or Answer(message_id, None, line["seq"])
        if right.is_live(self.model.now):
            [row] = self.rows("SELECT fence FROM tickets.lease WHERE scope = $1", self.scopes["main"])
            assert row["fence"] > right.fence
            right.end(row["fence"])

    # -- the last hop -----------------------------------------------------------------------------------------------

    def read(self, events: Sequence[Payload]) -> None:
        """The last hop goes on in the ticket's order."""
        for event in events:
            self.position += 1
            self.hop.read(event)

    def hear(self, count: int, *, twice: bool = False) -> None:
        """Tickets is told what became of replies."""
        news, self.hop.news = self.hop.news[:count], self.hop.news[count:]
        for _ in range(1 + twice):
            self.run(self.answers.notify(*news))
        for payload in news:
            self._ended(payload.reply_id, type(payload).__name__.removeprefix("Reply").lower())  # type: ignore[attr-defined]

    def drain(self, outcome: str = "sent") -> None:
        """Until nothing waits any more."""
        for _ in range(100):
            reply_id = next((id_ for id_, state in self.hop.states.items() if state == "sending"), None)
            if self.hop.news:
                self.hear(3)
            elif unread := self.unread():
                self.read(unread)
            elif reply_id or (reply_id := self.hop.claim()):
                self.hop.conclude(reply_id, outcome)
            elif not self.hop.news:
                return
        raise AssertionError("it never comes to rest")

    # -- what is stored ---------------------------------------------------------------------------------------------

    def run(self, work: Any) -> Any:
        """On the machine's own loop."""
        return self.runner.run(work)

    def rows(self, sql: str, *arguments: Any) -> list[dict[str, Any]]:
        """In this workspace."""
        return self.run(self.answers.floor.rows(sql, *arguments))  # type: ignore[no-any-return]

    def last_seq(self) -> int:
        """The ticket's last line."""
        return int(self.run(self.answers.last_seq()))

    def events(self) -> list[Payload]:
        """All that was told of the ticket, in order."""
        return self.run(self._read_events())  # type: ignore[no-any-return]

    def unread(self) -> list[Payload]:
        """What the last hop has still to read."""
        return self.events()[self.position :]

    def check_state(self) -> None:
        """What is stored is what the model says."""
        leases, turns, kept = self.run(self._look())
        stored = {row["scope"]: row for row in leases}
        for place, right in self.rights.items():
            row = stored.get(self.scopes[place])
            live = right.is_live(self.model.now)
            shown = (right.holder, right.session, right.fence, right.wanted_by, live)
            assert row is None or shown == (*list(row)[1:5], bool(row["live"]))
            assert row is not None or right.fence == 0
        assert dict(turns) == {id_: turn.answer.id if turn.answer else None for id_, turn in self.model.turns.items()}
        assert sorted(text for (text,) in kept) == sorted(self.model.kept)

    # -- helpers ----------------------------------------------------------------------------------------------------

    def _got(self, right: Right, who: Principal, step: Step, result: Any, *, session: str | None = None) -> None:
        if step == "held":
            assert isinstance(result, LeaseHeld)
            assert result.fields["holder"]["id"] == right.holder
        elif step == "ask":
            right.asked(who, self.model.now)
            self._is_shown(right, {**result, "fence": right.fence})
            assert result["fence"] is None
        else:
            self._took(right, who, step, result["fence"], session=session)
            self._is_shown(right, result)

    def _took(self, right: Right, who: Principal, step: Step, fence: int, *, session: str | None = None) -> None:
        if step == "renew":
            assert fence == right.fence
            right.renewed(self.model.now)
        else:
            assert fence > max(one.fence for one in self.rights.values())
            right.taken(who, fence, self.model.now, session)

    def _is_shown(self, right: Right, result: dict[str, Any]) -> None:
        wanted = result["wanted_by"].id if result["wanted_by"] else None
        assert (result["holder"].id, result["fence"], wanted) == (right.holder, right.fence, right.wanted_by)
        # Since the example began, less than half a unit has passed by itself.
        left = right.expires - self.model.now - result["expires_in_ms"] / 1000
        assert abs(left) < UNIT / 2, left

    def _ticket_of(self, message_id: str) -> str:
        [row] = self.rows("SELECT ticket_id FROM tickets.message WHERE id = $1", message_id)
        return str(row["ticket_id"])

    def _arrived(self, message_id: str) -> None:
        [row] = self.rows("SELECT seq FROM tickets.turn WHERE message_id = $1", message_id)
        self.model.turns[message_id] = Turn(seq=row["seq"])
        self.model.moves.append((row["seq"], None))

    def _queued(self, reply_id: str) -> dict[str, str | None]:
        orders = [event.reply for event in self.events() if isinstance(event, ReplyQueued)]
        [order] = [order for order in orders if order.id == reply_id]
        return {turn.message_id: turn.after for turn in order.turns}

    def _ended(self, reply_id: str, outcome: str) -> None:
        if self.model.ended(reply_id, outcome) and outcome == "sent":
            [line] = self.rows("SELECT seq FROM tickets.entry WHERE reply_id = $1 AND kind = 'answer'", reply_id)
            self.model.answered(reply_id, line["seq"])

    async def _look(self) -> Any:
        ticket_id = self.answers.ticket_id
        async with self.floor.database.transaction(Workspace(self.answers.floor.home)) as tx:
            leases = await tx.fetch(_LEASES, list(set(self.scopes.values())))
            return leases, await tx.fetch(_TURNS, ticket_id), await tx.fetch(_DRAFTS, ticket_id)

    async def _read_events(self) -> list[Payload]:
        async with self.floor.database.transaction(Owner()) as tx:
            rows = await tx.fetch(
                "SELECT headers, value FROM log.event WHERE topic = 'baton.tickets.v1' AND key = $1 ORDER BY id",
                self.answers.ticket_id,
            )
        return [envelope.decode(decode_headers(row["headers"]), row["value"]).data for row in rows]
