"""Whatever happens at the moment of a change of duty: nothing is left in a queue, and the books agree."""

import random
from collections.abc import Awaitable, Callable
from functools import partial

from services.tickets.handlers import owning, staffing
from services.tickets.handlers.duties import DUTY_TIMER
from services.tickets.handlers.owning import Target
from tests.support import shifts
from tests.support.floor import Floor, agent, at_once, message, routed

ROUNDS = 8


async def test_messages_that_come_at_the_moment_of_a_change_are_not_left_in_the_queue(wide_floor: Floor) -> None:
    floor = wide_floor
    ann = await floor.add_agent("ann")
    await shifts.schedule(floor, on=[])
    await shifts.reschedule(floor, on=[ann])
    arriving = [routed(message(f"m{number}", author=f"c{number}")) for number in range(12)]
    await at_once([lambda: shifts.tick(floor), *[partial(floor.deliver, event) for event in arriving]])
    # What was locked at that moment is looked at again soon, not only at the next change.
    soon = "UPDATE tickets.timer SET due_at = now() WHERE kind = $1 AND due_at < now() + interval '2 seconds'"
    await floor.rows(soon, DUTY_TIMER)
    await shifts.tick(floor)
    assert set((await shifts.owners(floor)).values()) == {ann}
    await floor.check_books()


async def test_all_at_once_around_changes_of_duty_leaves_the_books_in_order(wide_floor: Floor) -> None:
    chance = random.Random(7)
    crowd = [await wide_floor.add_agent(name, capacity=30) for name in ("ann", "bea", "cem", "dan")]
    await shifts.schedule(wide_floor, on=crowd[:2], handover="team")
    for version in range(1, ROUNDS + 1):
        arriving = [routed(message(f"m{version}-{one}", author=f"c{one}")) for one in range(6)]
        on, policy = chance.sample(crowd, chance.randint(0, 3)), chance.choice(["keep", "team", "next"])
        works: list[Callable[[], Awaitable[object]]] = [
            *[partial(wide_floor.deliver, event) for event in arriving],
            partial(shifts.schedule, wide_floor, on=on, version=version, handover=policy),
            partial(shifts.hurry, wide_floor),
            partial(_move, wide_floor, crowd[0]),
            partial(_join, wide_floor, chance.choice(crowd)),
            partial(_set, wide_floor, chance.choice(crowd), chance.choice(["available", "away"])),
        ]
        await at_once(works)
        await wide_floor.check_books()
    for one in crowd:
        await _set(wide_floor, one, "available")
    await shifts.schedule(wide_floor, on=crowd, version=ROUNDS + 1, handover="team")
    await shifts.hurry(wide_floor)
    assert None not in (await shifts.owners(wide_floor)).values()
    await wide_floor.check_books()


async def _move(floor: Floor, lead: str) -> None:
    rows = await floor.rows("SELECT id, version FROM tickets.ticket LIMIT 1")
    if not rows:
        return
    (id_, version), who = rows[0].values(), agent(lead, role="lead")
    target = Target(team="care", reason="why not")
    # Somebody else may have been faster.
    await floor.attempt(lambda tx: owning.transfer(tx, floor.desk, who, id_, version=version, target=target))


async def _join(floor: Floor, who: str) -> None:
    boss = agent("boss", role="manager")
    await floor.act(lambda tx: staffing.join(tx, floor.desk, boss, "care", who))


async def _set(floor: Floor, who: str, availability: str) -> None:
    boss, fields = agent("boss", role="manager"), {"availability": availability}
    await floor.act(lambda tx: staffing.amend(tx, floor.desk, boss, who, version=None, fields=fields))
