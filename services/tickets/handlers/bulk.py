"""One action on many tickets: each succeeds or is refused by itself, all in one transaction."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from services.tickets.domain.reply import Order
from services.tickets.domain.ticket import Ticket
from services.tickets.handlers import owning, reply, states
from services.tickets.handlers.ledger import Desk
from services.tickets.handlers.owning import Target
from services.tickets.store import staff, tickets
from shared.db.transaction import Transaction
from shared.errors import Invalid, Refusal
from shared.web.auth import Principal

MOST: Final = 100

Action = Callable[[Transaction, Desk, Principal, "Item"], Awaitable[Ticket]]


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One ticket, the version that was read, and what to do."""

    id: str
    version: int
    arguments: dict[str, Any]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one item; `problem` says why it was refused."""

    id: str
    status: int
    version: int | None = None
    reply: dict[str, Any] | None = None
    problem: dict[str, Any] | None = None


async def perform(tx: Transaction, desk: Desk, who: Principal, action: str, items: Sequence[Item]) -> list[Result]:
    """Each item in turn, every one undone alone if it is refused."""
    await _lock(tx, who.workspace_id, items)
    return [await _one(tx, item.id, partial(_act, tx, desk, who, _ACTIONS[action], item)) for item in items]


async def answer(tx: Transaction, desk: Desk, who: Principal, orders: Sequence[tuple[str, Order]]) -> list[Result]:
    """The answer of each (ticket, order), decided as if it came alone; a text that is refused is kept as a draft."""
    await tickets.lock_known(tx, [ticket_id for ticket_id, _ in orders])
    return [await _one(tx, ticket_id, partial(_answer, tx, desk, who, ticket_id, order)) for ticket_id, order in orders]


async def _lock(tx: Transaction, workspace: str, items: Sequence[Item]) -> None:
    # All of it at once and in order, so that two of these never wait for each other.
    locked = (await tickets.lock_known(tx, [item.id for item in items])).values()
    places = {ticket.team for ticket in locked} | {item.arguments.get("team") for item in items}
    people = {ticket.owner for ticket in locked} | {item.arguments.get("agent") for item in items}
    await staff.roster(
        tx,
        teams={(workspace, team) for team in places if team},
        agents={(workspace, agent) for agent in people if agent},
        now=await tx.now(),
    )


async def _one(tx: Transaction, ticket_id: str, work: Callable[[], Awaitable[Result]]) -> Result:
    try:
        async with tx.savepoint():
            try:
                return await work()
            except Refusal as refusal:
                if not refusal.keeps_effects:
                    raise
                return _refused(ticket_id, refusal)
    except Refusal as refusal:
        return _refused(ticket_id, refusal)


def _refused(ticket_id: str, refusal: Refusal) -> Result:
    problem = {"code": refusal.code, "title": refusal.title, "detail": refusal.detail, **refusal.fields}
    return Result(id=ticket_id, status=refusal.status, problem=problem)


async def _act(tx: Transaction, desk: Desk, who: Principal, action: Action, item: Item) -> Result:
    ticket = await action(tx, desk, who, item)
    return Result(id=item.id, status=200, version=ticket.version)


async def _answer(tx: Transaction, desk: Desk, who: Principal, ticket_id: str, order: Order) -> Result:
    return Result(id=ticket_id, status=202, reply=await reply.submit(tx, desk, who, ticket_id, order))


async def _claim(tx: Transaction, desk: Desk, who: Principal, item: Item) -> Ticket:
    if who.agent_id is None:
        raise Invalid("to claim needs a key that belongs to an agent")
    return await owning.claim(tx, desk, who, item.id, agent=who.agent_id, version=item.version)


async def _release(tx: Transaction, desk: Desk, who: Principal, item: Item) -> Ticket:
    return await owning.release(tx, desk, who, item.id, version=item.version, **item.arguments)


async def _transfer(tx: Transaction, desk: Desk, who: Principal, item: Item) -> Ticket:
    return await owning.transfer(tx, desk, who, item.id, version=item.version, target=Target(**item.arguments))


async def _snooze(tx: Transaction, desk: Desk, who: Principal, item: Item) -> Ticket:
    return await states.snooze(tx, desk, who, item.id, version=item.version, **item.arguments)


async def _resolve(tx: Transaction, desk: Desk, who: Principal, item: Item) -> Ticket:
    return await states.resolve(tx, desk, who, item.id, version=item.version)


async def _reopen(tx: Transaction, desk: Desk, who: Principal, item: Item) -> Ticket:
    return await states.reopen(tx, desk, who, item.id, version=item.version)


async def _tag(tx: Transaction, desk: Desk, who: Principal, item: Item) -> Ticket:
    return await states.tag(tx, desk, who, item.id, version=item.version, **item.arguments)


async def _amend(tx: Transaction, desk: Desk, who: Principal, item: Item) -> Ticket:
    return await states.amend(tx, desk, who, item.id, version=item.version, **item.arguments)


_ACTIONS: Final[dict[str, Action]] = {
    "claim": _claim,
    "release": _release,
    "transfer": _transfer,
    "snooze": _snooze,
    "resolve": _resolve,
    "reopen": _reopen,
    "tags": _tag,
    "amend": _amend,
}
