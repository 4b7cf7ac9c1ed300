"""The router decides each message once, by one version for the whole batch, and can say why."""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from services.router.domain.facts import Facts
from services.router.handlers import deciding as handlers
from services.router.handlers.remembered import Versions
from services.router.store import rulesets
from shared.db.appending import decode_headers
from shared.db.pool import Database
from shared.db.scope import Batch, Scan, Workspace
from shared.errors import Conflict, Invalid, NotFound
from shared.events import envelope
from shared.events.routing import MessageRouted, Moderation
from shared.platform.store import workspaces
from tests.support.messages import edited, message, received

A, B = "wsp_a", "wsp_b"


@pytest.fixture
async def ready(database: Database) -> Database:
    for workspace in (A, B):
        async with database.transaction(Workspace(workspace)) as tx:
            await workspaces.create(tx, workspace_id=workspace, name=workspace)
    return database


async def deliver(database: Database, router: handlers.Router, *events: envelope.Event) -> None:
    scope = Batch(frozenset(event.workspace_id for event in events))
    async with database.transaction(scope, schema="router") as tx:
        await router.on_messages(tx, events)


async def routed(database: Database) -> list[MessageRouted]:
    async with database.transaction(Scan()) as tx:
        rows = await tx.fetch("SELECT headers, value FROM log.event ORDER BY id")
    return [envelope.decode(decode_headers(row["headers"]), row["value"]).data for row in rows]


def work(database: Database, workspace: str):
    return database.transaction(Workspace(workspace), schema="router")


DOCUMENT = {
    "rules": [{"name": "all to care", "when": {"network": ["facebook"]}, "then": {"team": "care", "tags": ["x"]}}],
    "fallback": {"team": "community"},
}


async def test_a_complaint_goes_to_care_and_the_decision_is_kept_with_its_evidence(ready):
    await deliver(ready, handlers.Router(), received(message(workspace=A, text="This is broken, refund!")))
    [passed] = await routed(ready)
    assert (passed.decision.team, passed.decision.priority, passed.decision.tags) == ("care", "high", ("complaint",))
    async with work(ready, A) as tx:
        [why] = await handlers.explain(tx, A, passed.message.id)
    [complaints] = why["matched"]
    assert complaints["rule"] == "complaints"
    assert [(one["found"], one["start"], one["end"]) for one in complaints["evidence"]] == [
        ("broken", 8, 14),
        ("refund", 16, 22),
    ]


async def test_a_message_that_no_rule_matches_is_owned_by_the_fallback_team(ready):
    await deliver(ready, handlers.Router(), received(message(workspace=A, text="Lovely")))
    [passed] = await routed(ready)
    assert (passed.decision.rule, passed.decision.team) == ("fallback", "community")


async def test_a_redelivered_message_is_decided_and_passed_on_once(ready):
    event = received(message(workspace=A, text="hi"))
    for router in (handlers.Router(), handlers.Router()):
        await deliver(ready, router, event, event)
    assert len(await routed(ready)) == 1


async def test_outbound_items_and_edits_pass_through_without_a_decision(ready):
    await deliver(
        ready,
        handlers.Router(),
        received(message("o1", workspace=A, direction="out", origin="native")),
        edited(message("m1", workspace=A, text="refund")),
    )
    assert [(one.verb, one.decision) for one in await routed(ready)] == [("received", None), ("edited", None)]


async def test_two_workspaces_in_one_batch_are_decided_by_their_own_rules(ready):
    async with work(ready, A) as tx:
        created, _ = await handlers.create(tx, A, document=DOCUMENT, note=None, author="agt_1")
        await handlers.activate(tx, A, created.version, author="agt_1")
    await deliver(
        ready,
        handlers.Router(),
        received(message(workspace=A, channel="chn_a", text="Lovely")),
        received(message(workspace=B, channel="chn_b", text="Lovely")),
    )
    assert [(one.workspace_id, one.decision.team) for one in await routed(ready)] == [(A, "care"), (B, "community")]


