"""What routed messages make of tickets, in whatever order and however often they come."""

from datetime import timedelta

import msgspec

from services.tickets.handlers import states
from shared.events.messages import Author, Reaction
from tests.support.floor import AT, HOME, OTHER, Floor, agent, message, routed


async def test_a_first_message_opens_a_ticket_for_the_least_loaded_of_its_team(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    yesterday = AT - timedelta(days=1)
    await floor.deliver(routed(message(occurred_at=yesterday), priority="high", tags=("vip",)))
    ticket = await floor.ticket()
    assert (ticket["state"], ticket["team_id"], ticket["owner_id"]) == ("open", "care", ann)
    assert (ticket["rank"], ticket["tags"], ticket["networks"]) == (1, ["vip"], ["facebook"])
    assert ticket["waiting_since"] == yesterday
    assert await floor.told() == ["ticket.created.v1", "assignment.offered.v1", "assignment.accepted.v1"]
    await floor.check_books()


async def test_a_burst_of_one_customer_becomes_one_ticket(floor: Floor) -> None:
    await floor.deliver(*[routed(message(f"m{n}")) for n in range(5)])
    ticket = await floor.ticket()
    assert await floor.rows("SELECT seq FROM tickets.message ORDER BY seq") == [{"seq": n} for n in range(1, 6)]
    assert len(await floor.rows("SELECT 1 FROM tickets.turn WHERE ticket_id = $1", ticket["id"])) == 5


async def test_every_event_twice_gives_the_same_state(floor: Floor) -> None:
    await floor.add_agent("ann")
    first, second = message("m1"), message("m2", text="And?")
    bye = message("m3", text="Bye")
    like = Reaction(action="add", emoji="❤", author=Author(external_id="c1"))
    events = [
        routed(first),
        routed(second, tags=("late",)),
        routed(message("m1", text="Hello!"), verb="edited", version="2"),
        routed(message("m2", kind="reaction"), verb="reacted", reaction=like),
        routed(bye),
        routed(bye, verb="hidden"),
        routed(bye, verb="unhidden"),
        routed(message("m3", text=None), verb="deleted"),
    ]
    await floor.deliver(*events)
    before = [await _everything(floor), await floor.told()]
    await floor.deliver(*events)
    for event in events:
        await floor.deliver(event)
    assert [await _everything(floor), await floor.told()] == before
    await floor.check_books()


async def test_a_batch_gives_the_same_as_its_events_one_by_one(floor: Floor) -> None:
    def events(workspace: str) -> list:
        place = {"workspace": workspace, "channel": f"chn_{workspace}"}
        return [
            routed(message("m1", **place)),
            routed(message("m1", text="Hello!", **place), verb="edited", version="2"),
            routed(message("m2", **place), priority="urgent"),
            routed(message("m2", text=None, **place), verb="deleted"),
        ]

    await floor.deliver(*events(HOME))
    for event in events(OTHER):
        await floor.deliver(event)
    shown = "SELECT text, state FROM tickets.message ORDER BY external_id"
    assert await floor.rows(shown) == await floor.rows(shown, workspace=OTHER)
    home, other = await floor.ticket(), await floor.ticket(workspace=OTHER)
    assert [home[name] for name in ("rank", "state")] == [other[name] for name in ("rank", "state")]


async def test_a_deletion_that_comes_before_its_message_wins(floor: Floor) -> None:
    await floor.deliver(routed(message("m1", author=None, text=None, conversation_id="cnv_x"), verb="deleted"))
    assert await floor.rows("SELECT 1 FROM tickets.ticket") == []
    await floor.deliver(routed(message("m1", conversation_id="cnv_x")))
    assert await floor.rows("SELECT 1 FROM tickets.ticket") == []
    assert await floor.rows("SELECT state, text, received FROM tickets.message") == [
        {"state": "deleted", "text": None, "received": True}
    ]


async def test_an_edit_that_comes_before_its_message_wins(floor: Floor) -> None:
    await floor.deliver(routed(message("m1", text="right"), verb="edited", version="2"))
    await floor.deliver(routed(message("m1", text="worng"), version="1"))
    ticket = await floor.ticket()
    [stored] = await floor.rows("SELECT text, ticket_id, received, data FROM tickets.message")
    assert (stored["text"], stored["ticket_id"], stored["data"]["text"]) == ("right", ticket["id"], "right")


async def test_an_edit_and_its_message_in_one_batch_in_the_wrong_order(floor: Floor) -> None:
    edit = routed(message("m1", text="right"), verb="edited", version="2")
    await floor.deliver(edit, routed(message("m1", text="worng"), version="1"))
    assert await floor.rows("SELECT text FROM tickets.message") == [{"text": "right"}]
    assert (await floor.ticket())["last_seq"] == 2


async def test_an_older_edit_never_replaces_a_newer_one(floor: Floor) -> None:
    await floor.deliver(routed(message("m1", text="one")))
    await floor.deliver(routed(message("m1", text="three"), verb="edited", version="3"))
    await floor.deliver(routed(message("m1", text="two"), verb="edited", version="2"))
    assert await floor.rows("SELECT text FROM tickets.message") == [{"text": "three"}]


async def test_what_a_customer_took_back_is_not_kept_and_nobody_waits_for_it(floor: Floor) -> None:
    await floor.deliver(routed(message("m1", text="secret")))
    await floor.deliver(routed(message("m1", text=None), verb="deleted"))
    assert await floor.rows("SELECT text, data->>'text' AS kept FROM tickets.message") == [{"text": None, "kept": None}]
    assert (await floor.ticket())["waiting_since"] is None
    assert await floor.rows("SELECT 1 FROM tickets.search WHERE text ILIKE '%secret%'") == []


async def test_a_message_that_a_rule_ignores_opens_no_ticket(floor: Floor) -> None:
    await floor.deliver(routed(message("m1"), outcome="ignore", team=None, rule="spam"))
    assert await floor.rows("SELECT 1 FROM tickets.ticket") == []
    assert await floor.rows("SELECT ticket_id FROM tickets.message") == [{"ticket_id": None}]


async def test_a_message_that_a_rule_ignores_joins_an_open_ticket_without_asking_for_an_answer(floor: Floor) -> None:
    await floor.deliver(routed(message("m1")))
    await floor.deliver(routed(message("m2"), outcome="ignore", team=None, rule="spam"))
    entries = await floor.rows("SELECT kind, moves, data FROM tickets.entry WHERE kind = 'message' ORDER BY seq")
    assert [(entry["moves"], entry["data"]) for entry in entries] == [(True, {}), (False, {"ignored_by": "spam"})]
    assert len(await floor.rows("SELECT 1 FROM tickets.turn")) == 1


async def test_reactions_open_no_turn(floor: Floor) -> None:
    await floor.deliver(routed(message("m1")))
    await floor.deliver(routed(message("r1", kind="reaction", text=None)))
    assert len(await floor.rows("SELECT 1 FROM tickets.turn")) == 1


async def test_a_later_decision_adds_tags_and_raises_priority_but_moves_nothing(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    await floor.add_agent("bea", team="product")
    await floor.deliver(routed(message("m1"), tags=("a",), priority="high"))
    await floor.deliver(routed(message("m2"), tags=("b",), priority="low", team="product"))
    ticket = await floor.ticket()
    assert (ticket["team_id"], ticket["owner_id"], ticket["rank"], ticket["tags"]) == ("care", ann, 1, ["a", "b"])
    await floor.deliver(routed(message("m3"), priority="urgent"))
    assert (await floor.ticket())["rank"] == 0


async def test_a_team_that_does_not_exist_gives_the_message_to_the_fallback_team(floor: Floor) -> None:
    await floor.deliver(routed(message("m1"), team="gone"))
    assert (await floor.ticket())["team_id"] == "community"


async def test_a_message_without_a_decision_goes_to_the_fallback_team(floor: Floor) -> None:
    event = routed(message("m1"))
    bare = msgspec.structs.replace(event, data=msgspec.structs.replace(event.data, decision=None))
    await floor.deliver(bare)
    assert (await floor.ticket())["team_id"] == "community"


async def test_the_preferred_agent_gets_the_ticket_if_there_is_room(floor: Floor) -> None:
    await floor.add_agent("ann")
    bea = await floor.add_agent("bea")
    await floor.deliver(routed(message("m1"), agent=bea), routed(message("m2", author="c2"), agent=bea))
    assert {row["owner_id"] for row in await floor.rows("SELECT owner_id FROM tickets.ticket")} == {bea}


async def test_two_people_under_one_post_have_two_tickets_that_share_the_conversation(floor: Floor) -> None:
    first = message("m1", author="c1", kind="comment", conversation_id="cnv_post")
    second = message("m2", author="c2", kind="comment", conversation_id="cnv_post")
    await floor.deliver(routed(first), routed(second))
    shares = await floor.rows("SELECT ticket_id FROM tickets.conversation WHERE id = 'cnv_post'")
    assert len({row["ticket_id"] for row in shares}) == 2


async def test_one_person_on_two_channels_of_a_network_is_two_customers_where_ids_hold_for_a_channel(
    floor: Floor,
) -> None:
    await floor.deliver(routed(message("m1")), routed(message("m2", channel="chn_2")))
    assert len(await floor.rows("SELECT 1 FROM tickets.customer")) == 2


async def test_a_replayed_message_opens_a_turn_like_any_other(floor: Floor) -> None:
    await floor.deliver(routed(message("m1", replayed=True)))
    assert len(await floor.rows("SELECT 1 FROM tickets.turn")) == 1


async def test_a_network_whose_clock_runs_ahead_does_not_make_the_customer_wait_in_the_future(floor: Floor) -> None:
    await floor.deliver(routed(message("m1", occurred_at=AT + timedelta(days=400_000))))
    [row] = await floor.rows("SELECT waiting_since <= clock_timestamp() AS sane FROM tickets.ticket")
    assert row["sane"]


async def test_workspaces_in_one_batch_do_not_touch_each_other(floor: Floor) -> None:
    await floor.add_agent("ann")
    zoe = await floor.add_agent("zoe", workspace=OTHER)
    given = [routed(message("m1", workspace=workspace, channel=f"chn_{workspace}")) for workspace in (HOME, OTHER)]
    await floor.deliver(*given)
    home, other = await floor.ticket(), await floor.ticket(workspace=OTHER)
    assert home["customer_id"] != other["customer_id"]
    assert (home["workspace_id"], other["workspace_id"], other["owner_id"]) == (HOME, OTHER, zoe)


async def test_a_customers_message_reopens_what_was_resolved_within_the_window(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    await floor.deliver(routed(message("m1")))
    await _resolve(floor, ann)
    await floor.deliver(routed(message("m2")))
    ticket = await floor.ticket()
    assert (ticket["state"], ticket["owner_id"], ticket["resolved_at"]) == ("open", ann, None)
    assert (await floor.told())[-1] == "ticket.reopened.v1"
    await floor.check_books()


async def test_a_customers_message_after_the_window_opens_a_new_ticket(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    await floor.deliver(routed(message("m1")))
    await _resolve(floor, ann)
    await floor.rows("UPDATE tickets.ticket SET resolved_at = now() - interval '73 hours'")
    await floor.deliver(routed(message("m2")))
    states = await floor.rows("SELECT state FROM tickets.ticket ORDER BY id")
    assert [row["state"] for row in states] == ["resolved", "open"]
    await floor.check_books()


async def test_reopening_gives_the_ticket_to_somebody_else_when_its_owner_is_full(floor: Floor) -> None:
    ann = await floor.add_agent("ann", capacity=1)
    await floor.deliver(routed(message("m1")))
    await _resolve(floor, ann)
    bea = await floor.add_agent("bea")
    await floor.deliver(routed(message("n1", author="c2"), agent=ann))
    await floor.deliver(routed(message("m2")))
    owners = await floor.rows("SELECT owner_id FROM tickets.ticket ORDER BY id")
    assert [row["owner_id"] for row in owners] == [bea, ann]
    assert "assignment.released.v1" in await floor.told()
    await floor.check_books()


async def test_reopening_gives_the_ticket_to_somebody_else_when_its_owner_is_away(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    await floor.deliver(routed(message("m1")))
    await _resolve(floor, ann)
    bea = await floor.add_agent("bea")
    await floor.rows("UPDATE platform.agent SET availability = 'away' WHERE id = $1", ann)
    await floor.deliver(routed(message("m2")))
    assert (await floor.ticket())["owner_id"] == bea
    await floor.check_books()


async def test_a_customers_message_wakes_a_snoozed_ticket(floor: Floor) -> None:
    await floor.deliver(routed(message("m1")))
    await floor.rows("UPDATE tickets.ticket SET state = 'snoozed', snoozed_until = now() + interval '1 day'")
    await floor.add_agent("ann")
    await floor.deliver(routed(message("m2")))
    ticket = await floor.ticket()
    assert (ticket["state"], ticket["snoozed_until"]) == ("open", None)
    assert ticket["owner_id"] is not None
    await floor.check_books()


async def test_without_an_eligible_agent_the_queue_owns_the_ticket_and_says_why(floor: Floor) -> None:
    ann = await floor.add_agent("ann", availability="away")
    bea = await floor.add_agent("bea", capacity=0)
    await floor.deliver(routed(message("m1")))
    [step] = await floor.rows("SELECT state, agent_id, candidates FROM tickets.assignment")
    assert (step["state"], step["agent_id"]) == ("queued", None)
    assert step["candidates"] == [f"0/50/away/{ann}", f"0/0/full/{bea}"]
    assert await floor.rows("SELECT kind FROM tickets.timer") == [{"kind": "queue-wait"}]
    await floor.check_books()


async def _resolve(floor: Floor, who: str) -> None:
    ticket = await floor.ticket()
    await floor.act(lambda tx: states.resolve(tx, floor.desk, agent(who), ticket["id"], version=ticket["version"]))


async def _everything(floor: Floor) -> dict:
    tables = ("ticket", "message", "entry", "turn", "assignment", "agent_load", "customer", "identity", "conversation")
    return {name: await floor.rows(f"SELECT * FROM tickets.{name} ORDER BY 1, 2, 3") for name in tables}


async def test_a_customer_gets_a_name_once_the_network_tells_it_and_keeps_it(floor: Floor) -> None:
    nameless, named = Author(external_id="c1"), Author(external_id="c1", name="Cleo", handle="cleo7")
    for number, author in enumerate((nameless, named, nameless)):
        await floor.deliver(routed(msgspec.structs.replace(message(f"m{number}"), author=author)))
    [identity] = await floor.rows("SELECT handle, name FROM tickets.identity")
    [customer] = await floor.rows("SELECT name FROM tickets.customer")
    assert (identity["handle"], identity["name"], customer["name"]) == ("cleo7", "Cleo", "Cleo")
    assert (await floor.ticket())["customer_name"] == "Cleo"


async def test_each_message_keeps_its_own_trace_through_a_batch_and_its_assignment(floor: Floor) -> None:
    await floor.add_agent("ann")
    traces = [f"00-{digit * 32}-{digit * 16}-01" for digit in "ab"]
    events = [
        msgspec.structs.replace(routed(message(f"m{n}", author=f"c{n}")), traceparent=trace)
        for n, trace in enumerate(traces)
    ]
    await floor.deliver(*events)
    told = [event.traceparent for event in await floor.events()]
    assert {trace: told.count(trace) for trace in told} == dict.fromkeys(traces, 3)
