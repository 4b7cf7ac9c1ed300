"""What is done to items on their networks: asked for once by rules and people, and told in the ticket who and what."""

from typing import Any

from services.tickets.handlers.deliveries import on_delivery
from shared.db.scope import Batch
from shared.events import envelope
from shared.events.deliveries import ModerationSettled
from shared.events.envelope import Event
from shared.events.messages import Operation
from shared.events.moderation import ModerationConcluded, ModerationEvent, ModerationRequested
from shared.events.routing import Moderation
from tests.support.floor import AT, HOME, OTHER, Floor, message, routed, triggered
from tests.support.tickets_app import person


def asked(*operations: Operation, **more: Any) -> tuple[Moderation, ...]:
    return tuple(Moderation(operation=operation, rule="spam", **more) for operation in operations or ("hide",))


async def told(floor: Floor, *, workspace: str = HOME) -> list[tuple[str, str, str]]:
    """Kind, operation and key of what was told of operations, in order."""
    events = [event for event in await floor.events(workspace=workspace) if isinstance(event.data, ModerationEvent)]
    return [(type(event.data).__name__, event.data.moderation.operation, event.key) for event in events]


async def lines(floor: Floor) -> list[tuple[str, Any]]:
    rows = await floor.rows("SELECT kind, data FROM tickets.entry WHERE kind LIKE 'moderation%' ORDER BY seq")
    return [
        (row["kind"], {name: row["data"][name] for name in sorted(row["data"].keys() - {"moderation_id"})})
        for row in rows
    ]


async def states(floor: Floor) -> list[tuple[str, str, bool]]:
    rows = await floor.rows("SELECT operation, state, stands FROM tickets.moderation ORDER BY number")
    return [(row["operation"], row["state"], row["stands"]) for row in rows]


async def settle(floor: Floor, outcome: str = "done", *, operation: Operation = "hide", **more: Any) -> Event:
    """The notifier tells what became of the last operation of this kind."""
    [row] = await floor.rows(
        "SELECT id, message_id FROM tickets.moderation WHERE operation = $1 ORDER BY number DESC LIMIT 1", operation
    )
    data = ModerationSettled(
        workspace_id=HOME,
        moderation_id=row["id"],
        message_id=row["message_id"],
        operation=operation,
        at=AT,
        outcome=outcome,
        **more,
    )
    event = envelope.new(data, event_id=f"evt_{row['id']}_{outcome}", key=row["message_id"], time=AT)
    await deliver(floor, event)
    return event


async def deliver(floor: Floor, *events: Event) -> None:
    async with floor.database.transaction(Batch(frozenset({HOME})), schema="tickets") as tx:
        await on_delivery(tx, events, desk=floor.desk)


async def state(floor: Floor) -> str:
    [row] = await floor.rows("SELECT state FROM tickets.message")
    return str(row["state"])


async def test_what_a_rule_asks_for_goes_out_in_the_tickets_order_and_stands_in_its_timeline(floor: Floor) -> None:
    given = message(kind="comment", text="spam")
    await floor.deliver(routed(given, moderation=asked("like", "hide")))
    ticket = await floor.ticket()
    assert await told(floor) == [
        ("ModerationRequested", "like", ticket["id"]),
        ("ModerationRequested", "hide", ticket["id"]),
    ]
    requested = (await floor.events())[-1].data
    assert isinstance(requested, ModerationRequested)
    order = requested.moderation
    assert (order.message_id, order.external_id, order.network, order.message_kind, order.rule, order.own) == (
        given.id,
        given.external_id,
        "facebook",
        "comment",
        "spam",
        False,
    )
    assert requested.ticket is not None
    assert requested.ticket.last_seq == ticket["last_seq"]
    assert await lines(floor) == [
        ("moderation-requested", {"operation": "like", "rule": "spam"}),
        ("moderation-requested", {"operation": "hide", "rule": "spam"}),
    ]
    assert (await floor.told())[0] == "ticket.created.v1"
    await floor.check_books()


async def test_a_message_that_a_rule_ignores_and_hides_makes_no_ticket_and_has_its_own_order(floor: Floor) -> None:
    given = message(kind="comment")
    await floor.deliver(routed(given, outcome="ignore", team=None, moderation=asked()))
    assert await floor.rows("SELECT id FROM tickets.ticket") == []
    assert await told(floor) == [("ModerationRequested", "hide", given.id)]
    await settle(floor)
    assert await told(floor) == [("ModerationRequested", "hide", given.id), ("ModerationConcluded", "hide", given.id)]
    assert await state(floor) == "hidden"


async def test_redelivery_asks_for_nothing_twice(floor: Floor) -> None:
    event = routed(message(kind="comment"), moderation=asked("hide", "delete"))
    await floor.deliver(event, event)
    await floor.deliver(event)
    assert len(await told(floor)) == 2
    assert await states(floor) == [("hide", "requested", True), ("delete", "requested", True)]


