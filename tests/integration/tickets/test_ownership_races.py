"""Who owns what when many act at the same moment, in each of two workspaces that nothing may connect."""

from collections import Counter
from functools import partial

import pytest

from services.tickets.handlers import joining, owning, queues, states
from services.tickets.handlers.owning import Target
from services.tickets.handlers.ticks import handlers, lock
from shared.db.timers import Timers
from shared.errors import VersionStale
from shared.web.auth import Principal
from tests.support.both import in_both_workspaces
from tests.support.floor import Floor, at_once, routed
from tests.support.waiting import answer


@pytest.fixture
def floor(wide_floor: Floor) -> Floor:
    """Fifty at once, in either workspace."""
    return wide_floor


@in_both_workspaces
async def test_the_same_message_fifty_times_at_once_is_one_message(floor: Floor) -> None:
    await floor.add_agent("ann")
    event = routed(floor.message())
    await at_once([partial(floor.deliver, event)] * 50)
    assert len(await floor.rows("SELECT 1 FROM tickets.message")) == 1
    assert (await floor.told()).count("ticket.created.v1") == 1


@in_both_workspaces
async def test_fifty_first_messages_of_one_stranger_at_once_open_one_ticket(floor: Floor) -> None:
    ann = await floor.add_agent("ann")
    given = [floor.message(f"m{n}", conversation_id=f"cnv_{n}") for n in range(50)]
    await at_once([partial(floor.deliver, routed(item)) for item in given])
    assert len(await floor.rows("SELECT 1 FROM tickets.customer")) == 1
    seqs = await floor.rows("SELECT ticket_id, seq FROM tickets.message")
    assert len({row["ticket_id"] for row in seqs}) == 1
    assert len({row["seq"] for row in seqs}) == 50
    assert (await floor.ticket())["owner_id"] == ann


@pytest.mark.parametrize(("seconds", "step"), [(None, "accepted"), (60, "offered")])
@in_both_workspaces
async def test_an_agent_with_room_for_one_gets_exactly_one_of_fifty(
    floor: Floor, seconds: int | None, step: str
) -> None:
    await floor.add_team("vip", seconds=seconds)
    ann = await floor.add_agent("ann", team="vip", capacity=1)
    events = [routed(floor.message(f"m{n}", author=f"c{n}"), team="vip") for n in range(50)]
    await at_once([partial(floor.deliver, event) for event in events])
    steps = await floor.rows("SELECT agent_id, state FROM tickets.assignment WHERE ended_at IS NULL")
    assert Counter((one["agent_id"], one["state"]) for one in steps) == {(ann, step): 1, (None, "queued"): 49}
    assert await floor.rows("SELECT load FROM tickets.agent_load") == [{"load": 1}]


@in_both_workspaces
async def test_fifty_agents_who_take_the_next_one_get_fifty_different_ones(floor: Floor) -> None:
    await floor.deliver(*[routed(floor.message(f"m{n}", author=f"c{n}")) for n in range(50)])
    names = [await floor.add_agent(f"a{n:02}") for n in range(50)]

    def take(name: str):
        return partial(
            floor.act, lambda tx: queues.take_next(tx, floor.desk, floor.agent(name), "care", name, override=False)
        )

    taken = await at_once([take(name) for name in names])
    assert len({ticket.id for ticket in taken}) == 50
    assert {ticket.owner for ticket in taken} == set(names)


@in_both_workspaces
async def test_of_fifty_who_claim_the_same_version_one_wins_and_the_rest_hear_who(floor: Floor) -> None:
    await floor.deliver(routed(floor.message()))
    names = [await floor.add_agent(f"a{n:02}") for n in range(50)]
    seen = await floor.ticket()

    def claim(name: str):
        return partial(
            floor.attempt,
            lambda tx: owning.claim(tx, floor.desk, floor.agent(name), seen["id"], agent=name, version=seen["version"]),
        )

    results = await at_once([claim(name) for name in names])
    [winner] = [result for result in results if not isinstance(result, Exception)]
    losers = [result for result in results if isinstance(result, VersionStale)]
    assert len(losers) == 49
    assert {loser.fields["changed_by"]["id"] for loser in losers} == {winner.owner}
    assert {loser.fields["change"] for loser in losers} == {"assigned"}
    assert (await floor.ticket())["owner_id"] == winner.owner


@in_both_workspaces
async def test_a_transfer_and_claims_at_once_leave_one_owner(floor: Floor) -> None:
    await floor.deliver(routed(floor.message()))
    names = [await floor.add_agent(f"a{n}") for n in range(10)]
    seen = await floor.ticket()

    def claim(name: str):
        return partial(
            floor.attempt,
            lambda tx: owning.claim(tx, floor.desk, floor.agent(name), seen["id"], agent=name, version=seen["version"]),
        )

    def transfer(name: str):
        target = Target(reason="knows the case", agent=name)
        return partial(
            floor.attempt,
            lambda tx: owning.transfer(
                tx, floor.desk, floor.agent(name), seen["id"], version=seen["version"], target=target
            ),
        )

    results = await at_once([claim(name) for name in names[:5]] + [transfer(name) for name in names[5:]])
    assert len([result for result in results if not isinstance(result, Exception)]) == 1


