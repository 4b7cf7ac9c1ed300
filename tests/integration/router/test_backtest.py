"""A version is tried on what came in the past, without touching anybody, and stops when nobody listens any more."""

import csv
import json
import tracemalloc
from contextlib import aclosing

import httpx
import pytest

from services.router.domain.comparison import Difference
from services.router.handlers.backtests import Backtests, Limits, Progress, Report
from shared.db.scope import Workspace
from shared.errors import RateLimited, Unavailable
from shared.platform.store import channels
from tests.load import rules as made_up
from tests.support import api, past
from tests.support.messages import message
from tests.support.past import REFUNDS
from tests.support.served import served
from tests.support.waiting import eventually

PRICES = {"name": "prices", "when": {"text": "how much"}, "then": {"team": "product", "tags": ["product"]}}
TEXTS = ("I want a refund", "Lovely", "How much is it?", "refund refund")


@pytest.fixture
async def ready(database):
    await api.new_workspace(database)
    return database


async def prepared(home, version, *, days=7, against=None, workspace="w1"):
    async with home.runtime.transaction(workspace) as tx:
        return await home.prepare(tx, workspace, version, days=days, against=against)


async def run(database, version, *, limits=None, **options):
    home = Backtests(past.runtime(database), limits or Limits())
    backtest = await prepared(home, version, **options)
    async with aclosing(backtest.steps()) as steps:
        return [step async for step in steps]


def lines(answer):
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_the_version_in_force_decides_again_what_it_has_decided(ready):
    world = made_up.World(7, told=made_up.DENSE)
    document = world.document(150)
    document["rules"] += [
        {"name": "by purpose", "when": {"channel.purpose": "care"}, "then": {"tags": ["care"]}},
        {"name": "monday", "when": {"time": {"within": "office"}}, "then": {"priority": "high"}},
    ]
    calendars = {"office": {"zone": "Europe/Berlin", "hours": {"mon": [["09:00", "17:00"]]}}}
    version = await past.keep(ready, *document["rules"], calendars=calendars)
    await past.activate(ready, version)
    came = [
        message(str(number), workspace="w1", network=one.network, kind=one.kind, text=one.body, author=one.author_id)
        for number, one in enumerate(world.messages(300))
    ]
    await past.decide(ready, came[:200])
    await past.decide(ready, came[200:])
    *_, report = await run(ready, version, limits=Limits(page=37, slice=5))
    assert (report.ended, report.found["messages"], report.found["different"]) == ("done", 300, 0)
    assert all(one["before"] == one["after"] for one in report.found["rules"])
    assert sum(one["after"].decided for one in report.found["rules"]) == 300


async def test_a_report_counts_what_would_go_elsewhere_and_shows_examples(ready):
    await past.activate(ready, await past.keep(ready, REFUNDS, PRICES))
    await past.decide(ready, TEXTS)
    version = await past.keep(ready, REFUNDS | {"then": {"team": "product", "tags": ["money"]}})
    *steps, report = await run(ready, version)
    found = report.found
    assert (found["messages"], found["different"], found["elsewhere"]) == (4, 3, 3)
    moved = {(one["before"], one["after"]): one["messages"] for one in found["changes"]["team"]}
    assert moved == {("care", "product"): 2, ("product", "community"): 1}
    assert [(one["before"], one["after"], one["messages"]) for one in found["changes"]["priority"]] == [
        ("high", "normal", 2)
    ]
    assert [(one["before"], one["after"]) for one in found["changes"]["tag"]] == [("product", None)]
    assert {(one["before"], one["after"]) for one in found["decided_by"]} == {
        ("refunds", "refunds"),
        ("prices", "fallback"),
    }
    [example] = next(one for one in found["changes"]["team"] if one["after"] == "community")["examples"]
    assert (example.text, example.before["rule"], example.after["rule"]) == (
        "How much is it?",
        "prices",
        "fallback",
    )
    used = {one["rule"]: (one["before"].decided, one["after"].decided) for one in found["rules"]}
    assert used == {"refunds": (2, 2), "prices": (1, 0), "fallback": (1, 2)}
    assert len([step for step in steps if isinstance(step, Difference)]) == 3


async def test_two_versions_are_compared_on_the_same_messages(ready):
    await past.decide(ready, TEXTS)
    before = await past.keep(ready, REFUNDS)
    after = await past.keep(ready, REFUNDS | {"then": {"ignore": True}})
    *_, report = await run(ready, after, against=before)
    assert (report.against, report.found["messages"], report.found["different"]) == (before, 4, 2)
    assert [(one["before"], one["after"]) for one in report.found["changes"]["outcome"]] == [("route", "ignore")]