async def test_a_message_that_was_understood_only_afterwards_is_left_alone(floor: Floor) -> None:
    await floor.deliver(routed(message(kind="comment", replayed=True), moderation=asked()))
    assert await told(floor) == []
    assert await states(floor) == []


async def test_a_message_that_was_taken_back_in_the_same_batch_is_left_alone(floor: Floor) -> None:
    given = message(kind="comment")
    await floor.deliver(routed(given, moderation=asked()), routed(given, verb="deleted"))
    assert await told(floor) == []


async def test_two_workspaces_in_one_batch_ask_for_their_own(floor: Floor) -> None:
    await floor.deliver(
        routed(message(kind="comment"), moderation=asked()),
        routed(message(kind="comment", workspace=OTHER, channel="chn_2"), moderation=asked("like")),
    )
    assert [operation for _, operation, _ in await told(floor)] == ["hide"]
    assert [operation for _, operation, _ in await told(floor, workspace=OTHER)] == ["like"]


async def test_what_the_network_did_is_how_the_message_is_and_stands_in_the_timeline_once(floor: Floor) -> None:
    await floor.deliver(routed(message(kind="comment"), moderation=asked()))
    event = await settle(floor)
    await deliver(floor, event, event)
    assert await state(floor) == "hidden"
    assert await states(floor) == [("hide", "done", True)]
    assert await lines(floor) == [
        ("moderation-requested", {"operation": "hide", "rule": "spam"}),
        ("moderation-done", {"operation": "hide", "rule": "spam"}),
    ]
    concluded = (await floor.events())[-1].data
    assert isinstance(concluded, ModerationConcluded)
    assert (concluded.outcome, concluded.moderation.operation) == ("done", "hide")
    await floor.check_books()


async def test_the_networks_own_echo_of_what_was_hidden_changes_nothing_more(floor: Floor) -> None:
    given = message(kind="comment")
    await floor.deliver(routed(given, moderation=asked()))
    await settle(floor)
    before = len(await floor.events())
    await floor.deliver(routed(given, verb="hidden"))
    assert len(await floor.events()) == before
    assert await state(floor) == "hidden"


async def test_a_deleted_message_is_emptied_waits_for_nobody_and_is_found_no_more(floor: Floor) -> None:
    await floor.deliver(routed(message(kind="comment", text="my number is 555"), moderation=asked("delete")))
    assert (await floor.ticket())["waiting_since"] is not None
    await settle(floor, operation="delete")
    assert (await floor.ticket())["waiting_since"] is None
    [row] = await floor.rows("SELECT state, text, data FROM tickets.message")
    assert (row["state"], row["text"], row["data"].get("text")) == ("deleted", None, None)
    assert await floor.rows("SELECT id FROM tickets.search WHERE text LIKE '%555%'") == []


async def test_what_failed_says_why_and_may_be_asked_for_again(floor: Floor) -> None:
    await floor.deliver(routed(message(kind="comment"), moderation=asked()))
    await settle(floor, "failed", reason="HTTP 403: No", code="200")
    assert await state(floor) == "visible"
    assert (await lines(floor))[-1] == (
        "moderation-failed",
        {"operation": "hide", "rule": "spam", "reason": "HTTP 403: No", "code": "200"},
    )
    ann = await floor.add_agent("ann")
    [row] = await floor.rows("SELECT id, ticket_id FROM tickets.message")
    async with person(floor, ann) as client:
        path = f"/v1/tickets/{row['ticket_id']}/messages/{row['id']}/moderation"
        assert (await client.post(path, json={"operation": "hide"})).status_code == 202
    assert await states(floor) == [("hide", "failed", False), ("hide", "requested", True)]


async def test_a_trigger_asks_once_however_far_its_ticket_has_moved_on(floor: Floor) -> None:
    given = message(kind="comment")
    await floor.deliver(routed(given))
    ticket = await floor.ticket()
    await floor.deliver(routed(message("m2", kind="comment")))
    decision = triggered(ticket, tags=("late",), moderation=asked(message_id=given.id))
    await floor.deliver(decision)
    await floor.deliver(decision, decision)
    assert (await floor.ticket())["tags"] == []
    assert await told(floor) == [("ModerationRequested", "hide", ticket["id"])]
    requested = (await floor.events())[-1].data
    assert isinstance(requested, ModerationRequested)
    assert requested.chain is not None
    await floor.check_books()


async def test_an_old_decision_that_comes_again_does_not_undo_what_a_person_did_since(floor: Floor) -> None:
    given = message(kind="comment")
    await floor.deliver(routed(given))
    decision = triggered(await floor.ticket(), moderation=asked(message_id=given.id))
    await floor.deliver(decision)
    await settle(floor)
    ann = await floor.add_agent("ann")
    path = f"/v1/tickets/{(await floor.ticket())['id']}/messages/{given.id}/moderation"
    async with person(floor, ann) as client:
        assert (await client.post(path, json={"operation": "unhide"})).status_code == 202
    await floor.deliver(decision)
    assert await states(floor) == [("hide", "done", False), ("unhide", "requested", True)]


