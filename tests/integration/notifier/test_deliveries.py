"""Webhooks arrive signed, at least once, and no endpoint's trouble is another's."""

import asyncio
from datetime import timedelta

import pytest
from standardwebhooks.webhooks import Webhook

from services.notifier.handlers.deliverer import Deliverer
from services.notifier.settings import NotifierSettings
from shared.events import tickets
from tests.support.outgoing import ANN, happened, ticket
from tests.support.pushing import QUICK, pushing
from tests.support.receiving import receiving
from tests.support.waiting import eventually


@pytest.fixture
async def push(database):
    async with pushing(database) as made:
        yield made


async def test_an_event_arrives_signed_in_the_shape_of_the_stream(push):
    async with receiving() as receiver:
        endpoint = await push.endpoint(receiver)
        await push.happen()
        await eventually(lambda: len(receiver.pushes) == 1)
    [arrived] = receiver.pushes
    body = Webhook(endpoint["secret"]).verify(arrived.raw, arrived.headers)
    assert (body["type"], body["sequence"], body["data"]["ticket"]["id"]) == ("ticket.updated.v1", 1, "tkt_1")
    assert arrived.headers["webhook-id"] == body["id"]


async def test_only_what_was_subscribed_to_arrives_and_the_cursor_passes_the_rest(push):
    async with receiving() as receiver:
        endpoint = await push.endpoint(receiver, types=["ticket.created"], teams=["product"])
        product = ticket("t9", team="product")
        await push.happen(5)
        await push.happen(kind=tickets.TicketCreated)
        await push.happen(kind=tickets.TicketCreated, view=product)
        await push.happen(kind=tickets.TicketCreated, workspace="w2", view=product)
        await eventually(lambda: receiver.sequences == [7])
        await push.reads(endpoint, "behind", 0)


async def test_an_endpoint_of_one_team_hears_that_a_ticket_has_left_and_not_where_it_went(database):
    moved = {"view": ticket(team="product"), "came_from": tickets.Home(team="care", owner=ANN.id)}
    async with pushing(database, endpoint_retries_ms=(20,) * 100) as push, receiving() as receiver:
        # The first try fails: what is tried again tells no more.
        receiver.always(500)
        endpoint = await push.endpoint(receiver, teams=["care"])
        await push.happen(**moved)
        await push.happen(view=ticket(team="product"))
        await eventually(lambda: len(receiver.pushes) >= 2)
        receiver.always(200)
        await push.reads(endpoint, "behind", 0)
    assert {push.body["type"] for push in receiver.pushes} == {"ticket.left.v1"}
    assert {push.body["sequence"] for push in receiver.pushes} == {1}
    assert {str(push.body["data"]) for push in receiver.pushes} == {
        str({"workspace_id": "w1", "ticket": {"id": "tkt_1"}})
    }


async def test_nothing_from_before_the_subscription_arrives(push):
    await push.happen(3)
    async with receiving() as receiver:
        await push.endpoint(receiver)
        await push.happen()
        await eventually(lambda: receiver.sequences == [4])


async def test_a_thousand_events_arrive_once_each(push):
    async with receiving() as receiver:
        await push.endpoint(receiver)
        for _ in range(10):
            await push.happen(100)
        await eventually(lambda: len(receiver.pushes) >= 1000)
        await push.rows(1000)
        assert sorted(receiver.sequences) == list(range(1, 1001))


async def test_a_redelivered_batch_pushes_nothing_twice(push):
    async with receiving() as receiver:
        await push.endpoint(receiver)
        events = [happened(tickets.TicketUpdated) for _ in range(3)]
        for _ in range(3):
            await push.here.deliver(push.events.on_events, *events)
        await push.happen()
        await eventually(lambda: len(receiver.sequences) >= 4)
        assert sorted(receiver.sequences) == [1, 2, 3, 4]


async def test_a_failed_push_is_tried_again_under_the_same_id(database):
    async with pushing(database, endpoint_retries_ms=(50, 50)) as push, receiving() as receiver:
        endpoint = await push.endpoint(receiver)
        receiver.always(500, "boom\x00")
        await push.happen()
        await eventually(lambda: len(receiver.pushes) == 1)
        receiver.always(204)
        await push.rows(1)
        [delivery] = await push.deliveries(endpoint)
        assert len({arrived.headers["webhook-id"] for arrived in receiver.pushes}) == 1
        assert delivery["state"] == "delivered"
        assert [attempt["status"] for attempt in delivery["attempts"]] == [500, 204]
        assert delivery["attempts"][0]["answer"] == "boom\ufffd"


