"""At most one writer answers a turn: the last hop against a real database and a real network."""

import asyncio
import re
from datetime import timedelta

import pytest

from services.notifier.handlers import requests
from services.notifier.handlers.sender import Sender
from shared.events import deliveries, tickets
from shared.events.payload import Actor
from tests.support.messages import message
from tests.support.outgoing import BEN, answered, echoed, happened, http, queued, revoked, settled, world
from tests.support.sending import sender, told, work
from tests.support.twice import THERE, at_home, elsewhere, ended, told_alike, twice, work_at_once


@pytest.fixture
async def here(database):
    async with world(database) as made:
        yield made


async def test_a_queued_reply_is_sent_once_and_told_with_its_turns(here):
    await here.deliver(requests.apply, queued("rpl_1", turns=("m0", "m1")))
    assert await work(here) == 1
    [sent] = await here.told()
    assert isinstance(sent, deliveries.ReplySent)
    assert (sent.reply_id, sent.ticket_id, sent.turns, sent.external_id) == ("rpl_1", "tkt_1", ("m0", "m1"), "mid.1")
    assert here.network.texts == ["text of rpl_1"]
    assert here.network.sent[0]["messaging_type"] == "RESPONSE"


async def test_a_redelivered_order_is_sent_once(here):
    event = queued("rpl_1")
    await here.deliver(requests.apply, event, event)
    await work(here)
    await here.deliver(requests.apply, event)
    await work(here)
    assert here.network.texts == ["text of rpl_1"]
    assert await told(here) == [("ReplySent", "rpl_1")]


async def test_two_senders_race_for_one_reply_and_the_network_hears_it_once(here):
    await here.deliver(requests.apply, *twice(queued("rpl_1")))
    senders = [sender(here) for _ in range(8)]
    barrier = asyncio.Barrier(len(senders))

    async def race(one: Sender) -> int:
        await barrier.wait()
        return await work(here, one)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(race(one)) for one in senders]
    assert sum(task.result() for task in tasks) == 2
    assert here.network.texts == ["text of rpl_1"] * 2
    assert await ended(here) == {"rpl_1": "sent"}


async def test_the_second_answer_to_a_turn_becomes_a_draft_that_names_the_first(here):
    await here.deliver(requests.apply, *twice(queued("rpl_1", seq=2), queued("rpl_2", seq=3, author=BEN)))
    await work_at_once(here)
    assert here.network.texts == ["text of rpl_1"] * 2
    held = (await told_alike(here))[-1]
    assert isinstance(held, deliveries.ReplyHeld)
    assert (held.reply_id, held.reason, held.other) == ("rpl_2", "turn-taken", "rpl_1")


async def test_an_answer_follows_an_acknowledgement_that_it_knows_nothing_of(here):
    await here.deliver(requests.apply, queued("rpl_1", seq=2, acknowledges=True), queued("rpl_2", seq=3, author=BEN))
    await work(here)
    assert here.network.texts == ["text of rpl_1", "text of rpl_2"]
    assert [row["answer_id"] for row in await here.rows("SELECT answer_id FROM notifier.turn")] == ["rpl_2"]


async def test_an_acknowledgement_that_comes_after_the_answer_does_not_leave(here):
    await here.deliver(requests.apply, queued("rpl_1", seq=2), queued("rpl_2", seq=3, author=BEN, acknowledges=True))
    await work(here)
    assert here.network.texts == ["text of rpl_1"]
    assert await here.states() == {"rpl_1": "sent", "rpl_2": "held"}


async def test_tickets_that_a_merge_gave_the_same_turn_answer_it_once(here):
    await here.deliver(
        requests.apply, queued("rpl_1", "tkt_1"), queued("rpl_2", "tkt_2", author=BEN, turns=("m1", "m2"))
    )
    await work(here)
    await here.let_pass(5)
    await work(here)
    assert sorted((await here.states()).values()) == ["held", "sent"]
    assert len(here.network.sent) == 1


