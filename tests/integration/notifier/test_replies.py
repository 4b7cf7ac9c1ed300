"""At most one writer answers a turn, whatever fails: the last hop against a real database and a real network."""

import asyncio
from datetime import timedelta

import pytest

from services.notifier.handlers import requests
from services.notifier.handlers.sender import Sender
from services.notifier.settings import NotifierSettings
from shared.events import deliveries, tickets
from shared.events.payload import Actor
from tests.support.clock import ManualClock
from tests.support.messages import message
from tests.support.outgoing import BEN, World, answered, echoed, happened, http, queued, revoked, settled, world
from tests.support.peers import unused_port
from tests.support.waiting import eventually

SETTINGS = NotifierSettings(reply_timeout_ms=2_000)


@pytest.fixture
async def here(database):
    async with world(database) as made:
        yield made


def sender(here: World, **settings) -> Sender:
    return Sender(here.runtime, SETTINGS.model_copy(update=settings))


async def work(here: World, using: Sender | None = None) -> int:
    """Sends everything that is due, until nothing is."""
    using = using or sender(here)
    done = 0
    while True:
        found = await using.claim(limit=50)
        for claim in found.claims:
            await using.send(claim)
        for claim in found.questions:
            await using.ask(claim)
        done += len(found.claims)
        if not found.looked_at:
            return done


async def told(here: World) -> list[tuple[str, str]]:
    return [(type(event).__name__, event.reply_id) for event in await here.told()]


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
    await here.deliver(requests.apply, queued("rpl_1"))
    senders = [sender(here) for _ in range(8)]
    barrier = asyncio.Barrier(len(senders))

    async def race(one: Sender) -> int:
        await barrier.wait()
        return await work(here, one)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(race(one)) for one in senders]
    assert sum(task.result() for task in tasks) == 1
    assert here.network.texts == ["text of rpl_1"]


async def test_the_second_answer_to_a_turn_becomes_a_draft_that_names_the_first(here):
    await here.deliver(requests.apply, queued("rpl_1", seq=2), queued("rpl_2", seq=3, author=BEN))
    await work(here)
    assert here.network.texts == ["text of rpl_1"]
    held = (await here.told())[-1]
    assert isinstance(held, deliveries.ReplyHeld)
    assert (held.reply_id, held.reason, held.other) == ("rpl_2", "turn-taken", "rpl_1")


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
        await here.deliver(requests.apply, *authors)
        senders = [sender(here, channel_concurrency=50, channel_rate=1000.0) for _ in range(10)]
        async with asyncio.TaskGroup() as group:
            for one in senders:
                group.create_task(work(here, one))
        for _ in range(3):
            await here.let_pass(5)
            await work(here)
        states = list((await here.states()).values())
        assert (states.count("sent"), states.count("held")) == (1, racers - 1)
        assert len(here.network.sent) == 1


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
    await here.deliver(requests.apply, queued("rpl_1"), answered("msg_native"))
    await work(here)
    [held] = await here.told()
    assert (held.reason, held.other) == ("turn-taken", "msg_native")
    assert here.network.sent == []


async def test_tickets_order_of_two_answers_is_the_one_that_later_writers_saw(here):
    await here.deliver(requests.apply, queued("rpl_1"))
    await work(here)
    await here.deliver(requests.apply, answered("msg_native"), settled("rpl_1", "sent"))
    await here.deliver(requests.apply, queued("rpl_2", seq=9, author=BEN, after="rpl_1"))
    await work(here)
    assert (await here.states())["rpl_2"] == "sent"


async def test_a_takeover_read_before_the_claim_holds_the_reply(here):
    await here.deliver(requests.apply, queued("rpl_1", fence=7))
    await here.deliver(requests.apply, revoked(7))
    assert await work(here) == 0
    [held] = await here.told()
    assert (type(held), held.reason) == (deliveries.ReplyHeld, "takeover")


async def test_a_takeover_read_after_the_claim_lets_the_reply_stand(here):
    await here.deliver(requests.apply, queued("rpl_1", fence=7))
    using = sender(here)
    [claim] = (await using.claim(limit=1)).claims
    await here.deliver(requests.apply, revoked(7))
    await using.send(claim)
    assert await told(here) == [("ReplySent", "rpl_1")]


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
    await here.deliver(requests.apply, queued("rpl_1"), cancel)
    await here.deliver(requests.apply, happened(tickets.ReplyCancelled, reply_id="rpl_1", reason="cancelled"))
    assert await work(here) == 0
    assert [event.reason for event in await here.told()] == [reason]


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
    async def refuse(peer, body):
        here.network.answer = None
        await peer.send(http(400, {"error": {"code": 100, "message": "no such recipient"}}))

    here.network.answer = refuse
    await here.deliver(requests.apply, queued("rpl_1"), queued("rpl_2", seq=3, author=BEN))
    await work(here)
    assert await told(here) == [("ReplyFailed", "rpl_1"), ("ReplySent", "rpl_2")]


