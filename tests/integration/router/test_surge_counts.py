"""Messages are counted by subject with their decisions, once, where a policy wants it; elsewhere nothing is."""

from datetime import timedelta

import pytest

from services.router.domain.usual import WEEKS
from services.router.handlers.deciding import Router
from services.router.handlers.shadows import Shadows
from shared.db.scope import Batch
from tests.support import past, surges
from tests.support.messages import message, received
from tests.support.past import REFUNDS

CARE = {"name": "care", "when": {"text": "broken"}, "then": {"lane": "care"}}
STAFF = {"name": "staff", "when": {"author.id": "c1"}, "then": {"ignore": True}}


@pytest.fixture
async def admin(database):
    async with past.admin(database) as opened:
        yield opened


async def in_force(database, *rules):
    await past.activate(database, await past.keep(database, *rules))


async def trips(database, router, *messages):
    """What a batch asks of Postgres, one query a round trip; the driver's own questions about types left out."""
    asked = []
    async with database.transaction(Batch(frozenset({"w1"})), schema="router") as tx:
        tx._connection.add_query_logger(asked.append)
        try:
            await router.on_messages(tx, [received(one) for one in messages])
            await tx.flush()
        finally:
            tx._connection.remove_query_logger(asked.append)
    return [one.query for one in asked if "router." in one.query]


async def test_counting_takes_no_round_trip_of_its_own_and_without_a_policy_nothing_is_counted(admin, database):
    router = Router()
    await trips(database, router, message("m0", workspace="w1"))
    without = await trips(database, router, message("m1", workspace="w1"))
    await surges.policy(admin)
    with_policy = await trips(database, router, message("m2", workspace="w1"))
    assert len(with_policy) == len(without)
    assert [("surge_count" in one, "surge_hour" in one) for one in without] == [(False, False)] * len(without)
    assert await surges.counts(database) == {"workspace": 1, "channel:chn_1": 1}


async def test_each_message_counts_for_its_workspace_channel_lane_and_tags(admin, database):
    await in_force(database, REFUNDS, CARE)
    await surges.policy(admin)
    await surges.say(database, 2, text="a refund")
    await surges.say(database, 3, text="it is broken")
    assert await surges.counts(database) == {
        "workspace": 5,
        surges.channel(): 5,
        "lane:care": 3,
        "tag:money": 2,
    }


async def test_only_what_is_watched_is_counted(admin, database):
    await in_force(database, REFUNDS)
    await surges.policy(admin, watch=["tag"])
    await surges.say(database, 2, text="a refund")
    assert await surges.counts(database) == {"tag:money": 2}


async def test_what_is_delivered_again_ignored_or_understood_afterwards_is_not_counted(admin, database):
    await in_force(database, STAFF)
    await surges.policy(admin, watch=["workspace"])
    for _ in range(2):
        await past.decide(database, [message("m", workspace="w1", author="c2")])
    await past.decide(database, [message("x", workspace="w1", author="c1")])
    await past.decide(database, [message("y", workspace="w1", author="c3", replayed=True)])
    assert await surges.counts(database) == {"workspace": 1}


async def test_a_batch_that_is_rolled_back_counts_nothing(admin, database):
    await surges.policy(admin)

    async def break_off() -> None:
        async with database.transaction(Batch(frozenset({"w1"})), schema="router") as tx:
            await Router().on_messages(tx, [received(message("m", workspace="w1"))])
            await tx.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await break_off()
    assert await surges.counts(database) == {}


async def test_two_processes_count_in_rows_of_their_own(admin, database):
    await surges.policy(admin, watch=["workspace"])
    for writer in (1, 2):
        await past.decide(database, [message(f"m{writer}", workspace="w1")], by=Router(Shadows(writer)))
    rows = await past.own(database, "SELECT messages FROM router.surge_count WHERE subject = 'workspace'")
    assert [row["messages"] for row in rows] == [1, 1]


async def test_a_message_that_waited_counts_when_it_came_and_none_in_the_future(admin, database):
    await surges.policy(admin, watch=["workspace"])
    await surges.say(database, 2, ago=timedelta(hours=5))
    await surges.say(database, 3, ago=-timedelta(hours=5))
    rows = await past.own(database, "SELECT messages, now() - minute AS age FROM router.surge_count ORDER BY minute")
    assert [row["messages"] for row in rows] == [2, 3]
    assert timedelta(hours=5) <= rows[0]["age"] < timedelta(hours=5, minutes=2)
    assert timedelta() <= rows[1]["age"] < timedelta(minutes=2)


