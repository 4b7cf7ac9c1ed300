"""A candidate decides real traffic beside the version in force: it is counted, shown, and touches nobody."""

import asyncio
import secrets

import pytest

from services.router.domain.compile import Verdict
from services.router.domain.outcome import Outcome
from services.router.handlers.deciding import Router
from services.router.handlers.shadows import RING, Shadows
from services.router.store.shadows import KEPT_RUNS
from shared.db.scope import Batch, Workspace
from shared.platform.store import channels
from shared.telemetry.metrics import Metrics
from tests.support import api, past
from tests.support.messages import message, received
from tests.support.past import REFUNDS

CANDIDATE = REFUNDS | {"then": {"team": "product", "tags": ["money"]}}


@pytest.fixture
async def admin(database):
    async with past.admin(database) as opened:
        await past.activate(database, await past.keep(database, REFUNDS))
        yield opened


async def shadowed(admin, database, *rules, workspace="w1"):
    version = await past.keep(database, *rules, workspace=workspace)
    answer = await admin.post(f"/v1/rulesets/{version}/shadow")
    assert answer.status_code == 201, answer.text
    return version


async def told(admin, version):
    return (await admin.get(f"/v1/rulesets/{version}/shadow")).json()


async def teams(database):
    rows = await past.own(database, "SELECT action ->> 'team' AS team FROM router.decision ORDER BY facts ->> 'text'")
    return [row["team"] for row in rows]


async def test_a_candidate_is_counted_and_shown_and_decides_nothing(admin, database):
    version = await shadowed(admin, database, CANDIDATE)
    await past.decide(database, ["Lovely", "a refund", "refund now"])
    found = await told(admin, version)
    assert (found["state"], found["messages"], found["different"], found["elsewhere"]) == ("running", 3, 2, 2)
    assert found["changes"] == [
        {"aspect": "priority", "before": "high", "after": "normal", "messages": 2},
        {"aspect": "team", "before": "care", "after": "product", "messages": 2},
    ]
    assert {one["text"] for one in found["examples"]} == {"a refund", "refund now"}
    assert found["examples"][0]["after"]["rule"] == "refunds"
    assert await teams(database) == ["community", "care", "care"]


async def test_what_is_delivered_again_is_not_counted_again(admin, database):
    version = await shadowed(admin, database, CANDIDATE)
    for _ in range(2):
        await past.decide(database, ["a refund"])
    found = await told(admin, version)
    assert (found["messages"], len(found["examples"])) == (1, 1)


async def test_of_many_differences_the_last_ones_are_kept(admin, database):
    version = await shadowed(admin, database, CANDIDATE)
    router = Router()
    for start in range(0, 60, 15):
        batch = [message(f"m{number}", workspace="w1", text=f"refund {number}") for number in range(start, start + 15)]
        await past.decide(database, batch, by=router)
    found = await told(admin, version)
    assert found["different"] == 60
    assert {one["text"] for one in found["examples"]} == {f"refund {number}" for number in range(60 - RING, 60)}


async def test_a_candidate_that_cannot_decide_ends_and_the_batch_goes_on(admin, database):
    version = await shadowed(admin, database, CANDIDATE)
    await past.own(
        database,
        'UPDATE router.ruleset SET document = \'{"from": "the future"}\' WHERE version = $1 RETURNING 1',
        version,
    )
    metrics = Metrics()
    for texts in (["a refund"], ["Lovely"]):
        await past.decide(
            database, [message(text, workspace="w1", text=text) for text in texts], by=Router(Shadows(0, metrics))
        )
    found = await told(admin, version)
    assert (found["state"], found["ended"], found["messages"]) == ("ended", "failed", 0)
    assert found["error"].startswith("Invalid: ")
    assert b"baton_shadow_failures_total 1.0" in metrics.exposition()[0]
    assert await teams(database) == ["community", "care"]