async def test_a_message_that_arrives_holds_the_reply_where_the_workspace_says_so(here):
    arrival = happened(tickets.TicketUpdated, message=message("later", workspace="w1"), changes=("message",))
    await here.deliver(requests.apply, queued("rpl_1", hold_on_message=True), arrival)
    await here.deliver(requests.apply, queued("rpl_2", "tkt_2", turns=("m2",)))
    other = happened(tickets.TicketUpdated, "tkt_2", message=message("x", workspace="w1"), changes=("message",))
    await here.deliver(requests.apply, other)
    await work(here)
    assert await here.states() == {"rpl_1": "held", "rpl_2": "sent"}
    assert (await here.told())[0].reason == "message-arrived"


async def test_a_window_that_closed_while_the_reply_waited_holds_it(here):
    await here.deliver(requests.apply, queued("rpl_1", window_until=here.runtime.clock.now() - timedelta(seconds=1)))
    await work(here)
    [held] = await here.told()
    assert held.reason == "window-closed"
    assert here.network.sent == []


async def test_a_process_that_slept_past_its_claim_does_not_send(database):
    clock = ManualClock()
    async with world(database, clock=clock) as here:
        await here.deliver(requests.apply, queued("rpl_1"))
        using = sender(here)
        [claim] = (await using.claim(limit=1)).claims
        clock.advance(6)
        await using.send(claim)
        assert here.network.sent == []
        assert await here.states() == {"rpl_1": "waiting"}
        await here.let_pass(5)
        await work(here)
        assert here.network.texts == ["text of rpl_1"]


async def test_a_sleeper_whose_claim_was_given_up_neither_sends_nor_queues_again(database):
    clock = ManualClock()
    async with world(database, clock=clock) as here:
        await here.deliver(requests.apply, queued("rpl_1"))
        using = sender(here)
        [claim] = (await using.claim(limit=1)).claims
        await here.let_pass(31)
        await work(here)
        assert await here.states() == {"rpl_1": "unknown"}
        clock.advance(31)
        await using.send(claim)
        assert here.network.sent == []
        assert await told(here) == [("ReplyUnknown", "rpl_1"), ("ReplyFailed", "rpl_1")]


async def test_a_claim_that_ran_out_is_unknown_and_never_sent_again(here):
    await here.deliver(requests.apply, queued("rpl_1"), queued("rpl_2", seq=3))
    await sender(here).claim(limit=1)
    await here.let_pass(31)
    await work(here)
    unknown, held = await here.told()
    assert (type(unknown), unknown.reply_id) == (deliveries.ReplyUnknown, "rpl_1")
    assert (held.reply_id, held.reason, held.other) == ("rpl_2", "unknown-ahead", "rpl_1")
    assert here.network.sent == []


async def test_an_override_passes_an_unknown(here):
    await here.deliver(requests.apply, queued("rpl_1"))
    await sender(here).claim(limit=1)
    await here.let_pass(31)
    await here.deliver(requests.apply, queued("rpl_2", seq=3, author=BEN, override=True))
    await work(here)
    assert await here.states() == {"rpl_1": "unknown", "rpl_2": "sent"}


async def unknown(here: World, reply_id: str = "rpl_1") -> None:
    """A reply whose network took it and then fell silent."""

    async def vanish(peer, body):
        here.network.answer = None
        peer.reset()

    here.network.answer = vanish
    await here.deliver(requests.apply, queued(reply_id))
    await work(here)
    assert await here.states() == {reply_id: "unknown"}


async def test_an_answer_that_was_lost_is_unknown_until_the_network_is_asked(here):
    await unknown(here)
    first = (await here.told())[0]
    assert here.network.asked == []
    assert timedelta(seconds=80) < first.ask_after - first.at < timedelta(seconds=91)
    await here.let_pass(91)
    at = here.runtime.clock.now() - timedelta(seconds=91)
    mine = {"id": "mid.found", "message": "text of rpl_1", "from": {"id": "page-chn_1"}}
    here.network.listing = [{**mine, "created_time": at.isoformat()}]
    await work(here)
    sent = (await here.told())[-1]
    assert (type(sent), sent.external_id) == (deliveries.ReplySent, "mid.found")
    assert len(here.network.sent) == 1


async def test_what_the_network_does_not_have_failed_and_the_turn_is_free(here):
    await unknown(here)
    await here.let_pass(91)
    await work(here)
    assert len(here.network.asked) == 1
    failed = (await here.told())[-1]
    assert (type(failed), failed.code) == (deliveries.ReplyFailed, "not-there")
    await here.deliver(requests.apply, queued("rpl_2", seq=3, author=BEN))
    await work(here)
    assert (await here.states())["rpl_2"] == "sent"


async def test_the_network_is_not_asked_before_its_lag_is_over(here):
    await unknown(here)
    await here.let_pass(60)
    await work(here)
    assert here.network.asked == []