async def test_after_the_last_attempt_it_is_failed_and_can_be_sent_again_by_hand(database):
    async with pushing(database, endpoint_retries_ms=(10,)) as push, receiving() as receiver:
        endpoint = await push.endpoint(receiver)
        receiver.always(503)
        await push.happen()
        await push.rows(1)
        [failed] = await push.deliveries(endpoint, "?state=failed")
        assert len(failed["attempts"]) == 2
        receiver.always(200)
        await push.post(f"{endpoint['id']}/deliveries/1/resend")
        await eventually(lambda: len(receiver.pushes) == 3)
        await push.rows(1)
        [delivery] = await push.deliveries(endpoint)
        assert delivery["state"] == "delivered"


async def test_an_endpoint_that_asks_for_a_pause_gets_it(database):
    async with pushing(database, endpoint_retries_ms=(10, 10)) as push, receiving() as receiver:
        endpoint = await push.endpoint(receiver)
        receiver.always(429, retry_after="100")
        await push.happen()
        await eventually(lambda: len(receiver.pushes) == 1)
        await push.reads(endpoint, "failures", 1)
        await push.happen(3)
        assert (await push.deliveries(endpoint))[0]["state"] == "waiting"
        [row] = await push.here.rows("SELECT due_at - created_at AS wait FROM notifier.delivery")
        assert row["wait"] > timedelta(seconds=90)
        assert len(receiver.pushes) == 1


async def test_a_redirect_is_a_failure_and_is_not_followed(database):
    async with pushing(database, endpoint_retries_ms=()) as push, receiving() as elsewhere, receiving() as receiver:
        endpoint = await push.endpoint(receiver)
        receiver.always(302, location=elsewhere.url)
        await push.happen()
        await push.rows(1)
        assert (await push.deliveries(endpoint))[0]["state"] == "failed"
        assert elsewhere.pushes == []


async def test_gone_disables_the_endpoint_and_tells_the_others(push):
    async with receiving() as gone, receiving() as witness:
        endpoint = await push.endpoint(gone)
        await push.endpoint(witness, types=["endpoint.disabled"])
        gone.always(410)
        await push.happen()
        await eventually(lambda: len(witness.pushes) == 1)
        assert witness.pushes[0].body["data"] == {
            "workspace_id": "w1",
            "endpoint_id": endpoint["id"],
            "url": gone.url,
            "reason": "gone",
        }
        shown = await push.state(endpoint)
        assert (shown["state"], shown["state_reason"]) == ("disabled", "gone")
        await push.happen(3)
        await asyncio.sleep(0.2)
        assert len(gone.pushes) == 1


async def test_an_endpoint_that_only_fails_for_long_is_disabled_and_resumes_where_it_was(database):
    settings = {"endpoint_disable_ms": 300, "endpoint_retries_ms": (20,) * 50, "endpoint_probe_ms": 20}
    async with pushing(database, **settings) as push, receiving() as receiver:
        endpoint = await push.endpoint(receiver)
        receiver.always(500)
        await push.happen(3)
        await push.reads(endpoint, "state", "disabled")
        assert (await push.state(endpoint))["state_reason"] == "failing"
        receiver.always(200)
        await push.happen(2)
        await push.post(f"{endpoint['id']}/resume")
        await push.rows(6)
        assert {1, 2, 3, 4, 5} <= set(receiver.sequences)
        assert (await push.state(endpoint))["failing_since"] is None


async def test_one_success_ends_the_count_to_being_disabled(database):
    settings = {"endpoint_disable_ms": 60_000, "endpoint_retries_ms": (10_000,)}
    async with pushing(database, **settings) as push, receiving() as receiver:
        endpoint = await push.endpoint(receiver)
        receiver.always(500)
        await push.happen()
        await push.reads(endpoint, "failures", 1)
        receiver.always(200)
        await push.happen()
        await push.rows(1)
        shown = await push.state(endpoint)
        assert (shown["failures"], shown["failing_since"]) == (0, None)


@pytest.mark.parametrize("death", ["hangs", "refuses"])
async def test_a_dead_endpoint_does_not_slow_a_healthy_one(database, death):
    async with pushing(database, endpoint_timeout_ms=5_000) as push, receiving() as dead, receiving() as healthy:
        await push.endpoint(dead)
        await push.endpoint(healthy)
        if death == "hangs":
            dead.hang()
        else:
            dead.always(500)
        loop = asyncio.get_running_loop()
        waits = []
        for number in range(1, 101):
            started = loop.time()
            await push.happen()
            await eventually(lambda: len(healthy.pushes) >= number)  # noqa: B023 - awaited at once
            waits.append(loop.time() - started)
        assert sorted(waits)[90] < 0.25
        assert len(dead.pushes) < 20