async def test_a_person_hides_shows_again_and_hides_again(floor: Floor) -> None:
    given = message(kind="comment")
    await floor.deliver(routed(given))
    ann = await floor.add_agent("ann")
    path = f"/v1/tickets/{(await floor.ticket())['id']}/messages/{given.id}/moderation"
    async with person(floor, ann) as client:
        first = await client.post(path, json={"operation": "hide"})
        assert first.status_code == 202
        assert {name: first.json()[name] for name in ("operation", "state", "rule", "message_id")} == {
            "operation": "hide",
            "state": "requested",
            "rule": None,
            "message_id": given.id,
        }
        assert first.json()["actor"]["id"] == ann
        again = await client.post(path, json={"operation": "hide"})
        assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
        await settle(floor)
        for operation in ("unhide", "hide"):
            assert (await client.post(path, json={"operation": operation})).status_code == 202
        listed = (await client.get(path)).json()
    assert [(one["operation"], one["state"]) for one in listed] == [
        ("hide", "done"),
        ("unhide", "requested"),
        ("hide", "requested"),
    ]
    numbers = [
        event.data.moderation.number for event in await floor.events() if isinstance(event.data, ModerationRequested)
    ]
    assert len(numbers) == 3
    assert numbers == sorted(numbers)
    [entry, *_] = await floor.rows("SELECT actor FROM tickets.entry WHERE kind = 'moderation-requested' ORDER BY seq")
    assert entry["actor"]["id"] == ann
    await floor.check_books()


async def test_what_was_undone_in_the_networks_own_app_may_be_done_again(floor: Floor) -> None:
    given = message(kind="comment")
    await floor.deliver(routed(given, moderation=asked()))
    await settle(floor)
    await floor.deliver(routed(given, verb="unhidden"))
    ann = await floor.add_agent("ann")
    path = f"/v1/tickets/{(await floor.ticket())['id']}/messages/{given.id}/moderation"
    async with person(floor, ann) as client:
        assert (await client.post(path, json={"operation": "hide"})).json()["state"] == "requested"
    assert await states(floor) == [("hide", "done", False), ("hide", "requested", True)]


async def test_what_a_network_cannot_do_is_refused_with_its_name(floor: Floor) -> None:
    given = message(kind="dm")
    await floor.deliver(routed(given))
    ann = await floor.add_agent("ann")
    ticket = (await floor.ticket())["id"]
    async with person(floor, ann) as client:
        refused = await client.post(f"/v1/tickets/{ticket}/messages/{given.id}/moderation", json={"operation": "hide"})
        unknown = await client.post(f"/v1/tickets/{ticket}/messages/msg_x/moderation", json={"operation": "hide"})
    assert (refused.status_code, refused.json()["code"], refused.json()["network"]) == (
        422,
        "not-supported",
        "facebook",
    )
    assert unknown.status_code == 404
    assert await told(floor) == []


async def test_a_deleted_message_is_moderated_no_more(floor: Floor) -> None:
    given = message(kind="comment")
    await floor.deliver(routed(given), routed(given, verb="deleted"))
    ann = await floor.add_agent("ann")
    [row] = await floor.rows("SELECT ticket_id FROM tickets.message")
    async with person(floor, ann) as client:
        answer = await client.post(
            f"/v1/tickets/{row['ticket_id']}/messages/{given.id}/moderation", json={"operation": "delete"}
        )
    assert (answer.status_code, answer.json()["code"]) == (409, "message-deleted")


async def test_it_takes_the_right_and_one_effect_per_idempotency_key(floor: Floor) -> None:
    given = message(kind="comment")
    await floor.deliver(routed(given))
    ann = await floor.add_agent("ann")
    path = f"/v1/tickets/{(await floor.ticket())['id']}/messages/{given.id}/moderation"
    async with person(floor, ann, role="bot") as bot:
        refused = await bot.post(path, json={"operation": "hide"})
        assert (refused.status_code, refused.json()["missing"]) == (403, ["tickets:moderate"])
    eve = await floor.add_agent("eve", team="product")
    async with person(floor, eve, only=["product"]) as stranger:
        assert (await stranger.post(path, json={"operation": "hide"})).status_code == 404
    async with person(floor, ann) as client:
        headers = {"Idempotency-Key": "k1"}
        first = await client.post(path, json={"operation": "hide"}, headers=headers)
        again = await client.post(path, json={"operation": "hide"}, headers=headers)
    assert (first.status_code, first.json()) == (again.status_code, again.json())