@pytest.mark.parametrize("racers", [50])
async def test_fifty_writers_on_fifty_tickets_of_one_turn_and_one_leaves(database, racers):
    async with world(database) as here:
        authors = [queued(f"rpl_{n}", f"tkt_{n}", author=Actor(kind="agent", id=f"agt_{n}")) for n in range(racers)]
        await here.deliver(requests.apply, *twice(*authors))
        senders = [sender(here, channel_concurrency=50, channel_rate=1000.0) for _ in range(10)]
        async with asyncio.TaskGroup() as group:
            for one in senders:
                group.create_task(work(here, one))
        for _ in range(3):
            await here.let_pass(5)
            await work(here)
        states = await here.states()
        for end in (re.compile(r"rpl_\d+"), re.compile(rf"rpl_\d+{THERE}")):
            ends = [state for reply, state in states.items() if end.fullmatch(reply)]
            assert (ends.count("sent"), ends.count("held")) == (1, racers - 1)
        assert sorted(map(at_home, here.network.sent)) == [False, True]


async def test_what_the_author_adds_follows_in_order(here):
    await here.deliver(requests.apply, queued("rpl_1", seq=2), queued("rpl_2", seq=3), queued("rpl_3", seq=4))
    await work(here)
    assert here.network.texts == ["text of rpl_1", "text of rpl_2", "text of rpl_3"]


async def test_an_answer_that_the_writer_had_seen_is_no_obstacle(here):
    await here.deliver(requests.apply, queued("rpl_1"))
    await work(here)
    await here.deliver(requests.apply, queued("rpl_2", seq=9, author=BEN, after="rpl_1"))
    await work(here)
    assert here.network.texts == ["text of rpl_1", "text of rpl_2"]


async def test_an_override_passes_a_taken_turn(here):
    await here.deliver(requests.apply, answered("msg_native"), queued("rpl_1", override=True))
    await work(here)
    assert here.network.texts == ["text of rpl_1"]


async def test_an_answer_in_the_networks_own_app_stops_what_waits(here):
    await here.deliver(requests.apply, *twice(queued("rpl_1"), answered("msg_native")))
    await work_at_once(here)
    [held] = await told_alike(here)
    assert (held.reason, held.other) == ("turn-taken", "msg_native")
    assert here.network.sent == []


async def test_tickets_order_of_two_answers_is_the_one_that_later_writers_saw(here):
    await here.deliver(requests.apply, queued("rpl_1"))
    await work(here)
    await here.deliver(requests.apply, answered("msg_native"), settled("rpl_1", "sent"))
    await here.deliver(requests.apply, queued("rpl_2", seq=9, author=BEN, after="rpl_1"))
    await work(here)
    assert (await here.states())["rpl_2"] == "sent"


async def test_an_answer_that_is_told_late_does_not_hide_one_that_left_after_it(here):
    await here.deliver(requests.apply, queued("rpl_1", seq=2), queued("rpl_2", seq=3))
    await work(here)
    await here.deliver(requests.apply, settled("rpl_1", "sent"))
    await here.deliver(requests.apply, queued("rpl_3", seq=9, author=BEN, after="rpl_1"))
    await work(here)
    held = (await here.told())[-1]
    assert (held.reply_id, held.reason, held.other) == ("rpl_3", "turn-taken", "rpl_2")


async def test_an_answer_in_the_app_does_not_hide_one_that_nobody_was_told_of_yet(here):
    await here.deliver(requests.apply, queued("rpl_1"))
    await work(here)
    await here.deliver(requests.apply, answered("msg_native"), queued("rpl_2", seq=9, author=BEN, after="msg_native"))
    await work(here)
    held = (await here.told())[-1]
    assert (held.reply_id, held.reason, held.other) == ("rpl_2", "turn-taken", "rpl_1")