async def test_only_the_days_that_are_asked_for_are_looked_at(ready):
    await past.decide(ready, TEXTS)
    await past.own(
        ready,
        "UPDATE router.decision SET created_at = now() - interval '10 days' WHERE facts ->> 'text' = 'Lovely'",
    )
    counts = [(await run(ready, 1, days=days))[-1].found["messages"] for days in (7, 30)]
    assert counts == [3, 4]


async def test_a_backtest_sees_one_workspace_only(ready):
    await api.new_workspace(ready, "w2")
    await past.decide(ready, TEXTS)
    await past.decide(ready, ["refund of the others"], workspace="w2")
    *_, report = await run(ready, 1, workspace="w2")
    assert report.found["messages"] == 1


async def test_what_nobody_asked_for_when_it_was_decided_is_taken_as_it_is_now(ready):
    await past.decide(ready, ["Lovely"])
    async with ready.transaction(Workspace("w1")) as tx:
        await channels.create(
            tx, "w1", channel_id="chn_w1", network="x", name="P", external_id="1", purpose="care", credentials=b""
        )
    version = await past.keep(
        ready, {"name": "care page", "when": {"channel.purpose": "care"}, "then": {"team": "care"}}
    )
    *_, report = await run(ready, version)
    assert [(one["before"], one["after"]) for one in report.found["changes"]["team"]] == [("community", "care")]


async def test_decisions_of_the_first_release_are_understood(ready):
    await past.decide(ready, ["I want a refund"])
    await past.own(
        ready,
        'UPDATE router.decision SET evidence = \'[{"text": "refund", "start": 9, "end": 15}]\', '
        'facts = \'{"network": "facebook", "words": "i want a refund"}\'',
    )
    *_, report = await run(ready, 1)
    assert (report.found["messages"], report.found["different"]) == (1, 0)


async def test_no_transaction_is_open_while_a_backtest_waits_for_its_reader(ready):
    await past.decide(ready, TEXTS)
    version = await past.keep(ready, REFUNDS)
    backtest = await prepared(Backtests(past.runtime(ready), Limits(page=2, slice=1)), version)
    states = []
    async with aclosing(backtest.steps()) as steps:
        async for _ in steps:
            rows = await past.own(
                ready,
                "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
                "AND xact_start IS NOT NULL AND backend_type = 'client backend'",
            )
            states += [row["state"] for row in rows]
    assert states == []


async def test_at_the_deadline_it_tells_what_it_has_seen_and_of_which_time(ready):
    await past.decide(ready, TEXTS)
    *_, report = await run(ready, 1, limits=Limits(page=2, seconds=0))
    assert (report.ended, report.found["messages"]) == ("deadline", 2)
    assert report.since > (await run(ready, 1))[-1].since


async def test_a_process_that_leaves_ends_its_backtests_with_what_they_have_seen(ready):
    await past.decide(ready, TEXTS)
    home = Backtests(past.runtime(ready), Limits(page=2))
    backtest = await prepared(home, 1)
    async with aclosing(backtest.steps()) as steps:
        await anext(steps)
        home.runtime.stopping.set()
        rest = [step async for step in steps]
    assert rest[-1].ended == "stopping"
    with pytest.raises(Unavailable):
        await prepared(home, 1)


async def test_a_workspace_runs_one_backtest_at_a_time_and_a_process_two(ready):
    for workspace in ("w2", "w3"):
        await api.new_workspace(ready, workspace)
    home = Backtests(past.runtime(ready), Limits())
    first = (await prepared(home, 1)).steps()
    await anext(first)
    with pytest.raises(RateLimited):
        await prepared(home, 1)
    second = (await prepared(home, 1, workspace="w2")).steps()
    await anext(second)
    with pytest.raises(Unavailable):
        await prepared(home, 1, workspace="w3")
    await first.aclose()
    await second.aclose()
    assert [type(step) for step in await run_of(home)] == [Progress, Report]


async def run_of(home):
    return [step async for step in (await prepared(home, 1)).steps()]


