"""What rules say goes out with the decision, and is told wherever a decision is tried or explained."""

import json

import pytest

from shared.events.catalogue import ROUTING
from tests.support import past
from tests.support.messages import message

GREETING = {
    "name": "hello",
    "when": {"network": "facebook"},
    "then": {"auto_reply": {"text": "Hi {{author.name|you}}!"}},
}


@pytest.fixture
async def admin(database):
    async with past.admin(database) as opened:
        yield opened


async def decided(database, **changes):
    """What tickets is told, and the message."""
    one = message("m1", workspace="w1", **changes)
    await past.decide(database, [one])
    [row] = await past.own(database, "SELECT value FROM log.event WHERE topic = $1", ROUTING)
    return one, json.loads(row["value"])["decision"].get("replies", [])


async def test_the_decision_carries_the_words_and_the_rule_and_the_trace_says_so(admin, database):
    version = await past.keep(database, GREETING)
    await past.activate(database, version)
    one, replies = await decided(database)
    assert replies == [{"kind": "public", "text": "Hi Customer c1!", "rule": "hello"}]
    explained = (await admin.get(f"/v1/decisions/{one.id}")).json()["decision"]
    assert explained["answers"] == [
        {"action": "auto_reply", "rule": "hello", "text": "Hi Customer c1!", "left_out": None}
    ]


async def test_what_was_understood_only_afterwards_is_decided_without_an_answer(admin, database):
    version = await past.keep(database, GREETING)
    await past.activate(database, version)
    _, replies = await decided(database, replayed=True)
    assert replies == []


async def test_an_answer_is_tried_before_it_is_said_to_anybody(admin, database):
    version = await past.keep(database, GREETING)
    asked = {"network": "facebook", "author_name": "Ann"}
    tried = (await admin.post(f"/v1/rulesets/{version}/test", json=asked)).json()
    assert [one["text"] for one in tried["answers"]] == ["Hi Ann!"]
    await past.decide(database, [message("m1", workspace="w1")])
    lines = (await admin.post(f"/v1/rulesets/{version}/backtest", json={"days": 1})).text.splitlines()
    report = json.loads(lines[-1])
    assert (report["different"], report["elsewhere"]) == (1, 0)
    assert [one["after"] for one in report["changes"]["auto_reply"]] == ["Hi {{author.name|you}}!"]
    diff = (await admin.get(f"/v1/rulesets/{version}/diff?against=1")).json()
    assert diff["rules"]["added"] == ["hello"]
