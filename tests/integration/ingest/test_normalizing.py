"""From the inbox to the log: once each and in order, whatever the bodies."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.ingest.handlers.worker import Worker
from shared import ids
from shared.db.pool import Database
from shared.networks.port import Parsed
from tests.support import ingest
from tests.support.clock import WrongIds
from tests.support.ingest import Changeable, Door, page
from tests.support.items import item
from tests.support.networks.facebook import (
    facebook_change,
    facebook_comment,
    facebook_entry,
    facebook_message,
    facebook_message_edit,
)
from tests.support.networks.sample import PAGE
from tests.support.postgres import open_database

COMMENT = "500_77000001"


async def settle(door: Door, path: str, *bodies: object) -> list[tuple[str, str | None]]:
    """Delivers bodies one after the other, each normalized alone; their states and reasons."""
    for body in bodies:
        assert (await door.post(path, body)).status_code == 200
        await door.normalize()
    rows = await door.rows("SELECT state, reason_code FROM ingest.inbox ORDER BY id")
    return [tuple(row) for row in rows]


def reply(comment: str, *, parent: str, **more: object) -> object:
    """A comment below another one."""
    return page(facebook_comment(0, comment_id=comment, parent_id=parent, **more))


async def test_a_comment_becomes_a_message_under_the_key_of_its_conversation(door: Door):
    channel = await door.connect()

    states = await settle(door, channel["webhook_path"], page(facebook_comment(1)))

    event = (await door.events())[0]
    message = event.data.message
    conversation = ids.digest("cnv", channel["id"], COMMENT)
    assert states == [("normalized", None)]
    assert (event.type, event.key) == ("message.received.v1", f"w1:{channel['id']}:{conversation}")
    assert (message.text, message.conversation_id) == ("Where is my order 1? 📦", conversation)
    assert [option.kind for option in message.reply_options] == ["public", "private"]
    assert message.inbox_id == (await door.rows("SELECT id FROM ingest.inbox"))[0][0]


async def test_an_edit_before_its_create_is_the_message_and_nothing_is_doubled(door: Door):
    path = (await door.connect())["webhook_path"]

    states = await settle(door, path, page(facebook_message_edit(1)), page(facebook_message(1)))

    events = await door.events()
    assert [event.type for event in events] == ["message.received.v1"]
    assert events[0].data.message.text == "Hello again"
    assert states == [("normalized", None), ("ignored", "duplicate")]


async def test_a_delete_before_its_create_leaves_a_tombstone_and_nothing_rises(door: Door):
    path = (await door.connect())["webhook_path"]
    removal = facebook_change("feed", item="comment", verb="remove", comment_id=COMMENT)

    states = await settle(door, path, page(removal), page(facebook_comment(1)))

    assert [event.type for event in await door.events()] == ["message.deleted.v1"]
    assert states == [("normalized", None), ("ignored", "deleted-before")]


async def test_a_reply_to_a_reply_and_its_removal_land_in_the_conversation_of_the_root(door: Door):
    path = (await door.connect())["webhook_path"]

    await settle(
        door,
        path,
        page(facebook_comment(1)),
        reply("500_8", parent=COMMENT),
        reply("500_9", parent="500_8", message="deep"),
        page(facebook_change("feed", item="comment", verb="remove", comment_id="500_9")),
    )

    events = await door.events()
    assert [event.type for event in events] == ["message.received.v1"] * 3 + ["message.deleted.v1"]
    assert len({event.key for event in events}) == 1


async def test_an_echo_finds_its_conversation(door: Door):
    path = (await door.connect())["webhook_path"]

    await settle(
        door,
        path,
        page(facebook_comment(1)),
        reply("500_8", parent=COMMENT),
        reply("500_9", parent="500_8", message="On its way", **{"from": {"id": PAGE, "name": "Page"}}),
    )

    question, _, echo = await door.events()
    assert (echo.data.message.direction, echo.data.message.origin) == ("out", "native")
    assert echo.key == question.key


async def test_entries_of_another_connected_account_go_to_its_channel_and_strangers_are_told_apart(door: Door):
    first = await door.connect()
    second = await door.connect(external_id="2002002")
    foreign = {**facebook_comment(2), "id": "2002002"}
    unknown = {**facebook_comment(3), "id": "9999"}

    states = await settle(door, first["webhook_path"], page(facebook_comment(1), foreign), page(unknown))

    assert [event.data.message.channel_id for event in await door.events()] == [first["id"], second["id"]]
    assert states == [("normalized", None), ("not-understood", "account-not-connected")]


async def test_the_account_of_another_workspace_is_a_stranger(door: Door):
    await door.connect("w2", external_id="2002002")
    path = (await door.connect())["webhook_path"]

    states = await settle(door, path, page({**facebook_comment(2), "id": "2002002"}))

    assert states == [("not-understood", "account-not-connected")]
    assert await door.events() == []


async def test_what_is_known_and_no_message_is_ignored_with_its_reason(door: Door):
    path = (await door.connect())["webhook_path"]

    states = await settle(door, path, page(facebook_entry()), b"not json", page(facebook_change("poke", x=1)))

    assert states == [("ignored", "empty-entry"), ("not-understood", "not-json"), ("not-understood", "unknown-field")]


async def test_a_thousand_entries_in_one_delivery_become_a_thousand_messages(door: Door):
    path = (await door.connect())["webhook_path"]
    body = page(*(facebook_comment(number) for number in range(1000)))

    states = await settle(door, path, body, body)

    events = await door.events()
    assert states == [("normalized", None)]
    assert [event.data.message.external_id for event in events] == [f"500_77{number:06d}" for number in range(1000)]


async def test_many_deliveries_of_many_workspaces_share_a_transaction_and_nothing_else(door: Door):
    paths = [(await door.connect(f"w{number}"))["webhook_path"] for number in range(5)]
    for number in range(6):
        for path in paths:
            await door.post(path, page(facebook_message(number)))

    await door.normalize()

    events = await door.events()
    assert len(events) == 30
    assert {event.workspace_id for event in events} == {f"w{number}" for number in range(5)}
    assert all(event.workspace_id == event.data.message.workspace_id for event in events)
    for workspace in {event.workspace_id for event in events}:
        mine = [event.data.message.text for event in events if event.workspace_id == workspace]
        assert mine == [f"Hello {number}" for number in range(6)]


async def test_a_parser_that_raises_is_no_obstacle_and_its_delivery_is_kept(database: Database):
    network = Changeable()
    read = network.read
    network.read = lambda body: 1 / 0 if b"m_1" in body else read(body)
    async with ingest.open_door(database, networks={"facebook": network}) as door:
        path = (await door.connect())["webhook_path"]
        for number in range(3):
            await door.post(path, page(facebook_message(number)))
        await door.normalize()

        rows = await door.rows("SELECT state, reason_code FROM ingest.inbox ORDER BY id")
        counted = door.runtime.metrics.exposition()[0].decode()

    assert [tuple(row) for row in rows] == [
        ("normalized", None),
        ("not-understood", "parser-failed"),
        ("normalized", None),
    ]
    assert 'baton_inbox_deliveries_total{state="not-understood"} 1.0' in counted


async def test_an_item_that_the_database_refuses_is_put_aside_and_the_others_go_on(database: Database):
    network = Changeable()
    read = network.read
    network.read = lambda body: Parsed(items=(item("c\x00"),)) if b"m_1" in body else read(body)
    async with ingest.open_door(database, networks={"facebook": network}) as door:
        path = (await door.connect())["webhook_path"]
        for number in range(3):
            await door.post(path, page(facebook_message(number)))
        await door.normalize()

        rows = await door.rows("SELECT state, reason_code FROM ingest.inbox ORDER BY id")
        events = await door.events()

    assert [tuple(row) for row in rows] == [
        ("normalized", None),
        ("not-understood", "normalizer-failed"),
        ("normalized", None),
    ]
    assert len(events) == 2


async def test_a_failure_that_is_not_one_deliverys_fault_stops_loudly_and_keeps_the_inbox(database: Database):
    network = Changeable()
    network.read = lambda _: Parsed(items=(item("c\x00"),))
    async with ingest.open_door(database, networks={"facebook": network}) as door:
        path = (await door.connect())["webhook_path"]
        for number in range(20):
            await door.post(path, page(facebook_message(number)))
        worker = door.worker("nrm_test")
        await worker.share()

        with pytest.raises(Exception, match="0x00"):
            await _steps(worker, 20)

        states = [row[0] for row in await door.rows("SELECT state FROM ingest.inbox ORDER BY id")]
    assert states == ["not-understood", *["pending"] * 19]


async def _steps(worker: Worker, count: int) -> None:
    for _ in range(count):
        await worker.step()


async def test_old_deliveries_are_dropped_with_what_they_became_and_waiting_ones_are_not(door: Door):
    path = (await door.connect())["webhook_path"]
    await settle(door, path, page(facebook_message(1)))
    await door.post(path, page(facebook_message(2)))
    retention = door.parts.retention
    retention._inbox = timedelta(seconds=-5)

    kept_items = await retention.purge()
    retention._items = timedelta(seconds=-5)
    await retention.purge()

    assert kept_items == 1
    assert [row[0] for row in await door.rows("SELECT state FROM ingest.inbox")] == ["pending"]
    assert await door.rows("SELECT * FROM ingest.event") == []
    assert await door.rows("SELECT * FROM ingest.item") == []


async def test_a_batch_costs_the_same_statements_however_much_is_in_it(dsn: str):
    async with open_database(dsn, size=1) as database, ingest.open_door(database) as door:
        path = (await door.connect())["webhook_path"]
        worker = door.worker("nrm_test")
        await worker.share()
        statements: list[str] = []
        async with database.pool.acquire() as connection:
            connection.add_query_logger(lambda query: statements.append(query.query))

        async def cost(*bodies: object) -> int:
            for body in bodies:
                await door.post(path, body)
            before = len(statements)
            assert await worker.step() == len(bodies)
            return len(statements) - before

        one = await cost(page(facebook_comment(0)))
        many = await cost(*(page(facebook_comment(number)) for number in range(1, 120)))
        mixed = await cost(page(*(facebook_message(number) for number in range(150)), facebook_message_edit(1)))

    assert one == many
    assert mixed <= one + 2


async def test_what_waits_is_in_the_order_in_which_it_came_whatever_clock_named_it(database: Database):
    ahead = replace(database, ids=WrongIds(timedelta(days=1)))
    async with ingest.open_door(ahead) as early, ingest.open_door(database) as door:
        path = (await door.connect())["webhook_path"]
        for where, number in ((early, 1), (door, 2)):
            assert (await where.post(path, page(facebook_comment(number)))).status_code == 200
        await door.normalize()
        texts = [event.data.message.text for event in await door.events()]
    assert texts == ["Where is my order 1? 📦", "Where is my order 2? 📦"]