@in_both_workspaces
async def test_merging_two_tickets_into_each_other_at_once_leaves_one(floor: Floor) -> None:
    boss = await floor.add_agent("boss")
    await floor.deliver(routed(floor.message("m1")), routed(floor.message("m2", author="c2")))
    first, second = await floor.rows("SELECT id, version FROM tickets.ticket ORDER BY id")

    def merge(source: dict, target: dict):
        return partial(
            floor.attempt,
            lambda tx: joining.merge(
                tx,
                floor.desk,
                floor.agent(boss, role="lead"),
                source["id"],
                into=target["id"],
                version=source["version"],
            ),
        )

    results = await at_once([merge(first, second), merge(second, first)])
    assert len([result for result in results if not isinstance(result, Exception)]) == 1
    states_ = await floor.rows("SELECT state FROM tickets.ticket")
    assert sorted(row["state"] for row in states_) == ["merged", "open"]
    assert len(await floor.rows("SELECT DISTINCT ticket_id FROM tickets.message")) == 1


@in_both_workspaces
async def test_messages_that_arrive_while_tickets_merge_end_in_the_one_that_is_left(floor: Floor) -> None:
    boss = await floor.add_agent("boss")
    await floor.deliver(routed(floor.message("m1")), routed(floor.message("m2", author="c2")))
    first, second = await floor.rows("SELECT id, version FROM tickets.ticket ORDER BY id")

    async def merge():
        return await floor.attempt(
            lambda tx: joining.merge(
                tx, floor.desk, floor.agent(boss, role="lead"), first["id"], into=second["id"], version=first["version"]
            )
        )

    late = [routed(floor.message(f"l{n}", author=f"c{n % 2 + 1}")) for n in range(20)]
    await at_once([merge, *[partial(floor.deliver, event) for event in late]])
    assert len(await floor.rows("SELECT 1 FROM tickets.ticket WHERE state <> 'merged'")) in (1, 2)
    orphans = await floor.rows(
        "SELECT m.id FROM tickets.message m JOIN tickets.ticket t ON t.id = m.ticket_id WHERE t.state = 'merged'"
    )
    assert orphans == []
    assert len(await floor.rows("SELECT 1 FROM tickets.message")) == 22


@in_both_workspaces
async def test_resolving_and_arriving_at_once_leave_nobody_idle_while_something_waits(floor: Floor) -> None:
    ann = await floor.add_agent("ann", capacity=5)
    await floor.deliver(*[routed(floor.message(f"m{n}", author=f"c{n}")) for n in range(5)])
    mine = await floor.rows("SELECT id, version FROM tickets.ticket WHERE owner_id = $1", ann)

    def resolve(row: dict):
        return partial(
            floor.attempt,
            lambda tx: states.resolve(tx, floor.desk, floor.agent(ann), row["id"], version=row["version"]),
        )

    arriving = [partial(floor.deliver, routed(floor.message(f"n{n}", author=f"d{n}"))) for n in range(5)]
    await at_once([resolve(row) for row in mine] + arriving)
    await _drain(floor)
    owned = await floor.rows("SELECT 1 FROM tickets.ticket WHERE owner_id = $1 AND state = 'open'", ann)
    assert len(owned) == 5


@in_both_workspaces
async def test_a_busy_hour_ends_with_balanced_books_and_nobody_idle_while_something_waits(floor: Floor) -> None:
    names = [await floor.add_agent(f"a{n}", capacity=2) for n in range(6)]
    await floor.deliver(*[routed(floor.message(f"m{n}", author=f"c{n}")) for n in range(30)])

    async def arrive(number: int) -> None:
        for batch in range(4):
            place = f"{number}-{batch}"
            given = [floor.message(f"n{place}-{n}", author=f"c{(7 * n + number + batch) % 40}") for n in range(20)]
            await floor.deliver(*[routed(item) for item in given])

    async def work(name: str) -> None:
        for number in range(8):
            rows = await floor.rows("SELECT id, version FROM tickets.ticket WHERE state <> 'merged' ORDER BY id")
            row, other = rows[(5 * number + len(name)) % len(rows)], rows[(3 * number) % len(rows)]
            await floor.attempt(_acts(floor, floor.agent(name, role="lead"), name, row, other)[number % 6])

    await at_once([partial(arrive, n) for n in range(2)] + [partial(work, name) for name in names])
    await _drain(floor)
    [waiting] = await floor.rows(
        "SELECT count(*) AS queued FROM tickets.ticket WHERE state = 'open' AND owner_id IS NULL"
    )
    [room] = await floor.rows("SELECT sum(2 - load) AS left, max(load) AS most FROM tickets.agent_load")
    assert room["most"] <= 2
    assert waiting["queued"] == 0 or room["left"] == 0


async def _drain(floor: Floor) -> None:
    """What somebody had to leave in the queue because it was locked is taken a second later."""
    await floor.rows("UPDATE tickets.timer SET due_at = now() - interval '1 second' WHERE kind = 'drain'")

    async def drained() -> bool:
        # Timers are nobody's: the other workspace's round may be at work on ours.
        await Timers(floor.database, "tickets", handlers(floor.desk), lock=lock).step()
        return not await floor.rows("SELECT 1 FROM tickets.timer WHERE kind = 'drain' AND due_at < now()")

    await answer(drained)


def _acts(floor: Floor, who: Principal, name: str, row: dict, other: dict) -> list:
    desk, id_, version = floor.desk, row["id"], row["version"]
    return [
        lambda tx: states.resolve(tx, desk, who, id_, version=version),
        lambda tx: owning.claim(tx, desk, who, id_, agent=name, version=version),
        lambda tx: queues.take_next(tx, desk, who, "care", name, override=False),
        lambda tx: owning.release(tx, desk, who, id_, version=version),
        lambda tx: joining.merge(tx, desk, who, id_, into=other["id"], version=version),
        lambda tx: states.reopen(tx, desk, who, id_, version=version),
    ]
