"""Texts are classified before the transaction, once, within a deadline; without an answer everything is routed all the same."""

import dataclasses
import json

import pytest

from services.router.handlers.classifying import Classifier
from services.router.settings import RouterSettings
from shared.egress import AddressPolicy, Egress
from shared.errors import Misconfigured
from tests.support import past
from tests.support.classifying import classifying
from tests.support.messages import message

ANGRY = {"name": "angry", "when": {"sentiment": "negative", "urgency": "high"}, "then": {"team": "care"}}
LANES = {"lanes": {"care": {"en": ["refund"]}}}


@pytest.fixture
async def admin(database):
    async with past.admin(database) as opened:
        yield opened


async def in_force(database, *rules, **parts):
    version = await past.keep(database, *rules, **parts)
    await past.activate(database, version)
    return version


def said(number, text):
    return message(f"m{number}", workspace="w1", text=text)


def outcomes(decided):
    return [one["facts"]["classified"]["outcome"] for one in decided]


async def test_a_mood_decides_and_is_kept_with_the_time_that_it_took(admin, database):
    await in_force(database, ANGRY)
    async with classifying(database, token="secret") as floor:
        first, second = await floor.decide(said(1, "negative thing"), said(2, "positive thing"))
        assert (first["rule"], second["rule"]) == ("angry", "fallback")
        assert floor.asked.texts == [["negative thing", "positive thing"]]
        assert "authorization: bearer secret" in floor.asked.heads[0]
        why = (await admin.get(f"/v1/decisions/{said(1, '').id}")).json()["decision"]
    assert why["facts"]["sentiment"] == "negative"
    assert why["enrichment"]["classifier"].keys() == {"outcome", "milliseconds"}
    assert why["matched"][0]["evidence"][0]["was"] == "negative"


async def test_nobody_is_asked_where_no_rule_asks(admin, database):
    await in_force(database, past.REFUNDS)
    async with classifying(database) as floor:
        [decided] = await floor.decide(said(1, "negative refund"))
        assert (floor.asked.texts, "classified" in decided["facts"]) == ([], False)


async def test_a_text_is_asked_about_once(admin, database):
    await in_force(database, ANGRY)
    async with classifying(database) as floor:
        again = [said(number, "negative") for number in range(3)]
        assert outcomes(await floor.decide(*again)) == ["answered"] * 3
        [later] = await floor.decide(said(9, "negative"))
        assert (later["rule"], later["facts"]["classified"]["outcome"]) == ("angry", "remembered")
        assert floor.asked.texts == [["negative"]]
        assert (floor.count("answered"), floor.count("remembered")) == (3, 1)


async def test_many_texts_go_in_several_questions_and_long_ones_are_cut(admin, database):
    await in_force(database, ANGRY)
    async with classifying(database, batch=2) as floor:
        texts = [f"negative {number}" for number in range(4)] + ["negative " + "x" * 10_000]
        decided = await floor.decide(*(said(number, text) for number, text in enumerate(texts)))
        assert {one["rule"] for one in decided} == {"angry"}
        assert sorted(map(len, floor.asked.texts)) == [1, 2, 2]
        assert max(len(text) for some in floor.asked.texts for text in some) == 4_000


async def test_a_slow_classifier_is_not_waited_for(admin, database):
    await in_force(database, ANGRY)
    async with classifying(database, lambda _: None, timeout_ms=20) as floor:
        [decided] = await floor.decide(said(1, "negative"))
        assert (decided["rule"], decided["facts"]["classified"]["outcome"]) == ("fallback", "late")
        assert "sentiment" not in decided["facts"]["classified"]


async def test_a_failing_classifier_is_left_alone_for_a_while_and_then_tried_again(admin, database):
    await in_force(database, ANGRY)
    broken = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    async with classifying(database, lambda _: broken, failures=2, rest_ms=60_000) as floor:
        decided = [(await floor.decide(said(number, f"negative {number}")))[0] for number in range(4)]
        assert outcomes(decided) == ["failed", "failed", "resting", "resting"]
        assert {one["rule"] for one in decided} == {"fallback"}
        assert len(floor.asked.texts) == 2
        floor.clock.advance(61)
        [still] = await floor.decide(said(5, "negative 0"))
        assert (outcomes([still]), len(floor.asked.texts)) == (["failed"], 3)
        floor.clock.advance(61)
        floor.asked.says = lambda texts: {"results": [{"sentiment": "negative", "urgency": "high"}] * len(texts)}
        [well] = await floor.decide(said(6, "negative 0"))
        assert (well["rule"], outcomes([well])) == ("angry", ["answered"])


async def test_one_failure_leaves_other_texts_to_be_asked_about(admin, database):
    await in_force(database, ANGRY)
    async with classifying(database, lambda _: {"results": []}) as floor:
        assert outcomes(await floor.decide(said(1, "negative"))) == ["failed"]
        assert outcomes(await floor.decide(said(2, "negative"))) == ["resting"]
        floor.asked.says = lambda texts: {"results": [{"sentiment": "negative", "urgency": "high"}] * len(texts)}
        assert outcomes(await floor.decide(said(3, "negative too"))) == ["answered"]


