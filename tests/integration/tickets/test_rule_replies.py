"""What rules say by themselves is written once, in the name of their bot, and never against anybody who answers."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from services.tickets.domain.rule_replies import FRESH, MOST
from services.tickets.handlers import administration, joining
from services.tickets.handlers import routed as routing
from services.tickets.handlers.joining import Evidence
from shared.clock import SystemClock
from shared.db.scope import Batch
from shared.errors import Invalid
from shared.events.payload import Actor, Deadline
from shared.events.routing import RuleReply
from shared.events.tickets import ReplyQueued, Turn
from shared.platform.store import agents
from tests.support.answers import HOME, Answers, agent, bot
from tests.support.both import check_apart, in_both_workspaces
from tests.support.floor import OTHER, Floor, at_once, message, routed

ANN = agent("agt_ann")
LEA = agent("agt_lea", role="lead")
RULES = agents.rules_id(HOME)
SOON = RuleReply(kind="private", text="We are on it", rule="closed")
HOURS = RuleReply(kind="private", text="From nine to five", rule="hours", answers=True)
EACH = RuleReply(kind="private", text="Noted", rule="each", once_per="message")


@pytest.fixture
async def answers(floor: Floor) -> Answers:
    return Answers(floor)


def item(
    external_id: str = "m1", *replies: RuleReply, author: str = "c1", workspace: str = HOME, **changes: Any
) -> Any:
    """A message of this moment, with what rules say to it."""
    given = {"network": "api", "occurred_at": SystemClock().now()} | changes
    one = message(external_id, workspace=workspace, channel=f"chn_{workspace}", author=author, **given)
    return routed(one, replies=replies)


async def say(answers: Answers, *events: Any) -> None:
    """A batch comes; the tests then talk about the ticket of the first workspace."""
    await answers.floor.deliver(*events)
    if not answers.ticket_id:
        ticket = await answers.floor.ticket()
        answers.ticket_id, answers.customer_id = ticket["id"], ticket["customer_id"]


async def orders(answers: Answers) -> list[Any]:
    """What waits for the notifier, in order."""
    return [event.data.reply for event in await answers.floor.events() if isinstance(event.data, ReplyQueued)]


async def withheld(answers: Answers) -> list[str]:
    rows = await answers.floor.rows("SELECT data FROM tickets.entry WHERE kind = 'answer-withheld' ORDER BY seq")
    return [row["data"]["reason"] for row in rows]


async def attempts(answers: Answers) -> list[tuple[str, str]]:
    rows = await answers.floor.rows("SELECT rule, outcome FROM tickets.rule_reply ORDER BY created_at, message_id")
    return [(row["rule"], row["outcome"]) for row in rows]


async def test_it_is_queued_as_any_other_answer_in_the_name_of_the_rules(answers: Answers) -> None:
    event = item("m1", SOON)
    await say(answers, event)
    assert await answers.floor.told() == [
        "ticket.created.v1",
        "assignment.offered.v1",
        "lease.acquired.v1",
        "reply.queued.v1",
    ]
    [order] = await orders(answers)
    assert order.author == Actor(kind="bot", id=RULES, name="Rules")
    assert (order.text, order.kind, order.rule, order.acknowledges) == ("We are on it", "private", "closed", True)
    assert order.turns == (Turn(message_id=event.data.message.id, after=None),)
    [lease] = await answers.floor.rows("SELECT holder_id, holder_kind, fence FROM tickets.lease")
    assert (lease["holder_id"], lease["holder_kind"], lease["fence"]) == (RULES, "bot", order.fence)
    queued = (await answers.floor.events())[-1].data
    assert queued.cause == event.id
    await answers.floor.check_books()


async def test_an_acknowledgement_leaves_the_customer_waiting_and_the_turn_to_people(answers: Answers) -> None:
    await say(answers, item("m1", SOON))
    seen = await answers.last_seq()
    [order] = await orders(answers)
    await answers.sent(order.id)
    ticket = await answers.floor.ticket()
    assert ticket["waiting_since"] is not None
    assert await answers.turns() == {"Hello": None}
    mine = await answers.write(ANN, "Here you are", seen=seen)
    assert mine["state"] == "queued"
    await answers.sent(mine["id"], "x2")
    assert await answers.turns() == {"Hello": mine["id"]}
    assert (await answers.floor.ticket())["waiting_since"] is None
    assert await answers.ledger() == []


async def test_one_that_is_the_answer_takes_the_turn_as_any_other(answers: Answers) -> None:
    await say(answers, item("m1", HOURS))
    [order] = await orders(answers)
    await answers.sent(order.id)
    assert await answers.turns() == {"Hello": order.id}
    assert (await answers.floor.ticket())["waiting_since"] is None
    assert (await answers.write(ANN, "Me too")).code == "turn-taken"


async def test_the_same_decision_says_it_once_however_often_it_comes(answers: Answers) -> None:
    event = item("m1", SOON, EACH)
    await say(answers, event, event)
    await say(answers, event)
    assert [order.rule for order in await orders(answers)] == ["closed"]


@in_both_workspaces
async def test_batches_that_race_say_it_once(wide_floor: Floor) -> None:
    answers = Answers(wide_floor)
    events = [item(f"m{number}", SOON, workspace=wide_floor.home) for number in range(4)]
    await at_once([lambda event=event: wide_floor.deliver(event) for event in events for _ in range(3)])
    assert [order.rule for order in await orders(answers)] == ["closed"]


async def test_a_burst_is_answered_once_and_the_answer_takes_all_of_it(answers: Answers) -> None:
    burst = [item(f"m{number}", HOURS) for number in range(3)]
    await say(answers, *burst)
    [order] = await orders(answers)
    assert [turn.message_id for turn in order.turns] == [one.data.message.id for one in burst]
    assert order.in_reply_to == burst[0].data.message.id


async def test_a_rule_may_say_it_to_each_message_and_two_rules_both_speak(answers: Answers) -> None:
    await say(answers, item("m1", EACH), item("m2", EACH), item("m3", HOURS))
    assert [order.rule for order in await orders(answers)] == ["each", "each", "hours"]
    assert len({order.fence for order in await orders(answers)}) == 1


async def test_in_public_and_in_private_each_is_said_once(answers: Answers) -> None:
    public = RuleReply(kind="public", text="We wrote to you", rule="closed")
    await say(answers, item("m1", public, SOON, kind="comment"))
    assert [(order.kind, order.text) for order in await orders(answers)] == [
        ("public", "We wrote to you"),
        ("private", "We are on it"),
    ]


async def test_whoever_holds_the_lease_answers_and_the_rules_keep_a_draft(answers: Answers) -> None:
    await answers.open()
    await answers.lease(ANN)
    await answers.mark()
    await say(answers, item("m2", SOON))
    assert await orders(answers) == []
    assert (await answers.told())[-2:] == ["collision.prevented", "draft.kept"]
    [draft] = await answers.drafts()
    assert (draft["agent_id"], draft["reason"], draft["text"]) == (RULES, "lease-held", "We are on it")
    assert await answers.ledger() == [("prevented", "lease-held")]
    # It was tried: as long as the ticket goes on, it is not tried at every message.
    await say(answers, item("m3", SOON))
    assert len(await answers.drafts()) == 1
    assert await attempts(answers) == [("closed", "refused")]


async def test_people_do_not_wait_for_the_rules(answers: Answers) -> None:
    await say(answers, item("m1", HOURS))
    await answers.mark()
    held = await answers.lease(ANN)
    assert (await answers.told())[:1] == ["lease.revoked"]
    assert held["holder"].id == "agt_ann"


@in_both_workspaces
async def test_a_person_and_a_rule_at_once_leave_one_answer(wide_floor: Floor) -> None:
    answers, authors = Answers(wide_floor), [f"c{number}" for number in range(6)]
    given = partial(item, workspace=wide_floor.home)
    await wide_floor.deliver(*[given(f"first-{author}", author=author) for author in authors])
    tickets = await wide_floor.rows("SELECT id, last_seq FROM tickets.ticket")
    people = [lambda one=one: answers.write(ANN, ticket=one["id"], seen=one["last_seq"]) for one in tickets]
    rules = [lambda who=who: wide_floor.deliver(given(f"second-{who}", HOURS, author=who)) for who in authors]
    await at_once([work for pair in zip(people, rules, strict=True) for work in pair])
    written = await wide_floor.rows("SELECT ticket_id FROM tickets.reply")
    assert sorted(one["ticket_id"] for one in written) == sorted(one["id"] for one in tickets)
    assert {kind for _, kind in await answers.ledger()} <= {"lease-held", "thread-moved"}
    assert len(await answers.ledger()) == len(tickets)


async def test_an_answer_of_somebody_else_that_is_on_its_way_comes_first(answers: Answers) -> None:
    await answers.open(occurred_at=SystemClock().now())
    robot = bot("echo")
    queued = await answers.write(robot, "Mine")
    await answers.release(robot)
    await say(answers, item("m2", HOURS))
    assert [order.id for order in await orders(answers)] == [queued["id"]]
    assert await answers.ledger() == [("prevented", "turn-taken")]


async def test_an_answer_in_the_networks_own_app_stops_what_rules_were_about_to_say(answers: Answers) -> None:
    given = item("m1", HOURS)
    native = answers.shows("n1", text="Hi!", occurred_at=SystemClock().now() + timedelta(seconds=1))
    await say(answers, given, native)
    [order] = await orders(answers)
    cancelled = [event.data for event in await answers.floor.events() if event.type == "reply.cancelled.v1"]
    assert [one.reply_id for one in cancelled] == [order.id]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"replayed": True}, "replayed"),
        ({"occurred_at": SystemClock().now() - FRESH - timedelta(seconds=1)}, "late"),
        ({"reply_options": (Deadline(kind="private", until=SystemClock().now()),)}, "unsendable"),
        ({"reply_options": (Deadline(kind="public"),), "kind": "comment"}, "unsendable"),
        ({"network": "whatsapp", "text": "Long"}, "unsendable"),
    ],
)
async def test_what_keeps_it_back_stands_in_the_timeline(answers: Answers, changes: Any, why: str) -> None:
    long = RuleReply(kind="private", text="x" * 4097, rule="long")
    await say(answers, item("m1", long if "text" in changes else SOON, **changes))
    assert await orders(answers) == []
    assert await withheld(answers) == [why]
    assert await answers.floor.rows("SELECT 1 FROM tickets.lease WHERE holder_id IS NOT NULL") == []
    await answers.floor.check_books()


@pytest.mark.parametrize("verb", ["edited", "corrected"])
async def test_what_becomes_of_a_message_later_is_not_answered(answers: Answers, verb: str) -> None:
    await answers.open()
    await say(answers, routed(message("m1", channel=f"chn_{HOME}", text="Else"), verb=verb, version="2"))
    await say(answers, item("m2", SOON, kind="reaction"))
    assert await orders(answers) == []


async def test_two_machines_that_answer_each_other_come_to_an_end(answers: Answers) -> None:
    await say(answers, *[item(f"m{number}", EACH) for number in range(MOST - 1)])
    await say(answers, *[item(f"n{number}", EACH) for number in range(3)])
    assert len(await orders(answers)) == MOST
    assert await withheld(answers) == ["often", "often"]
    await answers.floor.rows("UPDATE tickets.rule_reply SET created_at = created_at - interval '1 hour'")
    await say(answers, item("later", EACH))
    assert len(await orders(answers)) == MOST + 1


async def test_many_customers_of_two_workspaces_are_answered_in_one_batch_each_by_its_own_bot(answers: Answers) -> None:
    batch = [item(f"m{who}", SOON, author=f"c{who}", workspace=where) for where in (HOME, OTHER) for who in range(5)]
    await answers.floor.deliver(*batch)
    for where in (HOME, OTHER):
        told = [event.data for event in await answers.floor.events(workspace=where)]
        written = [one.reply for one in told if isinstance(one, ReplyQueued)]
        assert {reply.author.id for reply in written} == {agents.rules_id(where)}
        assert len({reply.conversation_id for reply in written}) == len({reply.fence for reply in written}) == 5
        await answers.floor.check_books(workspace=where)


async def test_many_are_answered_with_as_many_statements_as_few_and_without_an_answer_nothing_is_asked(
    answers: Answers,
) -> None:
    await answers.floor.deliver(item("first", SOON, author="a"))
    counts, about = [], []
    for name, replies, count in (("few", [SOON], 2), ("many", [SOON], 40), ("none", [], 40)):
        batch = [item(f"{name}-{number}", *replies, author=f"{name}-{number}") for number in range(count)]
        asked: list[Any] = []
        async with answers.floor.database.transaction(Batch(frozenset({HOME})), schema="tickets") as tx:
            tx._connection.add_query_logger(asked.append)
            await routing.on_routed(tx, batch, desk=answers.floor.desk)
            await tx.flush()
            tx._connection.remove_query_logger(asked.append)
        counts.append(len(asked))
        about.append(any("rule_reply" in one.query for one in asked))
    assert counts[0] == counts[1] > counts[2]
    assert about == [True, True, False]


@pytest.mark.parametrize("scope", ["customer", "ticket"])
async def test_a_lease_of_another_scope_is_respected_too(answers: Answers, scope: Any) -> None:
    await answers.open()
    await answers.choose(lease_scope="ticket" if scope == "customer" else "customer")
    await answers.lease(ANN)
    await answers.choose(lease_scope=scope)
    await say(answers, item("m2", SOON))
    assert await orders(answers) == []
    assert await answers.ledger() == [("prevented", "lease-held")]


async def test_the_bot_of_the_rules_is_made_once_has_no_key_and_can_be_silenced(answers: Answers) -> None:
    await say(answers, item("m1", EACH), item("m2", EACH))
    [made] = await answers.floor.rows("SELECT * FROM platform.agent WHERE kind = 'bot'")
    assert (made["id"], made["name"], made["capacity"]) == (RULES, "Rules", 0)
    fields = {"environment": "t", "name": "k", "role": "bot", "scopes": None, "teams": None, "expires_at": None}
    refused = await answers.attempt(
        LEA, lambda tx: administration.issue(tx, answers.floor.desk.ids, LEA, agent_id=RULES, **fields)
    )
    assert isinstance(refused, Invalid)
    await answers.floor.rows("UPDATE platform.agent SET disabled_at = now() WHERE id = $1", RULES)
    await say(answers, item("m3", EACH))
    assert len(await orders(answers)) == 2
    assert await withheld(answers) == ["disabled"]


async def test_what_was_said_in_a_ticket_that_was_merged_is_not_said_again(answers: Answers) -> None:
    await answers.floor.deliver(item("m1", SOON), item("n1", author="c2"))
    rows = await answers.floor.rows(
        "SELECT i.external_id, t.id, t.customer_id FROM tickets.ticket t JOIN tickets.identity i USING (customer_id)"
    )
    of = {row["external_id"]: row for row in rows}
    evidence = Evidence(kind="manual")
    await answers.act(
        LEA,
        lambda tx: joining.link(
            tx, answers.floor.desk, LEA, of["c2"]["customer_id"], other=of["c1"]["customer_id"], evidence=evidence
        ),
    )
    await answers.floor.deliver(item("n2", SOON, author="c2"))
    assert len(await orders(answers)) == 1


async def test_a_rule_that_speaks_leaves_the_other_workspace_alone(answers: Answers) -> None:
    there = await Answers(answers.floor.elsewhere).open()
    await say(answers, item("m1", SOON))
    assert len(await orders(answers)) == 1
    assert (await there.told(), await there.drafts(), await there.last_seq()) == ([], [], 2)
    await check_apart(answers.floor)
