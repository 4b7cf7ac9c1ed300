"""Operations on items at the last hop, against a real database and a network on loopback."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.notifier.handlers import moderations
from services.notifier.handlers.sender import Sender
from shared import failpoints
from shared.db.pool import Database
from shared.db.scope import Owner
from shared.events import envelope, moderation
from shared.events.deliveries import ModerationSettled
from shared.events.envelope import Event
from shared.events.moderation import ModerationRequested
from shared.networks.port import Failed
from tests.support.outgoing import ANN, AT, IDS, World, http, world
from tests.support.sending import sender


@pytest.fixture
async def here(database: Database) -> AsyncIterator[World]:
    async with world(database) as made:
        yield made


def asked(number: int = 1, operation: str = "hide", *, workspace: str = "w1", **changes: Any) -> Event:
    fields: dict[str, Any] = {
        "id": f"mod_{number}",
        "number": number,
        "operation": operation,
        "message_id": "m1",
        "channel_id": "chn_1",
        "network": "facebook",
        "message_kind": "comment",
        "external_id": "500_1",
    }
    order = moderation.Moderation(**(fields | changes))
    data = ModerationRequested(workspace_id=workspace, moderation=order, actor=ANN, at=AT)
    return envelope.new(data, event_id=IDS.new("evt"), key=order.message_id, time=AT)


async def work(here: World, using: Sender | None = None) -> int:
    """Carries out what is due, until nothing is."""
    using = using or sender(here)
    done = 0
    while claims := await using.claim_moderations(limit=50):
        for claim in claims:
            await using.moderate(claim)
        done += len(claims)
    return done


async def told(here: World) -> list[tuple[str, str, str | None]]:
    events = [event for event in await here.told() if isinstance(event, ModerationSettled)]
    return [(event.moderation_id, event.outcome, event.code) for event in events]


async def let_pass(here: World, seconds: int) -> None:
    async with here.database.transaction(Owner()) as tx:
        for table in ("item", "moderation"):
            await tx.execute(f"UPDATE notifier.{table} SET due_at = due_at - make_interval(secs => $1)", seconds)


async def test_what_is_asked_for_is_done_once_and_told(here: World) -> None:
    await here.deliver(moderations.take, asked())
    assert await work(here) == 1
    assert here.network.changed == ["POST /500_1?is_hidden=true"]
    assert await told(here) == [("mod_1", "done", None)]


async def test_a_redelivered_request_is_carried_out_once(here: World) -> None:
    await here.deliver(moderations.take, asked(), asked())
    await work(here)
    await here.deliver(moderations.take, asked())
    assert await work(here) == 0
    assert len(here.network.changed) == 1
    assert await told(here) == [("mod_1", "done", None)]


async def test_many_senders_race_for_one_operation_and_the_network_hears_it_once(here: World) -> None:
    await here.deliver(moderations.take, asked())
    barrier = asyncio.Barrier(6)

    async def race(one: Sender) -> int:
        await barrier.wait()
        return await work(here, one)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(race(sender(here))) for _ in range(6)]
    assert sum(task.result() for task in tasks) == 1
    assert len(here.network.changed) == 1


async def test_operations_on_one_item_go_in_the_order_in_which_they_were_asked_for(here: World) -> None:
    await here.deliver(moderations.take, asked(2, "delete"), asked(1, "like"))
    await work(here)
    assert here.network.changed == ["POST /500_1/likes", "DELETE /500_1"]


async def test_of_hide_and_unhide_the_later_one_holds_whichever_came_first(here: World) -> None:
    await here.deliver(moderations.take, asked(2, "unhide"))
    await work(here)
    await here.deliver(moderations.take, asked(1, "hide"))
    await work(here)
    assert here.network.changed == ["POST /500_1?is_hidden=false"]
    assert await told(here) == [("mod_2", "done", None), ("mod_1", "failed", "superseded")]


async def test_a_sender_that_died_after_sending_is_followed_by_one_that_sends_again(here: World) -> None:
    await here.deliver(moderations.take, asked())
    dead = sender(here)
    [claim] = await dead.claim_moderations(limit=1)
    with pytest.MonkeyPatch.context() as armed:
        armed.setitem(failpoints._ARMED, "moderation.sent", "raise")
        with pytest.raises(failpoints.InjectedFailure):
            await dead.moderate(claim)
    assert await work(here) == 0
    await let_pass(here, 31)
    assert await work(here) == 1
    assert len(here.network.changed) == 2
    assert await told(here) == [("mod_1", "done", None)]


async def test_a_late_record_of_a_claim_that_is_over_changes_nothing(here: World) -> None:
    await here.deliver(moderations.take, asked())
    slow = sender(here)
    [claim] = await slow.claim_moderations(limit=1)
    await let_pass(here, 31)
    await work(here)
    rules = slow._rules
    assert await moderations.record(here.runtime, claim, Failed(code="1", reason="late"), rules) is None
    assert await told(here) == [("mod_1", "done", None)]
    assert len(here.network.changed) == 1


async def test_a_deletion_whose_answer_was_lost_is_proven_by_the_second_attempt(here: World) -> None:
    here.network.verdicts = [
        None,
        http(400, {"error": {"code": 100, "error_subcode": 33, "message": "no such object"}}),
    ]
    await here.deliver(moderations.take, asked(operation="delete"))
    await work(here)
    await let_pass(here, 31)
    await work(here)
    assert here.network.changed == ["DELETE /500_1"] * 2
    assert await told(here) == [("mod_1", "done", None)]


async def test_what_the_network_refuses_or_cannot_do_is_told_with_its_reason(here: World) -> None:
    here.network.verdicts = [http(403, {"error": {"code": 200, "message": "no permission"}})]
    await here.deliver(
        moderations.take,
        asked(1),
        asked(2, message_id="m2", message_kind="dm"),
        asked(3, message_id="m3", channel_id="chn_none"),
    )
    await work(here)
    assert sorted(await told(here)) == [
        ("mod_1", "failed", "200"),
        ("mod_2", "unsupported", "not-supported"),
        ("mod_3", "failed", "channel-unusable"),
    ]
    assert len(here.network.changed) == 1


async def test_a_channel_that_is_told_to_wait_sends_neither_operations_nor_replies(here: World) -> None:
    here.network.verdicts = [http(429, {}, retry_after="60")]
    await here.deliver(moderations.take, asked(1))
    using = sender(here)
    await work(here, using)
    await here.deliver(moderations.take, asked(2, message_id="m2"))
    await work(here, using)
    assert len(here.network.changed) == 1
    assert await told(here) == []


async def test_a_channel_whose_credentials_no_longer_work_is_marked(here: World) -> None:
    here.network.verdicts = [http(401, {"error": {"code": 190, "message": "expired"}})]
    await here.deliver(moderations.take, asked())
    await work(here)
    [row] = await here.rows("SELECT state FROM platform.channel WHERE id = 'chn_1'")
    assert row["state"] == "unauthorized"
    assert await told(here) == [("mod_1", "failed", "unauthorized")]


async def test_two_workspaces_are_served_by_their_own_channels(here: World) -> None:
    await here.deliver(
        moderations.take,
        asked(1),
        asked(2, workspace="w2", message_id="m2", channel_id="chn_2", external_id="500_2"),
        asked(3, workspace="w2", message_id="m3", external_id="500_3"),
    )
    await work(here)
    assert sorted(here.network.changed) == ["POST /500_1?is_hidden=true", "POST /500_2?is_hidden=true"]
    assert sorted(await told(here))[2] == ("mod_3", "failed", "channel-unusable")