async def test_a_new_version_holds_from_the_next_batch_on_and_rolls_back(ready):
    router = handlers.Router()
    async with work(ready, A) as tx:
        created, _ = await handlers.create(tx, A, document=DOCUMENT, note="try", author="agt_1")
    await deliver(ready, router, received(message("m1", workspace=A, text="Lovely")))
    async with work(ready, A) as tx:
        await handlers.activate(tx, A, created.version, author="agt_1")
    await deliver(ready, router, received(message("m2", workspace=A, text="Lovely")))
    async with work(ready, A) as tx:
        back = await handlers.rollback(tx, A, author="agt_1")
    await deliver(ready, router, received(message("m3", workspace=A, text="Lovely")))
    decided = [(one.decision.ruleset_version, one.decision.team) for one in await routed(ready)]
    assert decided == [(1, "community"), (2, "care"), (1, "community")]
    assert (back.version, back.active) == (1, True)


async def test_rolling_back_twice_goes_two_versions_back_and_then_no_further(ready):
    async with work(ready, A) as tx:
        for number in range(2):
            created, _ = await handlers.create(tx, A, document=DOCUMENT, note=str(number), author="agt_1")
            await handlers.activate(tx, A, created.version, author="agt_1")
        steps = [(await handlers.rollback(tx, A, author="agt_1")).version for _ in range(2)]
        with pytest.raises(NotFound):
            await handlers.rollback(tx, A, author="agt_1")
    assert steps == [2, 1]


async def test_a_ruleset_for_a_team_that_does_not_exist_is_refused(ready):
    async with work(ready, A) as tx:
        with pytest.raises(Invalid):
            await handlers.create(tx, A, document={"fallback": {"team": "nobody"}}, note=None, author="agt_1")


async def test_fifty_versions_written_at_once_get_fifty_numbers_or_a_conflict(ready):
    gate = asyncio.Barrier(12)
    outcomes: list[int | None] = []

    async def write() -> None:
        async with work(ready, A) as tx:
            await gate.wait()
            try:
                outcomes.append((await rulesets.create(tx, A, document=DOCUMENT, note=None, author="a")).version)
            except Conflict:
                outcomes.append(None)

    async with work(ready, A) as tx:
        await rulesets.active_versions(tx, [A])
    async with asyncio.TaskGroup() as group:
        for _ in range(12):
            group.create_task(write())
    versions = [version for version in outcomes if version is not None]
    assert len(versions) == len(set(versions)) >= 1
    async with work(ready, A) as tx:
        assert {one.version for one in await rulesets.page(tx, A, before=None, limit=100)} == {1, *versions}


async def test_a_rehearsal_changes_nothing_and_names_what_each_rule_missed(ready):
    facts = Facts(network="x", text="How much?")
    async with work(ready, A) as tx:
        await rulesets.active_versions(tx, [A])
        told = await handlers.rehearse(tx, A, 1, facts)
    assert (told["rule"], told["action"]["team"], told["action"]["lane"]) == ("buying questions", "product", "sales")
    assert [one["rule"] for one in told["matched"]] == ["buying questions"]
    assert [one["rule"] for one in told["late"]] == ["questions"]
    complaints = told["missed"][0]
    assert (complaints["rule"], complaints["failed"][0]["pointer"]) == ("complaints", "/rules/0/when/lane")
    assert await routed(ready) == []


async def test_one_workspace_cannot_see_anothers_rules_or_decisions(ready):
    await deliver(ready, handlers.Router(), received(message(workspace=A, text="refund")))
    [passed] = await routed(ready)
    async with work(ready, B) as tx:
        with pytest.raises(NotFound):
            await handlers.explain(tx, B, passed.message.id)
        assert await tx.fetchval("SELECT count(*) FROM router.decision") == 0


