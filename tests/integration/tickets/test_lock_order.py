"""Batches lock customers in one order, whoever creates them in between: none waits for one that waits for it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.tickets.handlers.routed import on_routed
from services.tickets.store import customers
from services.tickets.store.customers import Account, Found, Profile
from shared.db.scope import Batch, Owner
from shared.db.transaction import Transaction
from shared.events.envelope import Event
from shared.events.routing import RuleReply
from shared.platform.store import agents
from tests.support.answers import Answers
from tests.support.floor import HOME, Floor, at_once, routed
from tests.support.waiting import answer

KNOWN = Account(HOME, "facebook", "", "known")
STRANGER = Account(HOME, "facebook", "", "stranger")


@dataclass
class Numbered:
    """Gives everything the same number."""

    number: int

    def new(self, prefix: str) -> str:
        return f"{prefix}_{self.number}"


async def test_who_meets_a_stranger_that_another_creates_locks_him_in_order(floor: Floor) -> None:
    async with _batch(floor) as tx:
        await _resolve(tx, KNOWN, number=2)
    async with asyncio.TaskGroup() as group, _batch(floor) as holder:
        await customers.lock(holder, {"cus_2"})
        async with _batch(floor) as creator:
            await _resolve(creator, STRANGER, number=1)
            first = group.create_task(_both(floor))
            await _waiting(floor, 1)
        # The stranger is created now, with an id before that of the customer whom `first` waits for.
        await _waiting(floor, 1)
        second = group.create_task(_both(floor))
        await _waiting(floor, 2)
    for task in (first, second):
        assert {account: one.customer_id for account, one in task.result().items()} == {
            KNOWN: "cus_2",
            STRANGER: "cus_1",
        }
        assert not any(one.is_new for one in task.result().values())


async def test_strangers_are_new_to_whoever_creates_them_even_when_others_create_some_of_them(floor: Floor) -> None:
    own = Account(HOME, "facebook", "", "own")
    async with asyncio.TaskGroup() as group, _batch(floor) as creator:
        await _resolve(creator, STRANGER, number=1)
        task = group.create_task(_both(floor, STRANGER, own))
        await _waiting(floor, 1)
    assert {account: one.is_new for account, one in task.result().items()} == {STRANGER: False, own: True}


async def test_parts_of_batches_that_concern_the_same_customers_wait_for_nobody_in_a_circle(wide_floor: Floor) -> None:
    floor = wide_floor
    answers = await Answers(floor).open(author="c1")
    await answers.says("m2", author="c2")
    for number in range(3):
        first = [_heard(floor, "c1", number), answers.shows(f"o1{number}", text=f"To c2, {number}", customer="c2")]
        second = [_heard(floor, "c2", number), answers.shows(f"o2{number}", text=f"To c1, {number}", customer="c1")]
        await at_once([lambda first=first: _apply(floor, first), lambda second=second: _apply(floor, second)])
    heard = await floor.rows("SELECT count(*) AS count FROM tickets.message WHERE seq IS NOT NULL")
    assert heard == [{"count": 2 + 3 * 4}]


async def test_who_waits_for_the_first_words_of_the_rules_keeps_nobody_waiting(floor: Floor) -> None:
    await floor.deliver(_heard(floor, "c1", 1))
    said = RuleReply(kind="private", text="We are on it", rule="closed")
    more = routed(floor.message("m2", network="api", author="c1"), replies=[said])
    async with asyncio.TaskGroup() as group, _batch(floor) as first:
        # The bot of the workspace is made with the first words that a rule says.
        await agents.rules(first, {HOME})
        group.create_task(_apply(floor, [_heard(floor, "c1", 2), more]))
        await _waiting(floor, 1)
        async with _batch(floor) as other:
            for table in ("customer", "ticket", "agent_load"):
                await other.execute(f"SELECT FROM tickets.{table} FOR UPDATE NOWAIT")


def _heard(floor: Floor, who: str, number: int) -> Event:
    return routed(floor.message(f"{who}-{number}", network="api", author=who))


async def _apply(floor: Floor, events: Sequence[Event]) -> None:
    """Once, as Postgres ends one of two batches that wait for each other and the consumer would try it again."""
    async with _batch(floor) as tx:
        await on_routed(tx, events, desk=floor.desk)


async def _both(floor: Floor, *accounts: Account) -> dict[Account, Found]:
    async with _batch(floor) as tx:
        return await _resolve(tx, *accounts or (KNOWN, STRANGER), number=3)


async def _resolve(tx: Transaction, *accounts: Account, number: int) -> dict[Account, Found]:
    return await customers.resolve(tx, dict.fromkeys(accounts, Profile()), ids=Numbered(number))


@asynccontextmanager
async def _batch(floor: Floor) -> AsyncIterator[Transaction]:
    async with floor.database.transaction(Batch(frozenset({HOME})), schema="tickets") as tx:
        yield tx


async def _waiting(floor: Floor, count: int) -> None:
    async def are_waiting() -> bool:
        async with floor.database.transaction(Owner()) as tx:
            found = await tx.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        return bool(found == count)

    await answer(are_waiting)
