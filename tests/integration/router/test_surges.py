"""A surge begins once and ends once, whoever looks and however often; it is told, kept with its numbers, and ended by
hand."""

import asyncio
from datetime import timedelta

import pytest

from services.router.domain.surge import Policy
from services.router.handlers.surging import LOOK_TIMER, Surges
from services.router.store import surges as store
from services.router.store.surges import Noticed
from shared.db.scope import Batch
from shared.db.timers import Timers
from shared.events.surges import SurgeBegan, SurgeEnded
from shared.telemetry.metrics import Metrics
from tests.support import api, past, surges
from tests.support.past import REFUNDS

USUAL = {"workspace": 40, surges.channel(): 40}
"""Messages an hour: ten in the window."""


@pytest.fixture
async def admin(database):
    async with past.admin(database) as opened:
        await surges.policy(opened, watch=["channel"])
        await surges.remember(database, hourly=USUAL)
        yield opened


async def listed(admin, **query):
    answer = await admin.get("/v1/surges", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def surging(admin, database):
    """One surge that has begun."""
    await surges.say(database, 100)
    await surges.look(database)
    [one] = await listed(admin)
    return one


async def test_what_is_usual_begins_nothing(admin, database):
    await surges.say(database, 25)
    await surges.look(database)
    assert (await listed(admin), await surges.told(database)) == ([], [])


async def test_a_burst_begins_a_surge_which_is_kept_and_told_with_its_numbers(admin, database):
    one = await surging(admin, database)
    assert (one["subject"], one["state"], one["began"]["messages"], one["minutes"]) == (
        surges.channel(),
        "open",
        100,
        15,
    )
    assert 9 <= one["began"]["usual"] <= 12
    assert (one["policy_version"], one["policy"]["enter"]["factor"], one["ended"]) == (1, 3.0, None)
    assert (await admin.get(f"/v1/surges/{one['id']}")).json() == one
    [began] = await surges.told(database)
    assert isinstance(began, SurgeBegan)
    assert (began.surge_id, began.subject, began.volume.messages) == (one["id"], surges.channel(), 100)
    assert (began.actor.kind, began.policy_author, began.tags) == ("system", one["policy_author"], ("surge",))


async def test_it_ends_by_itself_when_it_is_calm_in_two_looks(admin, database):
    one = await surging(admin, database)
    await surges.say(database, 50)
    await surges.look(database)
    await surges.calm_down(database)
    await surges.look(database)
    [calm] = await listed(admin, state="open")
    assert (calm["peak"], calm["calm_since"] is None) == (150, False)
    await surges.look(database)
    [ended] = await listed(admin, state="ended")
    assert (ended["id"], ended["ended"], ended["ended_by"], ended["last"]["messages"]) == (one["id"], "calm", None, 0)
    began, over = await surges.told(database)
    assert isinstance(over, SurgeEnded)
    assert (over.surge_id, over.reason, over.peak, over.began_at) == (one["id"], "calm", 150, began.at)
    await surges.look(database)
    assert len(await surges.told(database)) == 2


async def test_what_was_calm_once_and_is_loud_again_goes_on(admin, database):
    await surging(admin, database)
    await surges.calm_down(database)
    await surges.look(database)
    await surges.say(database, 100)
    await surges.look(database)
    [one] = await listed(admin)
    assert (one["state"], one["calm_since"]) == ("open", None)


async def test_it_does_not_end_before_the_policy_says(admin, database):
    await surges.policy(admin, version=1, watch=["channel"], leave={"factor": 1.5, "after_minutes": 30})
    await surging(admin, database)
    await surges.calm_down(database)
    for _ in range(3):
        await surges.look(database)
    assert len(await listed(admin, state="open")) == 1
    await past.own(database, "UPDATE router.surge SET calm_since = now() - interval '30 minutes' RETURNING 1")
    await surges.look(database)
    assert await listed(admin, state="open") == []


async def test_many_who_look_at_once_begin_one_surge_and_end_it_once(admin, database):
    await surges.say(database, 100)
    for _ in range(2):
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(surges.look(database))
        await surges.calm_down(database)
    assert [type(one) for one in await surges.told(database)] == [SurgeBegan, SurgeEnded]
    assert len(await listed(admin)) == 1


async def test_of_one_subject_no_second_surge_can_be_open(admin, database):
    one = await surging(admin, database)
    async with database.transaction(Batch(frozenset({"w1"})), schema="router") as tx:
        again = Noticed(id="srg_again", subject=one["subject"], messages=100, usual=10)
        begun = await store.begin(tx, "w1", [again], version=1, policy=Policy(), author="agt_1")
    assert begun == []
    assert len(await listed(admin)) == 1


async def test_a_surge_that_a_person_ends_is_not_begun_again_before_it_was_calm(admin, database):
    one = await surging(admin, database)
    ended = await admin.post(f"/v1/surges/{one['id']}/end")
    assert (ended.status_code, ended.json()["ended"]) == (200, "person")
    assert ended.json()["ended_by"].startswith("key_")
    assert (await admin.post(f"/v1/surges/{one['id']}/end")).status_code == 409
    await surges.say(database, 50)
    await surges.look(database)
    [kept] = await listed(admin)
    assert (kept["state"], kept["peak"], kept["calm_since"]) == ("ended", 100, None)
    await surges.calm_down(database)
    await surges.look(database)
    await surges.say(database, 100)
    await surges.look(database)
    assert [found["state"] for found in await listed(admin)] == ["open", "ended"]
    assert [type(told) for told in await surges.told(database)] == [SurgeBegan, SurgeEnded, SurgeBegan]
    assert (await surges.told(database))[1].actor.kind == "key"


async def test_what_lasts_a_week_is_usual_now(admin, database):
    await surging(admin, database)
    await past.own(database, "UPDATE router.surge SET began_at = now() - interval '7 days' RETURNING 1")
    for _ in range(2):
        await surges.look(database)
    [one] = await listed(admin)
    assert one["ended"] == "lasting"


async def test_with_its_policy_every_surge_ends(admin, database):
    await surging(admin, database)
    assert (await admin.delete("/v1/surge-policy", headers={"If-Match": '"1"'})).status_code == 204
    [one] = await listed(admin)
    assert one["ended"] == "policy"
    assert [type(told) for told in await surges.told(database)] == [SurgeBegan, SurgeEnded]
    await surges.policy(admin, watch=["channel"])
    await surges.remember(database, hourly=USUAL)
    await surging_again(admin, database)


async def surging_again(admin, database):
    """Nothing is left that keeps it from beginning."""
    await surges.say(database, 100)
    await surges.look(database)
    assert [found["state"] for found in await listed(admin)] == ["open", "ended"]


async def test_a_topic_surges_although_its_channel_does_not(admin, database):
    await past.activate(database, await past.keep(database, REFUNDS))
    await surges.policy(admin, version=1)
    await surges.remember(database, hourly={"tag:money": 4})
    await past.own(database, "UPDATE router.surge_hour SET messages = 400 WHERE subject <> 'tag:money' RETURNING 1")
    await surges.say(database, 30, text="a refund")
    await surges.look(database)
    assert [one["subject"] for one in await listed(admin)] == ["tag:money"]


async def test_a_channel_that_is_new_does_not_surge_and_a_topic_that_is_new_does(admin, database):
    await past.activate(database, await past.keep(database, REFUNDS))
    await surges.policy(admin, version=1, watch=["channel", "tag"])
    await surges.say(database, 100, channel="chn_new", text="a refund")
    await surges.look(database)
    assert [one["subject"] for one in await listed(admin)] == ["tag:money"]


async def test_on_the_first_day_nothing_surges(database):
    async with past.admin(database) as admin:
        await surges.policy(admin)
        await surges.say(database, 500)
        await surges.look(database)
        assert await listed(admin) == []


async def test_a_workspace_sees_its_own_surges_only(admin, database):
    one = await surging(admin, database)
    async with past.admin(database, "w2") as other:
        assert await listed(other) == []
        assert (await other.get(f"/v1/surges/{one['id']}")).status_code == 404
        assert (await other.post(f"/v1/surges/{one['id']}/end")).status_code == 404


async def test_the_list_has_filters_and_pages(admin, database):
    one = await surging(admin, database)
    await admin.post(f"/v1/surges/{one['id']}/end")
    await surges.calm_down(database)
    await surges.look(database)
    await surging_again(admin, database)
    first = (await admin.get("/v1/surges", params={"limit": 1})).json()
    rest = (await admin.get("/v1/surges", params={"limit": 1, "cursor": first["next_cursor"]})).json()
    assert [found["state"] for found in (*first["data"], *rest["data"])] == ["open", "ended"]
    assert await listed(admin, subject="workspace") == []
    assert len(await listed(admin, subject=surges.channel())) == 2


async def test_agents_see_surges_and_leads_end_them(admin, database):
    one = await surging(admin, database)
    answers = []
    for role in ("agent", "lead"):
        token = await api.new_key(database, role=role)
        async with api.client(api.new_app(database, past.router(past.runtime(database))), token) as client:
            read, ended = await client.get("/v1/surges"), await client.post(f"/v1/surges/{one['id']}/end")
            answers.append((read.status_code, ended.status_code))
    assert answers == [(200, 403), (200, 200)]


async def test_the_timer_looks_again_and_again_and_counts(admin, database):
    metrics = Metrics()
    desk = Surges(database.ids, metrics)
    timers = Timers(database, "router", {LOOK_TIMER: desk.on_timer}, lock=desk.lock)
    await surges.say(database, 100)
    assert await timers.step() == 1
    [timer] = await past.own(database, "SELECT due_at - now() AS within FROM router.timer WHERE kind = $1", LOOK_TIMER)
    assert timedelta() < timer["within"] <= timedelta(seconds=15)
    assert b'baton_surges_total{change="began"} 1.0' in metrics.exposition()[0]
    assert len(await listed(admin, state="open")) == 1