async def test_an_unknown_is_settled_by_its_echo(here):
    await unknown(here)
    await here.deliver(requests.apply, echoed("rpl_1", "mid.echo"))
    sent = (await here.told())[-1]
    assert (type(sent), sent.external_id) == (deliveries.ReplySent, "mid.echo")


@pytest.mark.parametrize(("state", "expected"), [("sent", "ReplySent"), ("failed", "ReplyFailed")])
async def test_an_unknown_is_settled_by_a_person(here, state, expected):
    await unknown(here)
    event = settled("rpl_1", state, by="person")
    await here.deliver(requests.apply, event, event)
    assert (await told(here))[1:] == [(expected, "rpl_1")]


async def test_an_echo_that_comes_while_sending_decides_when_the_answer_is_lost(here):
    async def echo_then_vanish(peer, body):
        await here.deliver(requests.apply, echoed("rpl_1", "mid.echo"))
        peer.reset()

    here.network.answer = echo_then_vanish
    await here.deliver(requests.apply, queued("rpl_1"))
    await work(here)
    [sent] = await here.told()
    assert (type(sent), sent.external_id) == (deliveries.ReplySent, "mid.echo")


async def test_an_echo_settles_a_reply_whose_sender_died(here):
    await here.deliver(requests.apply, queued("rpl_1"))
    await sender(here).claim(limit=1)
    await here.deliver(requests.apply, echoed("rpl_1", "mid.echo"))
    await here.let_pass(31)
    await work(here)
    assert await told(here) == [("ReplySent", "rpl_1")]


async def test_a_throttled_reply_waits_and_is_sent_later_in_order(here):
    async def throttle(peer, body):
        here.network.answer = None
        await peer.send(http(429, {"error": {"code": 613, "message": "slow down"}}, retry_after="7"))

    here.network.answer = throttle
    using = sender(here)
    await here.deliver(requests.apply, queued("rpl_1"), queued("rpl_2", seq=3))
    await work(here, using)
    assert await here.states() == {"rpl_1": "waiting", "rpl_2": "waiting"}
    assert await here.told() == []
    await here.let_pass(30)
    await work(here)
    assert here.network.texts == ["text of rpl_1", "text of rpl_1", "text of rpl_2"]


async def test_a_network_that_cannot_be_reached_is_tried_so_often_and_then_the_reply_failed(here):
    await here.rows("UPDATE platform.channel SET api_base_url = $1", f"http://127.0.0.1:{unused_port()}")
    await here.deliver(requests.apply, queued("rpl_1"))
    for _ in range(3):
        await work(here, sender(here, reply_attempts=3))
        await here.let_pass(400)
    [failed] = await here.told()
    assert (type(failed), failed.code) == (deliveries.ReplyFailed, "not-sent")


async def test_dead_credentials_mark_the_channel_and_later_replies_fail_at_once(here):
    async def refuse(peer, body):
        await peer.send(http(401, {"error": {"code": 190, "message": "token expired"}}))

    here.network.answer = refuse
    await here.deliver(requests.apply, queued("rpl_1"))
    await work(here)
    [channel] = await here.rows("SELECT state, state_reason FROM platform.channel WHERE id = 'chn_1'")
    assert channel["state"] == "unauthorized"
    await here.deliver(requests.apply, queued("rpl_2", seq=3, turns=("m2",)))
    await work(here)
    assert len(here.network.sent) == 1
    assert (await here.told())[-1].code == "channel-unusable"


async def test_a_channel_sends_no_more_at_once_than_it_may(here):
    most = 0
    open_now = 0

    async def slow(peer, body):
        nonlocal most, open_now
        open_now += 1
        most = max(most, open_now)
        await asyncio.sleep(0.02)
        open_now -= 1
        await peer.send(http(200, {"message_id": body["message"]["metadata"]}))

    here.network.answer = slow
    orders = [queued(f"rpl_{n}", f"tkt_{n}", turns=(f"m{n}",)) for n in range(12)]
    await here.deliver(requests.apply, *orders)
    using = sender(here, channel_concurrency=3)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(using.run())
        await eventually(lambda: len(here.network.sent) == 12)
        here.runtime.stopping.set()
        using.wake()
        await running
    assert most == 3
    assert set((await here.states()).values()) == {"sent"}


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_leaving_finishes_what_is_being_sent(here, is_cancelled):
    reached = asyncio.Event()

    async def slow(peer, body):
        reached.set()
        await asyncio.sleep(0.2)
        await peer.send(http(200, {"message_id": "mid.slow"}))

    here.network.answer = slow
    await here.deliver(requests.apply, queued("rpl_1"))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(sender(here).run())
        await reached.wait()
        here.runtime.stopping.set()
        if is_cancelled:
            running.cancel()
    assert await told(here) == [("ReplySent", "rpl_1")]
