"""Who looks on: told when it changes, never for a heartbeat, and gone by itself."""

import asyncio
from typing import Any

import pytest

from services.tickets.handlers import presence
from services.tickets.store import presence as store
from shared.db.appending import decode_headers
from shared.db.scope import Owner
from shared.errors import NotFound
from shared.events import envelope
from tests.support.answers import HOME, Answers, agent
from tests.support.floor import AT, OTHER, Floor, at_once, message, routed

ANN = agent("agt_ann")
BEN = agent("agt_ben")


@pytest.fixture
async def answers(floor: Floor) -> Answers:
    return await Answers(floor).open()


async def put(answers: Answers, who: Any, level: Any = "viewing", *, session: str = "s", ticket: str = "") -> Any:
    ticket_id = ticket or answers.ticket_id
    return await answers.attempt(who, lambda tx: presence.put(tx, who, ticket_id, level=level, session=session))


async def leave(answers: Answers, who: Any, *, session: str | None = "s") -> Any:
    return await answers.attempt(who, lambda tx: presence.leave(tx, who, answers.ticket_id, session=session))


async def told(answers: Answers) -> list[tuple[str, str]]:
    async with answers.floor.database.transaction(Owner()) as tx:
        rows = await tx.fetch("SELECT headers, value FROM log.event WHERE topic = 'baton.presence.v1' ORDER BY id")
    events = [envelope.decode(decode_headers(row["headers"]), row["value"]).data for row in rows]
    return [(event.agent.id, event.level) for event in events]


async def shown(answers: Answers, *, workspace: str = HOME) -> list[tuple[str, str, str]]:
    found = await answers.floor.act(lambda tx: store.of_tickets(tx, [answers.ticket_id]), workspace=workspace)
    return [(one.agent_id, one.session, one.level) for one in found[answers.ticket_id]]


async def test_presence_is_told_when_it_changes_and_never_for_a_heartbeat(answers: Answers) -> None:
    for level in ("viewing", "viewing", "viewing", "composing", "composing", "viewing"):
        await put(answers, ANN, level)
    assert await told(answers) == [("agt_ann", "viewing"), ("agt_ann", "composing"), ("agt_ann", "viewing")]
    assert await answers.told() == []


async def test_each_session_stands_for_itself_and_composers_come_first(answers: Answers) -> None:
    await put(answers, ANN, session="a")
    await put(answers, ANN, "composing", session="b")
    await put(answers, BEN)
    assert await shown(answers) == [
        ("agt_ann", "b", "composing"),
        ("agt_ann", "a", "viewing"),
        ("agt_ben", "s", "viewing"),
    ]
    await leave(answers, ANN, session="a")
    assert [session for _, session, _ in await shown(answers)] == ["b", "s"]
    await leave(answers, ANN, session=None)
    assert await shown(answers) == [("agt_ben", "s", "viewing")]


async def test_leaving_is_told_once(answers: Answers) -> None:
    await put(answers, ANN)
    await leave(answers, ANN)
    await leave(answers, ANN)
    assert await told(answers) == [("agt_ann", "viewing"), ("agt_ann", "gone")]


async def test_whoever_falls_silent_is_gone_by_itself_and_the_next_one_tells(answers: Answers) -> None:
    await put(answers, ANN)
    await answers.age(26)
    assert await shown(answers) == []
    await put(answers, BEN)
    assert await told(answers) == [("agt_ann", "viewing"), ("agt_ann", "gone"), ("agt_ben", "viewing")]
    assert await answers.floor.rows("SELECT count(*) AS rows FROM tickets.presence") == [{"rows": 1}]


async def test_whoever_comes_back_is_told_anew(answers: Answers) -> None:
    await put(answers, ANN)
    await answers.age(26)
    await put(answers, ANN)
    assert await told(answers) == [("agt_ann", "viewing"), ("agt_ann", "viewing")]


async def test_a_workspace_sets_how_long_presence_lasts(answers: Answers) -> None:
    await answers.choose(presence_ttl=30)
    await put(answers, ANN)
    assert len(await shown(answers)) == 1
    await asyncio.sleep(0.04)
    assert await shown(answers) == []


async def test_moving_on_clears_what_was_left_behind(answers: Answers) -> None:
    await answers.floor.deliver(
        routed(message("n1", channel=f"chn_{HOME}", author="c2", network="api", occurred_at=AT))
    )
    [other] = await answers.floor.rows("SELECT id FROM tickets.ticket WHERE id <> $1", answers.ticket_id)
    await put(answers, ANN)
    await answers.age(26)
    await put(answers, ANN, ticket=other["id"])
    rows = await answers.floor.rows("SELECT ticket_id FROM tickets.presence")
    assert rows == [{"ticket_id": other["id"]}]


async def test_presence_is_for_those_who_may_read_the_ticket(answers: Answers) -> None:
    assert isinstance(await put(answers, agent("agt_pia", only=["product"])), NotFound)
    assert isinstance(await put(answers, agent("agt_eve", workspace=OTHER)), NotFound)
    await put(answers, ANN)
    assert await shown(answers, workspace=OTHER) == []


async def test_fifty_viewers_at_once_do_not_erase_each_other(wide_floor: Floor) -> None:
    answers = await Answers(wide_floor).open()
    crowd = [agent(f"agt_{n:02}") for n in range(50)]
    for level in ("viewing", "composing"):
        await at_once([lambda who=who, level=level: put(answers, who, level) for who in crowd])
    assert {(who, level) for who, _, level in await shown(answers)} == {(who.id, "composing") for who in crowd}
    assert len(await told(answers)) == 100