@pytest.mark.parametrize(
    "odd",
    [
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + b" " * 2_000_000,
        b"not HTTP at all\r\n\r\n",
        {"results": [{"sentiment": "furious", "urgency": 11}]},
    ],
)
async def test_odd_answers_tell_nothing_and_stop_nothing(admin, database, odd):
    await in_force(database, ANGRY)
    async with classifying(database, lambda _: odd) as floor:
        [decided] = await floor.decide(said(1, "negative"))
        assert decided["rule"] == "fallback"
        assert "sentiment" not in decided["facts"]["classified"]


async def test_a_classifier_that_is_not_there_stops_nothing(admin, database):
    await in_force(database, ANGRY)
    async with classifying(database) as floor:
        settings = RouterSettings.load(classifier_timeout_ms=5_000)
        floor.router._classifier = Classifier(floor.runtime, settings, "http://127.0.0.1:9/")
        [decided] = await floor.decide(said(1, "negative"))
        assert (decided["rule"], outcomes([decided])) == ("fallback", ["failed"])


class Failing:
    """An egress with a bug."""

    async def deliver(self, *_, **__):
        raise ZeroDivisionError


async def test_even_a_bug_on_the_way_out_stops_nothing(admin, database):
    await in_force(database, ANGRY)
    async with classifying(database) as floor:
        floor.router._classifier._runtime = dataclasses.replace(floor.runtime, egress=Failing())
        [decided] = await floor.decide(said(1, "negative"))
        assert (decided["rule"], outcomes([decided])) == ("fallback", ["failed"])


async def test_a_lane_is_told_by_words_or_by_the_classifier(admin, database):
    await in_force(database, {"name": "care", "when": {"lane": "care"}, "then": {"team": "care"}}, **LANES)
    lanes = {"results": [{"lane": "care"}, {"lane": "sales"}, {}]}
    async with classifying(database, lambda _: lanes) as floor:
        decided = await floor.decide(said(1, "my order is late"), said(2, "refund"), said(3, "hello"))
        assert [one["rule"] for one in decided] == ["care", "care", "fallback"]
        why = (await admin.get(f"/v1/decisions/{said(1, '').id}")).json()["decision"]
    [evidence] = why["matched"][0]["evidence"]
    assert (evidence["fact"], evidence["was"]) == ("lane", "care")


async def test_a_candidate_that_asks_is_told_and_what_is_in_force_is_not_disturbed(admin, database):
    await in_force(database, past.REFUNDS)
    version = await past.keep(database, ANGRY)
    assert (await admin.post(f"/v1/rulesets/{version}/shadow")).status_code == 201
    async with classifying(database) as floor:
        [decided] = await floor.decide(said(1, "negative"))
        assert decided["facts"]["classified"]["sentiment"] == "negative"
    report = (await admin.get(f"/v1/rulesets/{version}/shadow")).json()
    assert {"aspect": "team", "before": "community", "after": "care", "messages": 1} in report["changes"]


async def test_a_backtest_says_what_was_not_looked_up_then(admin, database):
    await in_force(database, past.REFUNDS)
    async with classifying(database) as floor:
        await floor.decide(said(1, "negative thing"))
        await in_force(database, ANGRY)
        await floor.decide(said(2, "negative thing"))
    asking = await past.keep(database, ANGRY | {"name": "and new", "when": ANGRY["when"] | {"author.first": True}})
    lines = (await admin.post(f"/v1/rulesets/{asking}/backtest", json={"days": 1})).text.splitlines()
    assert json.loads(lines[-1])["unknown"] == {"author.first": 2, "sentiment": 1, "urgency": 1}


async def test_made_up_messages_have_made_up_moods(admin, database):
    version = await past.keep(database, ANGRY)
    body = {"network": "x", "text": "hm", "sentiment": "negative", "urgency": "high"}
    answer = (await admin.post(f"/v1/rulesets/{version}/test", json=body)).json()
    assert answer["rule"] == "angry"


async def test_a_rule_that_nobody_can_ever_answer_is_warned_about(admin, database):
    document = {"fallback": {"team": "community"}, "rules": [ANGRY]}
    warnings = (await admin.post("/v1/rulesets", json={"document": document})).json()["warnings"]
    assert {(one["pointer"], one["code"]) for one in warnings} == {
        ("/rules/0/when/sentiment", "never-told"),
        ("/rules/0/when/urgency", "never-told"),
    }


async def test_an_address_that_may_not_be_called_is_refused_at_the_start(database):
    runtime = dataclasses.replace(past.runtime(database), egress=Egress(AddressPolicy()))
    with pytest.raises(Misconfigured, match="BATON_CLASSIFIER_URL"):
        Classifier(runtime, RouterSettings.load(), "http://10.0.0.1/classify")