async def test_a_paused_endpoint_gets_nothing_and_then_all_of_it(push):
    async with receiving() as receiver:
        endpoint = await push.endpoint(receiver)
        await push.happen()
        await eventually(lambda: len(receiver.pushes) == 1)
        await push.post(f"{endpoint['id']}/pause")
        await asyncio.sleep(0.2)
        await push.happen(4)
        await asyncio.sleep(0.2)
        assert len(receiver.pushes) == 1
        assert (await push.state(endpoint))["behind"] == 4
        await push.post(f"{endpoint['id']}/resume")
        await eventually(lambda: len(receiver.pushes) == 5)
        assert sorted(receiver.sequences) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("by_time", [False, True])
async def test_a_replay_pushes_again_what_is_still_kept(push, by_time):
    async with receiving() as receiver:
        endpoint = await push.endpoint(receiver, types=["ticket.updated"])
        await push.happen(2)
        await push.rows(2)
        [row] = await push.here.rows("SELECT clock_timestamp() AS now")
        await push.happen(2)
        await push.happen(kind=tickets.TicketCreated)
        await push.rows(4)
        await push.reads(endpoint, "behind", 0)
        replayed = await push.post(f"{endpoint['id']}/replay", since=row["now"].isoformat() if by_time else 3)
        assert replayed == {"queued": 2, "next_since": None}
        await eventually(lambda: len(receiver.pushes) == 6)
        assert sorted(receiver.sequences) == [1, 2, 3, 3, 4, 4]


async def test_a_test_push_says_how_it_was_answered(push):
    async with receiving() as receiver:
        endpoint = await push.endpoint(receiver)
        receiver.always(418, "teapot")
        result = await push.post(f"{endpoint['id']}/test")
        assert (result["status"], result["answer"], result["delivered"]) == (418, "teapot", False)
        Webhook(endpoint["secret"]).verify(receiver.pushes[0].raw, receiver.pushes[0].headers)


async def test_two_processes_share_endpoints_and_take_over_what_a_dead_one_left(database):
    ttl = {"lane_ttl_ms": 600}
    async with pushing(database, **ttl) as push, receiving() as one, receiving() as two:
        await push.endpoint(one)
        await push.endpoint(two)
        await push.happen()
        await eventually(lambda: one.sequences == two.sequences == [1])
        other = Deliverer(push.here.runtime, NotifierSettings(**(QUICK | ttl)), push.hub)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(other.run())
            await eventually(lambda: len(other._runs) == 1 and len(push.deliverer._runs) == 1)
            await push.happen(5)
            await eventually(lambda: len(one.pushes) == len(two.pushes) == 6)
            task.cancel()
        await push.happen(5)
        await eventually(lambda: set(one.sequences) == set(two.sequences) == set(range(1, 12)))
        assert len(push.deliverer._runs) == 2


async def test_what_was_recorded_is_not_pushed_again_after_a_crash(database):
    async with pushing(database) as push, receiving() as receiver:
        await push.endpoint(receiver)
        await push.happen(50)
        await push.rows(50)
        await push.here.rows("UPDATE notifier.lane SET cursor = 0, owner = NULL, expires_at = NULL RETURNING 1")
        crashed = Deliverer(push.here.runtime, NotifierSettings(**QUICK), push.hub)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(crashed.run())
            await push.happen()
            await eventually(lambda: 51 in receiver.sequences)
            await asyncio.sleep(0.3)
            task.cancel()
        assert sorted(set(receiver.sequences)) == list(range(1, 52))
        assert receiver.sequences.count(25) == 1


async def test_a_process_leaves_also_when_an_endpoint_was_deleted_under_a_push(database):
    answered = asyncio.Event()

    async def late(_):
        await answered.wait()
        return 200, {}, ""

    async with receiving() as receiver, asyncio.timeout(30), pushing(database, endpoint_timeout_ms=20_000) as push:
        receiver.answer = late
        endpoint = await push.endpoint(receiver)
        await push.happen()
        await eventually(lambda: receiver.pushes)
        assert (await push.client.delete(f"/v1/endpoints/{endpoint['id']}")).status_code == 204
        await eventually(lambda: not push.deliverer._runs)
        push.here.runtime.stopping.set()
        push.deliverer.wake()
        await asyncio.sleep(0.3)
        answered.set()