async def test_each_message_keeps_its_own_trace_however_they_are_batched(ready):
    traces = [f"00-{digit * 32}-{digit * 16}-01" for digit in "ab"]
    events = [received(message(f"m{number}", workspace=A)) for number in range(2)]
    await deliver(
        ready,
        handlers.Router(),
        *(msgspec.structs.replace(event, traceparent=trace) for event, trace in zip(events, traces, strict=True)),
    )
    async with ready.transaction(Scan()) as tx:
        rows = await tx.fetch("SELECT headers, value FROM log.event ORDER BY id")
    passed = [envelope.decode(decode_headers(row["headers"]), row["value"]) for row in rows]
    assert [event.traceparent for event in passed] == traces


async def test_rulesets_that_nobody_needs_are_forgotten_and_compiled_again(ready):
    versions = Versions(1)
    router = handlers.Router(versions=versions)
    for number, workspace in enumerate((A, B, A)):
        channel = f"chn_{workspace}"
        await deliver(
            ready, router, received(message(f"m{number}", workspace=workspace, channel=channel, text="refund"))
        )
        assert len(versions) == 1
    assert [one.decision.team for one in await routed(ready)] == ["care"] * 3


async def test_a_decision_of_the_first_release_is_still_explained(ready):
    await deliver(ready, handlers.Router(), received(message(workspace=A, text="I want a refund")))
    [passed] = await routed(ready)
    old = {
        "network": "facebook",
        "channel": "c",
        "kind": "dm",
        "words": "i want a refund",
        "author_id": "7",
        "handle": None,
    }
    async with work(ready, A) as tx:
        await tx.execute("UPDATE router.decision SET facts = $1", old)
        [why] = await handlers.explain(tx, A, passed.message.id)
    assert why["facts"]["text"] == "i want a refund"
    assert [one["rule"] for one in why["matched"]] == ["complaints"]


async def test_hours_are_those_at_which_the_message_was_received_however_late_it_is_decided(ready):
    night = {"name": "night", "when": {"time": {"outside": "office"}}, "then": {"tags": ["night"]}}
    office = {"zone": "Europe/Berlin", "hours": {"mon": [["09:00", "17:00"]]}}
    document = {"fallback": {"team": "community"}, "rules": [night], "calendars": {"office": office}}
    async with work(ready, A) as tx:
        created, _ = await handlers.create(tx, A, document=document, note=None, author="agt_1")
        await handlers.activate(tx, A, created.version, author="agt_1")
    monday = datetime(2026, 11, 23, 16, tzinfo=UTC)
    at = [monday - timedelta(minutes=1), monday]
    await deliver(ready, handlers.Router(), *(received(message(f"m{one}", workspace=A, received_at=one)) for one in at))
    assert [one.decision.tags for one in await routed(ready)] == [(), ("night",)]


async def test_a_decision_tells_what_is_to_be_done_to_the_message_and_which_rule_asks(ready):
    document = {
        "rules": [{"name": "spam", "when": {"text": "crypto"}, "then": {"ignore": True, "hide": True}}],
        "fallback": {"team": "community"},
    }
    async with work(ready, A) as tx:
        created, _ = await handlers.create(tx, A, document=document, note=None, author="agt_1")
        await handlers.activate(tx, A, created.version, author="agt_1")
    given = message(workspace=A, kind="comment", text="crypto")
    await deliver(ready, handlers.Router(), received(given), received(message("m2", workspace=A, text="hi")))
    assert [(one.decision.outcome, one.decision.moderation) for one in await routed(ready)] == [
        ("ignore", (Moderation(operation="hide", rule="spam"),)),
        ("route", ()),
    ]
    async with work(ready, A) as tx:
        [why] = await handlers.explain(tx, A, given.id)
    assert why["moderation"] == [{"operation": "hide", "rule": "spam"}]
    assert why["action"]["hide"] is True