async def test_an_answer_in_the_app_after_one_that_was_told_stops_who_saw_only_the_first(here):
    await here.deliver(requests.apply, queued("rpl_1"))
    await work(here)
    await here.deliver(requests.apply, settled("rpl_1", "sent"), answered("msg_native"))
    await here.deliver(requests.apply, queued("rpl_2", seq=8, author=BEN, after="rpl_1"))
    await here.deliver(requests.apply, queued("rpl_3", seq=9, author=BEN, after="msg_native"))
    await work(here)
    assert (await here.states()) == {"rpl_1": "sent", "rpl_2": "held", "rpl_3": "sent"}


async def test_an_echo_while_it_is_sent_gives_the_answer_its_place_among_others(here):
    async def echo_then_answer(peer, body):
        shown = [echoed("rpl_1", "mid.1"), answered("msg_native")]
        await here.deliver(requests.apply, *(shown if at_home(body) else map(elsewhere, shown)))
        await peer.send(http(200, {"recipient_id": "psid-1", "message_id": "mid.1"}))

    here.network.answer = echo_then_answer
    await here.deliver(requests.apply, *twice(queued("rpl_1")))
    await work_at_once(here)
    here.network.answer = None
    await here.deliver(requests.apply, *twice(queued("rpl_2", seq=9, author=BEN, after="msg_native")))
    await work_at_once(here)
    assert await ended(here) == {"rpl_1": "sent", "rpl_2": "sent"}


async def test_a_takeover_read_before_the_claim_holds_the_reply(here):
    await here.deliver(requests.apply, *twice(queued("rpl_1", fence=7)))
    await here.deliver(requests.apply, *twice(revoked(7)))
    assert await work(here) == 0
    [held] = await told_alike(here)
    assert (type(held), held.reason) == (deliveries.ReplyHeld, "takeover")


@pytest.mark.parametrize(
    ("why", "shown"),
    [
        ("override", "takeover"),
        ("preempted", "takeover"),
        ("answer-detected", "turn-taken"),
        ("linked", "linked"),
        ("unlinked", "linked"),
        ("merged", "linked"),
    ],
)
async def test_whoever_loses_the_lease_gets_a_draft_that_says_why(here, why, shown):
    await here.deliver(requests.apply, queued("rpl_1", fence=7), revoked(7, reason=why))
    await work(here)
    assert [event.reason for event in await here.told()] == [shown]
    assert here.network.sent == []


async def test_a_takeover_read_after_the_claim_lets_the_reply_stand(here):
    await here.deliver(requests.apply, *twice(queued("rpl_1", fence=7)))
    using = sender(here)
    claims = (await using.claim(limit=2)).claims
    await here.deliver(requests.apply, *twice(revoked(7)))
    for claim in claims:
        await using.send(claim)
    [sent] = await told_alike(here)
    assert (type(sent), sent.reply_id) == (deliveries.ReplySent, "rpl_1")


@pytest.mark.parametrize(
    "stop",
    [revoked(7), happened(tickets.ReplyCancelled, reply_id="rpl_1", reason="cancelled")],
    ids=["takeover", "cancelled"],
)
async def test_what_was_stopped_while_an_attempt_failed_does_not_wait_for_another(here, stop):
    async def throttle(peer, _):
        await peer.send(http(429, {"error": {"code": 613}}, retry_after=0))

    here.network.answer = throttle
    await here.deliver(requests.apply, queued("rpl_1", fence=7))
    using = sender(here)
    [claim] = (await using.claim(limit=1)).claims
    await here.deliver(requests.apply, stop)
    await using.send(claim)
    [held] = await here.told()
    assert (type(held), held.reason) == (
        deliveries.ReplyHeld,
        "takeover" if stop.type == "lease.revoked.v1" else "cancelled",
    )
    here.network.answer = None
    await here.let_pass(60)
    assert await work(here) == 0
    assert len(here.network.sent) == 1