class Broken:
    """A compiled version that decides three messages and then no more."""

    weight = 1

    def __init__(self):
        self.left = 3

    def asks(self, fact):
        return False

    def decide(self, facts):
        self.left -= 1
        if self.left < 0:
            raise RecursionError("too deep")
        return Verdict(rule="r", action=Outcome(team="product"))


async def test_a_candidate_that_fails_over_one_message_leaves_the_others_as_they_were_decided(admin, database):
    version = await shadowed(admin, database, CANDIDATE)
    broken = Shadows()
    broken._compiled.keep("w1", version, Broken())
    await past.decide(database, [f"refund {number}" for number in range(5)], by=Router(broken))
    found = await told(admin, version)
    assert (found["ended"], found["error"], found["messages"]) == ("failed", "RecursionError: too deep", 0)
    assert await teams(database) == ["care"] * 5


async def test_names_of_any_length_are_counted(admin, database):
    agent = secrets.token_hex(5_000)  # so that it cannot be packed
    version = await shadowed(admin, database, CANDIDATE | {"then": {"team": "care", "agent": agent}})
    await past.decide(database, ["a refund"])
    [change] = [one for one in (await told(admin, version))["changes"] if one["aspect"] == "agent"]
    assert (change["before"], change["after"], change["messages"]) == (None, agent[:200], 1)


async def test_a_candidate_ends_when_another_version_is_put_in_force_and_its_report_stays(admin, database):
    version = await shadowed(admin, database, CANDIDATE)
    await past.decide(database, ["a refund"])
    assert (await admin.post("/v1/rulesets/rollback")).status_code == 200
    await past.decide(database, [message("later", workspace="w1", text="refund")])
    found = await told(admin, version)
    assert (found["state"], found["ended"], found["messages"]) == ("ended", "activated", 1)


async def test_one_candidate_runs_at_a_time_until_it_is_stopped(admin, database):
    first = await shadowed(admin, database, CANDIDATE)
    second = await past.keep(database, REFUNDS)
    refused = await admin.post(f"/v1/rulesets/{second}/shadow")
    stopped = await admin.delete("/v1/rulesets/shadow")
    again = await admin.delete("/v1/rulesets/shadow")
    started = await admin.post(f"/v1/rulesets/{second}/shadow")
    assert [one.status_code for one in (refused, stopped, again, started)] == [409, 204, 404, 201]
    ended = await told(admin, first)
    assert (ended["ended"], ended["ended_by"]) == ("stopped", ended["author"])


async def test_two_candidates_that_start_at_once_are_one(admin, database):
    versions = [await past.keep(database, CANDIDATE) for _ in range(2)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(admin.post(f"/v1/rulesets/{version}/shadow")) for version in versions]
    assert sorted(task.result().status_code for task in tasks) == [201, 409]


async def test_what_is_in_force_missing_or_not_allowed_does_not_run_as_a_shadow(admin, database):
    version = await past.keep(database, CANDIDATE)
    answers = [
        await admin.post("/v1/rulesets/2/shadow"),
        await admin.post("/v1/rulesets/99/shadow"),
        await admin.get(f"/v1/rulesets/{version}/shadow"),
    ]
    admin.headers["Authorization"] = f"Bearer {await api.new_key(database, role='analyst')}"
    answers += [await admin.post(f"/v1/rulesets/{version}/shadow"), await admin.delete("/v1/rulesets/shadow")]
    assert [answer.status_code for answer in answers] == [409, 404, 404, 403, 403]


