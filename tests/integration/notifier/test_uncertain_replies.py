"""What cannot be known is said to be unknown, and is settled without sending anything twice."""

import asyncio
import os
import signal
import sys
from datetime import timedelta

import pytest

from services.notifier.handlers import requests
from shared.events import deliveries
from tests.support.clock import ManualClock
from tests.support.outgoing import BEN, World, echoed, http, queued, settled, world
from tests.support.peers import unused_port
from tests.support.postgres import open_database
from tests.support.sending import sender, told, work
from tests.support.twice import at_home, elsewhere, told_alike, twice, work_at_once
from tests.support.waiting import eventually


@pytest.fixture
async def here(database):
    async with world(database) as made:
        yield made


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
    await here.deliver(requests.apply, *twice(queued("rpl_1"), queued("rpl_2", seq=3)))
    await sender(here).claim(limit=2)
    await here.let_pass(31)
    await work_at_once(here)
    unknown, held = await told_alike(here)
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


async def test_where_a_network_neither_echoes_nor_can_be_asked_only_a_person_settles(here):
    async def vanish(peer, body):
        peer.reset()

    here.network.answer = vanish
    secrets = {"secret_token": "s", "bot_token": "1:token"}
    await here.add_channel("w1", "chn_bot", network="telegram", secrets=secrets)
    place = {"channel_id": "chn_bot", "network": "telegram", "in_reply_to_external_id": "3003:9001"}
    await here.deliver(requests.apply, queued("rpl_1", **place))
    await work(here)
    await here.let_pass(3_600)
    await work(here)
    assert await here.states() == {"rpl_1": "unknown"}
    assert here.network.asked == []
    assert [body["text"] for body in here.network.sent] == ["text of rpl_1"]
    await here.deliver(requests.apply, settled("rpl_1", "sent", by="person"))
    assert await told(here) == [("ReplyUnknown", "rpl_1"), ("ReplySent", "rpl_1")]


async def test_an_unknown_is_settled_by_a_network_that_says_it_does_not_arrive(here):
    await unknown(here)
    event = settled("rpl_1", "failed", by="echo", reason="not on the network")
    await here.deliver(requests.apply, event, event)
    [_, failed] = await here.told()
    assert (type(failed), failed.code, failed.reason) == (deliveries.ReplyFailed, "undelivered", "not on the network")
    await here.deliver(requests.apply, queued("rpl_2", seq=3, author=BEN))
    await work(here)
    assert (await here.states())["rpl_2"] == "sent"


async def test_an_echo_that_comes_while_sending_decides_when_the_answer_is_lost(here):
    async def echo_then_vanish(peer, body):
        echo = echoed("rpl_1", "mid.echo")
        await here.deliver(requests.apply, echo if at_home(body) else elsewhere(echo))
        peer.reset()

    here.network.answer = echo_then_vanish
    await here.deliver(requests.apply, *twice(queued("rpl_1")))
    await work_at_once(here)
    [sent] = await told_alike(here)
    assert (type(sent), sent.external_id) == (deliveries.ReplySent, "mid.echo")


async def test_an_echo_settles_a_reply_whose_sender_died(here):
    await here.deliver(requests.apply, *twice(queued("rpl_1")))
    await sender(here).claim(limit=2)
    await here.deliver(requests.apply, *twice(echoed("rpl_1", "mid.echo")))
    await here.let_pass(31)
    await work_at_once(here)
    [sent] = await told_alike(here)
    assert (type(sent), sent.external_id) == (deliveries.ReplySent, "mid.echo")


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


@pytest.mark.parametrize(
    ("place", "heard", "expected"),
    [
        ("reply.claimed", 0, ["ReplyUnknown", "ReplyFailed"]),
        ("reply.sent", 1, ["ReplyUnknown", "ReplySent"]),
        ("reply.recorded", 1, ["ReplySent"]),
    ],
)
async def test_a_sender_that_is_killed_sends_at_most_once_and_the_truth_is_found(dsn, place, heard, expected):
    async with open_database(dsn) as database, world(database) as here:
        await here.deliver(requests.apply, queued("rpl_1"))
        environment = os.environ | {"BATON_FAILPOINTS": f"{place}=kill"}
        sending = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.support.lone_sender", dsn, env=environment
        )
        assert await sending.wait() == -signal.SIGKILL
        assert len(here.network.sent) == heard
        if heard:
            at = here.runtime.clock.now() - timedelta(seconds=125)
            mine = {"id": "mid.1", "message": "text of rpl_1", "from": {"id": "page-chn_1"}}
            here.network.listing = [{**mine, "created_time": at.isoformat()}]
        await here.let_pass(31)
        await work(here)
        await here.let_pass(95)
        await work(here)
        assert [name for name, _ in await told(here)] == expected
        assert len(here.network.sent) == heard