async def test_a_revoked_fence_spares_replies_of_later_holders(here):
    await here.deliver(
        requests.apply, queued("rpl_1", fence=7), queued("rpl_2", seq=3, fence=8, author=BEN), revoked(7)
    )
    await work(here)
    assert await here.states() == {"rpl_1": "held", "rpl_2": "sent"}


async def test_a_revoked_lease_of_another_ticket_or_workspace_holds_nothing(here):
    await here.deliver(
        requests.apply,
        queued("rpl_1"),
        queued("rpl_2", "tkt_2", workspace="w2", channel_id="chn_2", turns=("m2",)),
        revoked(9, "tkt_3"),
        revoked(9, "tkt_4", workspace="w2"),
    )
    assert await work(here) == 2


@pytest.mark.parametrize("reason", ["cancelled", "echo", "linked"])
async def test_a_cancelled_reply_is_held_with_its_reason_if_it_still_waits(here, reason):
    cancel = happened(tickets.ReplyCancelled, reply_id="rpl_1", reason=reason)
    await here.deliver(requests.apply, *twice(queued("rpl_1"), cancel))
    await here.deliver(requests.apply, *twice(happened(tickets.ReplyCancelled, reply_id="rpl_1", reason="cancelled")))
    assert await work(here) == 0
    assert [event.reason for event in await told_alike(here)] == [reason]


async def test_a_cancellation_after_the_reply_left_changes_nothing(here):
    await here.deliver(requests.apply, queued("rpl_1"))
    await work(here)
    await here.deliver(requests.apply, happened(tickets.ReplyCancelled, reply_id="rpl_1", reason="cancelled"))
    assert await told(here) == [("ReplySent", "rpl_1")]


async def test_a_held_reply_gives_its_turns_back(here):
    await here.deliver(
        requests.apply, queued("rpl_1", fence=1), revoked(1), queued("rpl_2", seq=3, fence=2, author=BEN)
    )
    await work(here)
    assert await here.states() == {"rpl_1": "held", "rpl_2": "sent"}


async def test_a_failed_reply_gives_its_turns_back(here):
    async def refuse_first(peer, body):
        refused = http(400, {"error": {"code": 100, "message": "no such recipient"}})
        taken = http(200, {"recipient_id": "psid-1", "message_id": "mid.2"})
        await peer.send(refused if body["message"]["text"] == "text of rpl_1" else taken)

    here.network.answer = refuse_first
    await here.deliver(requests.apply, *twice(queued("rpl_1"), queued("rpl_2", seq=3, author=BEN)))
    await work_at_once(here)
    ends = [(type(event), event.reply_id) for event in await told_alike(here)]
    assert ends == [(deliveries.ReplyFailed, "rpl_1"), (deliveries.ReplySent, "rpl_2")]


async def test_a_message_that_arrives_holds_the_reply_where_the_workspace_says_so(here):
    arrival = happened(tickets.TicketUpdated, message=message("later", workspace="w1"), changes=("message",))
    await here.deliver(requests.apply, queued("rpl_1", hold_on_message=True), arrival)
    edit = happened(tickets.TicketUpdated, "tkt_3", message=message("m3x", workspace="w1"), reason="edited")
    await here.deliver(requests.apply, queued("rpl_3", "tkt_3", turns=("m3",), hold_on_message=True), edit)
    await here.deliver(requests.apply, queued("rpl_2", "tkt_2", turns=("m2",)))
    other = happened(tickets.TicketUpdated, "tkt_2", message=message("x", workspace="w1"), changes=("message",))
    await here.deliver(requests.apply, other)
    await work(here)
    assert await here.states() == {"rpl_1": "held", "rpl_2": "sent", "rpl_3": "sent"}
    assert (await here.told())[0].reason == "message-arrived"


async def test_a_window_that_closed_while_the_reply_waited_holds_it(here):
    await here.deliver(requests.apply, queued("rpl_1", window_until=here.runtime.clock.now() - timedelta(seconds=1)))
    await work(here)
    [held] = await here.told()
    assert held.reason == "window-closed"
    assert here.network.sent == []