async def test_a_start_that_is_sent_twice_with_one_key_starts_once(admin, database):
    version = await past.keep(database, CANDIDATE)
    answers = [
        await admin.post(f"/v1/rulesets/{version}/shadow", headers={"Idempotency-Key": "once"}) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()


async def test_a_candidate_that_starts_again_counts_from_nothing_and_old_runs_go(admin, database):
    version = await shadowed(admin, database, CANDIDATE)
    await past.decide(database, ["a refund"])
    for _ in range(KEPT_RUNS):
        await admin.delete("/v1/rulesets/shadow")
        await admin.post(f"/v1/rulesets/{version}/shadow")
    assert ((await told(admin, version))["messages"], (await told(admin, version))["examples"]) == (0, [])
    assert len(await past.own(database, "SELECT 1 FROM router.shadow")) == KEPT_RUNS
    assert await past.own(database, "SELECT 1 FROM router.shadow_count") == []


async def test_each_workspace_of_a_batch_has_its_own_candidate_or_none(admin, database):
    for workspace in ("w2", "w3"):
        await api.new_workspace(database, workspace)
    mine = await shadowed(admin, database, CANDIDATE)
    async with api.client(
        api.new_app(database, past.router(past.runtime(database))), await api.new_key(database, "w2")
    ) as other:
        theirs = await shadowed(
            other, database, {"name": "all", "when": {"kind": "dm"}, "then": {"ignore": True}}, workspace="w2"
        )
        events = [
            received(message("m1", workspace=workspace, channel=workspace, text="refund"))
            for workspace in ("w1", "w2", "w3")
        ]
        async with database.transaction(Batch(frozenset({"w1", "w2", "w3"})), schema="router") as tx:
            await Router().on_messages(tx, events)
        found = [await told(admin, mine), await told(other, theirs)]
        assert (await other.get(f"/v1/rulesets/{mine}/shadow")).status_code == 404
    assert [one["messages"] for one in found] == [1, 1]
    assert {"aspect": "outcome", "before": "route", "after": "ignore", "messages": 1} in found[1]["changes"]


async def test_a_candidate_may_ask_what_nothing_in_force_asks_for(admin, database):
    async with database.transaction(Workspace("w1")) as tx:
        await channels.create(
            tx, "w1", channel_id="chn_w1", network="x", name="P", external_id="1", purpose="care", credentials=b""
        )
    version = await shadowed(
        admin, database, {"name": "care", "when": {"channel.purpose": "care"}, "then": {"team": "care"}}
    )
    await past.decide(database, ["Lovely"])
    assert [(one["before"], one["after"]) for one in (await told(admin, version))["changes"]] == [("community", "care")]


async def test_a_batch_makes_as_many_statements_with_a_candidate_as_without_however_large_it_is(admin, database):
    router, counts = Router(), []

    async def statements(name, size):
        asked = []
        events = [
            received(message(f"{name}{number}", workspace="w1", text=f"refund {number}")) for number in range(size)
        ]
        async with database.transaction(Batch(frozenset({"w1"})), schema="router") as tx:
            tx._connection.add_query_logger(asked.append)
            await router.on_messages(tx, events)
            await tx.flush()
            tx._connection.remove_query_logger(asked.append)
        counts.append(len(asked))

    await statements("compiles", 1)
    await statements("alone", 2)
    await shadowed(admin, database, CANDIDATE)
    await statements("compiles too", 1)
    await statements("few", 2)
    await statements("many", 200)
    assert counts[1] == counts[3] == counts[4]


async def test_two_processes_compare_without_waiting_for_each_other_and_add_up(admin, database):
    version = await shadowed(admin, database, CANDIDATE)
    gate = asyncio.Barrier(2)

    async def work(writer):
        # Only whoever meets the same new author waits, to learn who saw him first.
        event = received(message(f"of {writer}", workspace="w1", author=f"c{writer}", text="refund"))
        async with database.transaction(Batch(frozenset({"w1"})), schema="router") as tx:
            await Router(Shadows(writer)).on_messages(tx, [event])
            await tx.flush()
            # Both have written, neither has committed: with rows in common this could never be.
            async with asyncio.timeout(10):
                await gate.wait()

    async with asyncio.TaskGroup() as group:
        for writer in (1, 2):
            group.create_task(work(writer))
    found = await told(admin, version)
    assert (found["messages"], len(found["examples"])) == (2, 2)
