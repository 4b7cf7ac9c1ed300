"""Rules tell people and endpoints: refused where nobody would hear it, shown wherever decisions are."""

import pytest

from shared.db.appending import decode_headers
from shared.db.scope import Scan, Workspace
from shared.events import envelope
from shared.events.catalogue import ROUTING
from shared.events.routing import Flag
from shared.events.tickets import TicketUpdated
from shared.platform.store import endpoints
from tests.support import past
from tests.support.messages import message
from tests.support.ticket_events import created, told
from tests.support.triggers import W, happen, in_force, routed

TELLS = {
    "name": "refunds",
    "when": {"text": "refund"},
    "then": {"notify": {"text": "Somebody wants money", "team": "care"}, "webhook": {"endpoint": "end_1"}},
}
FLAG = Flag(rule="refunds", text="Somebody wants money", team="care", endpoint="end_1")
SHOWN = {"rule": "refunds", "text": "Somebody wants money", "team": "care", "endpoint": "end_1"}


@pytest.fixture
async def admin(database):
    async with past.admin(database) as opened:
        async with database.transaction(Workspace(W)) as tx:
            await endpoints.add(tx, W, "end_1")
        yield opened


async def decisions(database):
    async with database.transaction(Scan()) as tx:
        rows = await tx.fetch("SELECT headers, value FROM log.event WHERE topic = $1 ORDER BY id", ROUTING)
    return [envelope.decode(decode_headers(row["headers"]), row["value"]).data.decision for row in rows]


async def test_a_decision_tells_what_its_rules_say_and_explains_it(admin, database):
    await past.activate(database, await past.keep(database, TELLS))
    came = message(workspace=W, text="A refund, please")
    late = message("m2", workspace=W, text="refund!", replayed=True)
    await past.decide(database, [came, late, message("m3", workspace=W, text="Hello")])
    assert [one.flags for one in await decisions(database)] == [(FLAG,), (), ()]
    kept = (await admin.get(f"/v1/decisions/{came.id}")).json()["decision"]
    assert kept["action"]["flags"] == [SHOWN]
    tried = (await admin.post("/v1/rulesets/2/test", json={"network": "x", "text": "refund"})).json()
    assert tried["action"]["flags"] == [SHOWN]


async def test_backtests_and_shadows_tell_who_would_be_told(admin, database):
    quiet = await past.keep(database, TELLS | {"then": {"tags": ["money"]}})
    await past.activate(database, quiet)
    loud = await past.keep(database, TELLS | {"then": TELLS["then"] | {"tags": ["money"]}})
    await admin.post(f"/v1/rulesets/{loud}/shadow")
    await past.decide(database, [message(workspace=W, text="refund")])
    line = "care, end_1: Somebody wants money"
    report = (await admin.get(f"/v1/rulesets/{loud}/shadow")).json()
    assert report["changes"] == [{"aspect": "flag", "before": None, "after": line, "messages": 1}]
    found = (await admin.post(f"/v1/rulesets/{loud}/backtest", json={})).text.splitlines()[-1]
    assert f'"flag":[{{"before":null,"after":"{line}","messages":1' in found
    changed = (await admin.get(f"/v1/rulesets/{loud}/diff")).json()["rules"]["changed"]
    assert changed[0]["then"]["after"]["webhook"] == {"endpoint": "end_1"}


async def test_whom_nobody_knows_is_refused_by_his_place(admin):
    then = {"notify": {"text": "x", "agents": ["agt_gone"]}, "webhook": {"endpoint": "end_gone"}}
    document = {"fallback": {"team": "care"}, "rules": [TELLS | {"then": then}]}
    refused = await admin.post("/v1/rulesets", json={"document": document})
    assert refused.status_code == 422
    assert [(one["code"], one["pointer"]) for one in refused.json()["errors"]] == [
        ("unknown-agent", "/rules/0/then/notify/agents/0"),
        ("unknown-endpoint", "/rules/0/then/webhook/endpoint"),
    ]


async def test_a_trigger_tells_and_where_the_ticket_had_moved_on_it_is_asked_again(admin, database):
    await in_force(database, TELLS | {"on": "customer.replied"})
    said = message("m2", workspace=W, text="refund")
    reply = told(TicketUpdated, 2, workspace=W, message=said, changes=("messages",))
    await happen(database, created(workspace=W), reply)
    [first] = await routed(database)
    assert (first.decision.flags, first.ticket_version) == ((FLAG,), 2)
    await happen(database, told(TicketUpdated, 3, workspace=W, changes=("tags",), ticket={"tags": ("other",)}))
    assert [(one.ticket_version, one.decision.flags) for one in await routed(database)] == [(2, (FLAG,)), (3, (FLAG,))]