async def test_memory_does_not_grow_with_the_past(ready):
    texts = [f"refund {number} " + "x" * 2_000 for number in range(600)]
    await past.decide(ready, texts[:100])
    version = await past.keep(ready)
    await run(ready, version)
    peaks = []
    for more in ([], texts):
        for start in range(0, len(more), 300):
            await past.decide(
                ready,
                [message(f"x{start}{n}", workspace="w1", text=one) for n, one in enumerate(more[start : start + 300])],
            )
        tracemalloc.start()
        home = Backtests(past.runtime(ready), Limits(page=25))
        async with aclosing((await prepared(home, version)).steps()) as steps:
            seen = [step.found["messages"] async for step in steps if isinstance(step, Report)]
        peaks.append((seen[0], tracemalloc.get_traced_memory()[1]))
        tracemalloc.stop()
    (few, small), (many, large) = peaks
    assert many == 7 * few
    assert large < 1.5 * small


async def test_lines_arrive_as_they_are_found_and_end_with_the_report(database):
    async with past.admin(database) as admin:
        await past.decide(database, TEXTS)
        version = await past.keep(database, REFUNDS)
        answer = await admin.post(f"/v1/rulesets/{version}/backtest", params={"differences": True}, json={"days": 7})
        short = await admin.post(f"/v1/rulesets/{version}/backtest", json={})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    kinds = [one["type"] for one in lines(answer)]
    assert (kinds[0], kinds[-1], kinds.count("difference")) == ("progress", "report", 3)
    assert [one["type"] for one in lines(short)] == ["progress", "report"]
    assert lines(short)[-1]["changes"] == lines(answer)[-1]["changes"]


@pytest.mark.parametrize("how", [{"headers": {"Accept": "text/csv"}}, {"params": {"format": "csv"}}])
async def test_every_difference_is_a_row_for_a_spreadsheet_that_takes_no_text_for_a_formula(database, how):
    async with past.admin(database) as admin:
        await past.activate(database, await past.keep(database, REFUNDS))
        await past.decide(database, ["=HYPERLINK(refund)", "Lovely"])
        version = await past.keep(database)
        answer = await admin.post(f"/v1/rulesets/{version}/backtest", json={}, **how)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    [row] = csv.DictReader(answer.text.splitlines())
    assert (row["text"], row["team_before"], row["team_after"]) == ("'=HYPERLINK(refund)", "care", "community")
    assert (row["rule_before"], row["tags_before"], row["changed"]) == ("refunds", "money", "team, priority, tag")


async def test_a_version_that_is_not_there_and_a_key_without_the_right_are_refused_before_anything_is_sent(database):
    async with past.admin(database) as admin:
        missing = await admin.post("/v1/rulesets/99/backtest", json={})
        against = await admin.post("/v1/rulesets/1/backtest", json={"against": 99})
        wrong = await admin.post("/v1/rulesets/1/backtest", json={"days": 0})
        admin.headers["Authorization"] = f"Bearer {await api.new_key(database, role='agent')}"
        forbidden = await admin.post("/v1/rulesets/1/backtest", json={})
    statuses = [answer.status_code for answer in (missing, against, wrong, forbidden)]
    assert statuses == [404, 404, 422, 403]
    assert {answer.headers["content-type"] for answer in (missing, wrong)} == {"application/problem+json"}


async def test_a_database_that_goes_away_in_the_middle_is_told_in_the_last_line(ready):
    await past.decide(ready, [message(f"m{number}", workspace="w1", text="refund") for number in range(400)])
    token = await api.new_key(ready)
    service = past.router(past.runtime(ready), Limits(page=1, slice=1))
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        served(api.new_app(ready, service)) as server,
        httpx.AsyncClient(base_url=server.url, headers=headers) as client,
        client.stream("POST", "/v1/rulesets/1/backtest", json={}) as answer,
    ):
        told = answer.aiter_lines()
        first = json.loads(await anext(told))
        await ready.pool.close()
        rest = [json.loads(line) async for line in told]
    assert (first["type"], rest[-1]["type"], rest[-1]["problem"]["status"]) == ("progress", "problem", 503)


async def test_a_caller_who_hangs_up_stops_the_work(ready):
    for start in range(0, 1_200, 400):
        await past.decide(
            ready, [message(f"m{number}", workspace="w1", text="refund") for number in range(start, start + 400)]
        )
    version = await past.keep(ready)
    tried = past.runtime(ready)
    token = await api.new_key(ready)
    service = past.router(tried, Limits(page=1, slice=1))
    request = (
        f"POST /v1/rulesets/{version}/backtest?differences=true HTTP/1.1\r\nHost: baton\r\nContent-Length: 2\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n\r\n{{}}"
    ).encode()
    home = service.resources[0]
    async with served(api.new_app(ready, service)) as server, server.line() as line:
        await line.send(request)
        await eventually(lambda: home.running and past.looked_at(tried) > 0)
        line.close()
        await eventually(lambda: not home.running)
        assert past.looked_at(tried) < 1_200
