"""The feed is dense per workspace whoever writes it, and a redelivered event has one place in it."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from services.notifier.handlers.feed import TicketEvents
from services.notifier.handlers.keeping import Keeping
from services.notifier.service import build
from services.notifier.settings import NotifierSettings
from services.notifier.store import feed
from shared.db.scope import Batch
from shared.events import envelope, tickets
from shared.events.customers import CustomerChanged, CustomerView
from shared.events.payload import SYSTEM
from tests.support import api
from tests.support.outgoing import AT, BEN, answered, happened, queued, revoked, settled, ticket, world
from tests.support.postgres import backup, entries_read, open_database
from tests.support.sending import work

EVENTS = TicketEvents(wake=lambda: None, offer=lambda _: None)
REWRITTEN = "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relid = 'notifier.feed_counter'::regclass"


@pytest.fixture
async def here(database):
    async with world(database) as made:
        yield made


async def numbers(here, workspace="w1"):
    rows = await here.rows("SELECT number FROM notifier.feed WHERE workspace_id = $1 ORDER BY number", workspace)
    return [row["number"] for row in rows]


async def test_numbers_are_dense_per_workspace_under_ten_batches_at_once(dsn):
    async with open_database(dsn, size=12) as database, world(database) as here:
        barrier = asyncio.Barrier(10)

        async def batch(number):
            events = [happened(tickets.TicketUpdated, f"t{number}-{n}", workspace=f"w{n % 2 + 1}") for n in range(30)]
            await barrier.wait()
            await here.deliver(EVENTS.on_events, *events)

        async with asyncio.TaskGroup() as group:
            for number in range(10):
                group.create_task(batch(number))
        assert await numbers(here, "w1") == list(range(1, 151))
        assert await numbers(here, "w2") == list(range(1, 151))


async def test_the_same_event_delivered_at_once_and_again_has_one_place(dsn):
    async with open_database(dsn, size=12) as database, world(database) as here:
        events = [happened(tickets.TicketUpdated, f"t{n}") for n in range(20)]
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(here.deliver(EVENTS.on_events, *events, *events))
        await here.deliver(EVENTS.on_events, *events)
        assert await numbers(here) == list(range(1, 21))


async def test_numbers_go_on_without_a_row_that_every_batch_rewrites(database, here):
    """Beside a long snapshot each version of such a row would be in the way of the next."""
    await here.deliver(EVENTS.on_events, happened(tickets.TicketUpdated, "t0"))
    async with backup(database, "notifier.feed_counter"):
        before = await here.rows(REWRITTEN)
        for number in range(1, 20):
            await here.deliver(EVENTS.on_events, happened(tickets.TicketUpdated, f"t{number}"))
        # Sessions say what they have written once they are asked to.
        await entries_read(database, "pk_feed_counter")
        assert await here.rows(REWRITTEN) == before
    assert await numbers(here) == list(range(1, 21))


async def test_numbers_of_what_was_forgotten_are_not_given_again(here):
    await here.deliver(EVENTS.on_events, *(happened(tickets.TicketUpdated, f"t{n}") for n in range(3)))
    async with here.database.transaction(Batch(frozenset({"w1"}))) as tx:
        assert await feed.purge(tx, "w1", keep=timedelta(0)) == 3
    await here.deliver(EVENTS.on_events, happened(tickets.TicketUpdated, "t4"))
    assert await numbers(here) == [4]


async def test_a_batch_that_fails_leaves_no_gap(here):
    await here.deliver(EVENTS.on_events, happened(tickets.TicketUpdated))

    async def fail(tx, events):
        await EVENTS.on_events(tx, events)
        raise LookupError

    with pytest.raises(LookupError):
        await here.deliver(fail, happened(tickets.TicketUpdated))
    await here.deliver(EVENTS.on_events, happened(tickets.TicketUpdated))
    assert await numbers(here) == [1, 2]


async def test_an_event_that_is_redelivered_late_does_not_undo_what_came_after(here):
    cancel = happened(tickets.ReplyCancelled, reply_id="rpl_1", reason="cancelled")
    await here.deliver(EVENTS.on_events, queued("rpl_1"), settled("rpl_0", "sent"), cancel)
    first = await here.told()
    await here.deliver(EVENTS.on_events, queued("rpl_1"), cancel)
    assert await here.told() == first


def story():
    """A day of one ticket: one answer, one taken turn, one takeover, one native answer."""
    return [
        [happened(tickets.TicketCreated), queued("rpl_1", fence=1)],
        [queued("rpl_2", seq=3, author=BEN, fence=2), settled("rpl_1", "sent")],
        [queued("rpl_3", seq=4, fence=3), revoked(3), happened(tickets.NoteAdded, note_id="n", text="x")],
        [answered("msg_native", "m1", "m2"), queued("rpl_4", seq=5, fence=4, turns=("m2",), after="msg_native")],
        [settled("rpl_4", "sent"), happened(tickets.ReplyCancelled, reply_id="rpl_4", reason="cancelled")],
    ]


async def told_of(database, batches, *, repeats):
    async with world(database) as here:
        seen = []
        for batch in batches:
            seen.append(batch)
            await here.deliver(EVENTS.on_events, *batch)
            await work(here)
            for _ in range(repeats):
                for again in seen:
                    await here.deliver(EVENTS.on_events, *again, *again)
                await work(here)
        told = [(type(event).__name__, event.reply_id) for event in await here.told()]
        turns = await here.rows("SELECT message_id, answer_id FROM notifier.turn ORDER BY message_id")
        return told, await here.states(), [tuple(row) for row in turns], await numbers(here)


async def test_everything_redelivered_any_number_of_times_has_one_effect(server):
    outcomes = []
    for repeats in (0, 2):
        with server.database() as dsn:
            async with open_database(dsn) as database:
                outcomes.append(await told_of(database, story(), repeats=repeats))
    assert outcomes[0] == outcomes[1]
    told, states, turns, _ = outcomes[0]
    assert states == {"rpl_1": "sent", "rpl_2": "held", "rpl_3": "held", "rpl_4": "sent"}
    assert len(told) == 4
    assert turns == [("m1", "msg_native"), ("m2", "rpl_4")]


async def test_entries_are_offered_only_after_the_commit(here):
    offered = []
    events = TicketEvents(wake=lambda: None, offer=offered.extend)
    scope = Batch(frozenset({"w1"}))
    async with here.database.transaction(scope, schema="notifier") as tx:
        await events.on_events(tx, [happened(tickets.TicketUpdated)])
        assert offered == []
    assert [entry.number for entry in offered] == [1]


@pytest.fixture
async def pages(here):
    """Five changes: of care, care, product, care, product; the fourth is a note."""
    await here.deliver(
        EVENTS.on_events,
        happened(tickets.TicketCreated, "t1"),
        happened(tickets.TicketUpdated, "t1"),
        happened(tickets.TicketUpdated, "t2", view=ticket("t2", team="product", owner=None)),
        happened(tickets.NoteAdded, "t1", note_id="n1", text="secret?"),
        happened(tickets.TicketUpdated, "t2", view=ticket("t2", team="product", owner="agt_zoe")),
        happened(tickets.TicketCreated, "t3", workspace="w2"),
    )
    return here


async def changes(here, query="", **key) -> httpx.Response:
    token = await api.new_key(here.database, "w1", **key)
    async with api.client(api.new_app(here.database, build(here.runtime)), token) as client:
        return await client.get(f"/v1/changes{query}")


def sequences(response):
    return [change["sequence"] for change in response.json()["data"]]


async def test_changes_come_in_pages_by_number(pages):
    first = await changes(pages, "?limit=2")
    assert (sequences(first), first.json()["next_after"], first.json()["has_more"]) == ([1, 2], 2, True)
    rest = await changes(pages, "?after=2&limit=10")
    assert (sequences(rest), rest.json()["next_after"], rest.json()["has_more"]) == ([3, 4, 5], 5, False)
    assert first.json()["data"][0]["data"]["ticket"]["id"] == "t1"


async def test_a_filter_moves_the_reader_past_what_it_leaves_out(pages):
    chosen = await changes(pages, "?types=ticket.created")
    assert (sequences(chosen), chosen.json()["next_after"]) == ([1], 5)


async def test_a_filter_reads_a_bounded_part_of_the_feed_at_a_time(pages, monkeypatch):
    monkeypatch.setattr("services.notifier.handlers.changes.LOOKED_AT", 2)
    found, after = [], 0
    while True:
        page = await changes(pages, f"?types=note.added&after={after}")
        found += sequences(page)
        assert page.json()["next_after"] <= after + 2
        after = page.json()["next_after"]
        if not page.json()["has_more"]:
            break
    assert (found, after) == ([4], 5)


async def test_what_is_old_is_forgotten_with_its_deliveries_in_every_workspace(pages):
    await pages.rows("UPDATE notifier.feed SET stored_at = now() - interval '15 days' WHERE number <= 2")
    await pages.rows(
        "INSERT INTO notifier.delivery (endpoint_id, number, workspace_id, event_id, type, state, attempts) "
        "SELECT 'end_' || workspace_id, number, workspace_id, event_id, type, 'delivered', 1 FROM notifier.feed"
    )
    assert await Keeping(pages.runtime, NotifierSettings()).sweep() == 3
    assert (await numbers(pages, "w1"), await numbers(pages, "w2")) == ([3, 4, 5], [])
    left = await pages.rows("SELECT number FROM notifier.delivery ORDER BY number")
    assert [row["number"] for row in left] == [3, 4, 5]
    await pages.deliver(EVENTS.on_events, happened(tickets.TicketCreated, "t3", workspace="w2"))
    assert await numbers(pages, "w2") == [2]


async def test_a_key_sees_changes_of_its_teams_and_of_its_agents_tickets_only(pages):
    assert sequences(await changes(pages, teams=["care"])) == [1, 2, 4]
    zoe = await api.new_agent(pages.database)
    await pages.rows("UPDATE notifier.feed SET owner = $1 WHERE number = 5", zoe)
    assert sequences(await changes(pages, teams=["care"], agent_id=zoe)) == [1, 2, 4, 5]


async def test_a_change_of_a_customer_is_of_no_team_and_has_its_place(pages):
    customer = CustomerView(id="cus_1", version=2, tags=("vip",))
    change = CustomerChanged(workspace_id="w1", customer=customer, actor=SYSTEM, at=AT, changes=("tags",))
    event = envelope.new(change, event_id="evt_customer", key="cus_1", time=AT)
    for _ in range(2):
        await pages.deliver(EVENTS.on_events, event)
    [last] = (await changes(pages, "?after=5")).json()["data"]
    assert (last["sequence"], last["type"], last["data"]["customer"]["tags"]) == (6, "customer.changed.v1", ["vip"])
    assert (await changes(pages, "?after=5", teams=["care"])).json()["data"] == []


async def test_what_is_no_longer_kept_is_said_and_not_skipped(pages):
    await pages.rows("UPDATE notifier.feed SET stored_at = now() - interval '15 days' WHERE number <= 3")
    async with pages.runtime.batch(["w1"]) as tx:
        assert await feed.purge(tx, "w1", keep=timedelta(days=14)) == 3
    gone = await changes(pages, "?after=1")
    assert (gone.status_code, gone.json()["code"], gone.json()["first"]) == (410, "feed-expired", 4)
    assert sequences(await changes(pages, "?after=3")) == [4, 5]
    assert sequences(await changes(pages)) == [4, 5]


async def test_unknown_types_and_keys_without_the_scope_are_refused(pages):
    assert (await changes(pages, "?types=ticket.exploded")).status_code == 400
    assert (await changes(pages, role="analyst")).status_code == 403
