"""Rules are tried, compared and explained over HTTP before and after they are in force."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from services.router.api import structures
from services.router.api.rulesets import router
from services.router.handlers import deciding as handlers
from services.router.service import LARGEST_RULESET
from shared.db.pool import Database
from shared.db.scope import Batch, Workspace
from shared.platform.store import channels
from shared.settings import KernelSettings
from tests.support import api
from tests.support.messages import AT, message, received
from tests.support.past import UNTOLD

RULE = {"name": "refunds", "when": {"text": "refund"}, "then": {"team": "care"}}


@pytest.fixture
async def admin(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    await api.new_workspace(database)
    token = await api.new_key(database)
    stub = api.Stub(router=router, body_limits={"/v1/rulesets": LARGEST_RULESET}, resources=[UNTOLD])
    async with api.client(api.new_app(database, stub), token) as opened:
        yield opened


async def keep(admin: httpx.AsyncClient, *rules, **parts) -> int:
    document = {"fallback": {"team": "community"}, "rules": list(rules), **parts}
    answer = await admin.post("/v1/rulesets", json={"document": document})
    assert answer.status_code == 201, answer.text
    return answer.json()["version"]


async def decide(database: Database, *messages) -> None:
    async with database.transaction(Batch(frozenset({"w1"})), schema="router") as tx:
        await handlers.Router().on_messages(tx, [received(one) for one in messages])


async def test_a_structures_rules_are_put_in_force_once(database):
    await api.new_workspace(database)
    async with api.client(
        api.new_app(database, api.Stub(router=structures.router)), await api.new_key(database)
    ) as admin:
        path = "/v1/rulesets/structures/rotation"
        told = (await admin.post(path, json={"dry_run": True})).json()
        assert (told["changed"], told["version"], told["changes"]["rules"]["added"]) == (
            True,
            1,
            ["rotation: everything"],
        )
        done = (await admin.post(path, json={})).json()
        assert (done["changed"], done["version"], done["changes"]) == (True, 2, told["changes"])
        again = (await admin.post(path, json={})).json()
        assert (again["changed"], again["version"]) == (False, 2)
        # Its teams are made first, by tickets.
        assert (await admin.post("/v1/rulesets/structures/network", json={})).status_code == 422
        assert (await admin.post("/v1/rulesets/structures/network", json={"dry_run": True})).status_code == 200
        assert (await admin.post("/v1/rulesets/structures/none", json={})).status_code == 404


async def test_the_schema_of_rulesets_is_served(admin):
    schema = (await admin.get("/v1/rulesets/schema")).json()
    assert "author.followers" in schema["$defs"]["Condition"]["properties"]


async def test_a_ruleset_may_be_larger_than_other_bodies(admin):
    many = [RULE | {"name": f"rule {number}", "when": {"text": [f"word{number}" * 20]}} for number in range(1_500)]
    assert len(json.dumps(many)) > KernelSettings().api_body_limit
    version = await keep(admin, *many)
    assert len((await admin.get(f"/v1/rulesets/{version}")).json()["document"]["rules"]) == len(many)
    refused = await admin.post("/v1/rulesets", content=b" " * (LARGEST_RULESET + 1))
    assert (refused.status_code, refused.json()["limit"]) == (413, LARGEST_RULESET)


async def test_what_cannot_be_kept_is_a_problem_document_that_points_at_it(admin):
    wrong = {"fallback": {"team": "care"}, "rules": [RULE | {"then": {"team": "care", "sla": "gold"}}]}
    refused = await admin.post("/v1/rulesets", json={"document": wrong})
    assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")
    [error] = refused.json()["errors"]
    assert (error["pointer"], error["unavailable"]) == ("/rules/0/then/sla", "sla")


async def test_what_is_certainly_wrong_is_refused_and_what_is_doubtful_is_told(admin):
    never = {"name": "never", "when": {"all": [{"network": "x"}, {"network": "api"}]}, "then": {"team": "nobody"}}
    refused = await admin.post("/v1/rulesets", json={"document": {"fallback": {"team": "care"}, "rules": [never]}})
    assert {(error["code"], error["pointer"]) for error in refused.json()["errors"]} == {
        ("contradictory", "/rules/0/when"),
        ("unknown-team", "/rules/0/then/team"),
    }
    again = {"name": "again", "when": {"text": ["refund"]}, "then": {"team": "product", "agent": "agt_gone"}}
    document = {"fallback": {"team": "care"}, "rules": [RULE, again], "lists": {"vip": {"ids": ["1"]}}}
    kept = (await admin.post("/v1/rulesets", json={"document": document})).json()
    assert {(one["code"], one["pointer"]) for one in kept["warnings"]} == {
        ("duplicate", "/rules/1"),
        ("unknown-agent", "/rules/1/then/agent"),
        ("unused", "/lists/vip"),
    }
    assert kept["cost"]["filed_under"] == {"keyword": 2}


async def test_a_version_is_tried_on_a_message_that_came_and_quotes_it_as_it_was_written(admin, database):
    came = message(workspace="w1", text="Ich will  ＲＥＦＵＮＤ!")
    await decide(database, came)
    version = await keep(admin, RULE)
    told = (await admin.post(f"/v1/rulesets/{version}/test", json={"message_id": came.id})).json()
    assert (told["rule"], told["ruleset_version"]) == ("refunds", version)
    assert [one["found"] for one in told["matched"][0]["evidence"]] == ["ＲＥＦＵＮＤ"]
    kept = (await admin.get(f"/v1/decisions/{came.id}")).json()
    assert kept["decision"]["ruleset_version"] == 1
    assert kept["decision"]["facts"]["time"] == AT.isoformat()


async def test_a_version_is_tried_on_a_message_that_never_came_at_a_time_of_ones_own(admin):
    office = {"zone": "Europe/Berlin", "hours": {"mon": [["09:00", "17:00"]]}}
    night = {"name": "night", "when": {"time": {"outside": "office"}}, "then": {"tags": ["night"], "priority": "high"}}
    version = await keep(admin, night, RULE, calendars={"office": office})
    body = {"network": "x", "text": "refund", "author_followers": 5}
    for hour, rules in (
        ("2026-11-23T10:00:00+01:00", ["refunds"]),
        ("2026-11-23T18:00:00+01:00", ["night", "refunds"]),
    ):
        told = (await admin.post(f"/v1/rulesets/{version}/test", json=body | {"received_at": hour})).json()
        assert [one["rule"] for one in told["matched"]] == rules


@pytest.mark.parametrize(
    "body", [{}, {"message_id": "m", "network": "x"}, {"message_id": "m", "text": "x"}, {"text": "x"}]
)
async def test_a_trial_names_a_message_or_describes_one(admin, body):
    assert (await admin.post("/v1/rulesets/1/test", json=body)).status_code == 422


async def test_a_trial_of_a_message_that_nobody_decided_is_not_found(admin):
    assert (await admin.post("/v1/rulesets/1/test", json={"message_id": "msg_none"})).status_code == 404


async def test_two_versions_are_compared(admin):
    first = await keep(admin, RULE)
    second = await keep(admin, RULE | {"then": {"team": "product"}}, RULE | {"name": "more", "when": {"text": "money"}})
    found = (await admin.get(f"/v1/rulesets/{second}/diff")).json()
    assert (found["version"], found["against"], found["rules"]["added"]) == (second, first, ["more"])
    back = (await admin.get(f"/v1/rulesets/{first}/diff", params={"against": second})).json()
    assert back["rules"]["removed"] == ["more"]
    assert (await admin.get(f"/v1/rulesets/{first}/diff", params={"against": 99})).status_code == 404


async def test_what_a_channel_is_for_is_a_fact(admin, database):
    async with database.transaction(Workspace("w1")) as tx:
        await channels.create(
            tx, "w1", channel_id="chn_1", network="facebook", name="P", external_id="1", purpose="care", credentials=b""
        )
    version = await keep(admin, {"name": "care", "when": {"channel.purpose": "care"}, "then": {"team": "care"}})
    await admin.post(f"/v1/rulesets/{version}/activate")
    came = message(workspace="w1", channel="chn_1", text="Hello")
    await decide(database, came, message("m2", workspace="w1", channel="chn_2"))
    assert (await admin.get(f"/v1/decisions/{came.id}")).json()["decision"]["rule"] == "care"