async def test_minutes_become_hours_and_hours_are_forgotten(admin, database):
    await surges.policy(admin, watch=["workspace"])
    await surges.say(database, 2, ago=timedelta(hours=5))
    await surges.say(database, 2, ago=timedelta(hours=5))
    await surges.say(database, 1, ago=timedelta(weeks=WEEKS, days=1))
    await surges.say(database, 4)
    for _ in range(2):
        await surges.look(database)
    minutes = await past.own(database, "SELECT messages FROM router.surge_count")
    hours = await past.own(database, "SELECT sum(messages)::int AS messages FROM router.surge_hour")
    assert ([row["messages"] for row in minutes], [row["messages"] for row in hours]) == ([4], [4])


async def test_what_comes_late_is_added_to_its_hour(admin, database):
    await surges.policy(admin, watch=["workspace"])
    for number in (2, 3):
        await surges.say(database, number, ago=timedelta(hours=30))
        await surges.look(database)
    rows = await past.own(database, "SELECT sum(messages)::int AS messages FROM router.surge_hour")
    assert [row["messages"] for row in rows] == [5]


# -- the policy ----------------------------------------------------------------------------------------------------


async def test_a_policy_is_kept_read_and_changed_by_whoever_has_read_it(admin):
    assert (await admin.get("/v1/surge-policy")).status_code == 404
    made = await admin.put("/v1/surge-policy", json={"during": {"priority": "high"}})
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    read = (await admin.get("/v1/surge-policy")).json()
    assert (read["version"], read["during"]["priority"], read["enter"]["factor"]) == (1, "high", 3.0)
    assert (await admin.put("/v1/surge-policy", json={})).status_code == 428
    assert (await admin.put("/v1/surge-policy", json={}, headers={"If-Match": '"7"'})).status_code == 412
    changed = await admin.put("/v1/surge-policy", json={}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    assert changed.json()["counting_since"] == read["counting_since"]


async def test_without_the_policy_what_was_counted_is_forgotten(admin, database):
    await surges.policy(admin)
    await surges.say(database, 2)
    assert (await admin.delete("/v1/surge-policy")).status_code == 428
    assert (await admin.delete("/v1/surge-policy", headers={"If-Match": '"2"'})).status_code == 412
    assert (await admin.delete("/v1/surge-policy", headers={"If-Match": '"1"'})).status_code == 204
    assert await surges.counts(database) == {}
    assert await past.own(database, "SELECT 1 FROM router.timer") == []
    assert (await admin.delete("/v1/surge-policy", headers={"If-Match": '"1"'})).status_code == 404
    await surges.say(database, 2)
    assert await surges.counts(database) == {}


async def test_who_changed_the_policy_to_what_stays_to_be_read_when_it_is_gone(admin):
    await surges.policy(admin, window_minutes=10)
    await surges.policy(admin, version=1, window_minutes=20)
    await admin.delete("/v1/surge-policy", headers={"If-Match": '"2"'})
    again = await surges.policy(admin, window_minutes=30)
    first = (await admin.get("/v1/surge-policy/history", params={"limit": 3})).json()
    rest = (await admin.get("/v1/surge-policy/history", params={"cursor": first["next_cursor"]})).json()
    shown = [*first["data"], *rest["data"]]
    assert [one["version"] for one in shown] == [again["version"], 3, 2, 1] == [4, 3, 2, 1]
    assert [one["policy"] and one["policy"]["window_minutes"] for one in shown] == [30, None, 20, 10]
    assert {one["author"] for one in shown} == {again["author"]}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"during": {"group_duplicates": {"within": 5}}}, "#/during/group_duplicates"),
        ({"during": {"team": "nobody"}}, "#/during/team"),
        ({"during": {"sing": True}}, "#/during/sing"),
        ({"during": {"tags": ["two words"]}}, "#/during/tags/0"),
        ({"window_minutes": 4}, "#/window_minutes"),
        ({"enter": {"at_least": 0}}, "#/enter/at_least"),
        ({"enter": {"factor": 2}, "leave": {"factor": 2}}, "#/leave/factor"),
        ({"watch": []}, "#/watch"),
        ({"watch": ["moon"]}, "#/watch/0"),
    ],
)
async def test_what_cannot_work_is_refused_by_its_place(admin, body, pointer):
    answer = await admin.put("/v1/surge-policy", json=body)
    assert (answer.status_code, [one["pointer"] for one in answer.json()["errors"]]) == (422, [pointer])
    assert (await admin.get("/v1/surge-policy")).status_code == 404
