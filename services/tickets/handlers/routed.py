"""Batches of routed messages: a constant number of statements for any number of messages and workspaces."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from services.tickets.domain import ticket as tickets_
from services.tickets.domain.batch import phases
from services.tickets.domain.message import blank
from services.tickets.handlers import answering, arrivals, assigning, echo, moderating, undelivered
from services.tickets.handlers.arrivals import Scene
from services.tickets.handlers.changes import Changes
from services.tickets.handlers.ledger import Desk
from services.tickets.handlers.moderating import Asked
from services.tickets.handlers.triggered import on_triggered
from services.tickets.store import assignments, customers, entries, messages, replies, search, staff, tickets
from services.tickets.store.customers import Account, Found, Profile
from services.tickets.store.search import Text
from shared.db.transaction import Transaction
from shared.errors import Retryable
from shared.events.envelope import Event
from shared.events.messages import Message
from shared.events.routing import MessageRouted, TicketRouted
from shared.events.tickets import Account as AccountOfEvents
from shared.ids import Ids
from shared.networks.accounts import account_of
from shared.platform.store import agents
from shared.platform.store.agents import Rules


async def on_routed(tx: Transaction, events: Sequence[Event], *, desk: Desk) -> None:
    """Applies what the router passed on: opens, attaches, reopens and revises; redelivery changes nothing.

    A message that a named rule ignores is kept, joins the timeline of a ticket that is open anyway, and opens none.
    """
    routed = [event for event in events if isinstance(event.data, MessageRouted)]
    triggered = [event for event in events if isinstance(event.data, TicketRouted)]
    cut = phases(routed)
    # First of all: whoever makes the bot of a workspace keeps others waiting until the commit.
    speaking = {data.workspace_id for data in _messages(events) if data.decision and data.decision.replies}
    bots = await agents.rules(tx, speaking) if speaking else {}
    if len(cut) + bool(triggered) > 1:
        await _meet(tx, events, desk.ids)
    for phase in cut:
        if phase.outbound:
            await echo.on_outbound(tx, phase.events, desk=desk)
            await undelivered.on_undelivered(tx, phase.events, desk=desk)
        else:
            await _apply(tx, phase.events, desk, bots)
    if triggered:
        await on_triggered(tx, triggered, desk.ids)


def _messages(events: Sequence[Event]) -> list[MessageRouted]:
    return [event.data for event in events if isinstance(event.data, MessageRouted)]


async def _meet(tx: Transaction, events: Sequence[Event], ids: Ids) -> None:
    """Locks all customers of the batch at once, by id: part after part they would be locked in no order."""
    data = _messages(events)
    came = [item.message for item in data if item.verb == "received"]
    arriving = [message for message in came if message.direction == "in"]
    outbound = [message for message in came if message.direction == "out"]
    others = [item.message for item in data if item.verb != "received"]
    named = {event.data.ticket_id for event in events if isinstance(event.data, TicketRouted)}
    named |= await echo.concerned(tx, outbound) if outbound else set()
    if others:
        stored = await messages.load(tx, {message.id for message in others})
        named |= {one.ticket_id for one in stored.values() if one.ticket_id is not None}
        named |= {record.ticket_id for record in await replies.echoed(tx, others)}
    goals = await tickets.targets(tx, named)
    profiles = {_account(message): _profile(message) for message in arriving}
    await customers.resolve(tx, profiles, ids=ids, also={owner for _, owner in goals.values()})


async def _apply(tx: Transaction, events: Sequence[Event], desk: Desk, bots: Mapping[str, Rules]) -> None:
    scene = await _prepare(tx, events, desk.ids)
    for event in events:
        if isinstance(event.data, MessageRouted):
            tx.traceparent = event.traceparent
            arrivals.apply(scene, event.data, event.id)
    said = await answering.prepare(scene, desk, bots)
    await _house(scene)
    await _store(tx, scene)
    await answering.conclude(said)


async def _prepare(tx: Transaction, events: Sequence[Event], ids: Ids) -> Scene:
    data = _messages(events)
    arriving = {item.message.id: item.message for item in data if item.verb == "received"}
    others = [item for item in data if item.verb != "received"]
    targets = await _targets(tx, [item for item in others if item.message.id not in arriving])
    account_of = {message.id: _account(message) for message in arriving.values()}
    profiles = {account_of[message.id]: _profile(message) for message in arriving.values()}
    people = await customers.resolve(tx, profiles, ids=ids, also={owner for _, owner in targets.values()})
    pairs = {(account.workspace_id, found.customer_id) for account, found in people.items() if not found.is_new}
    locked = await tickets.lock_current(tx, pairs, also={ticket for ticket, _ in targets.values()})
    # Only now, because whoever else stores one of these items holds the lock of the same customer.
    known = await messages.load(tx, {item.message.id for item in data}, lock=True)
    held = {stored.ticket_id for stored in known.values()} - {None, *targets, *locked}
    if others and (held or any(locked[ticket].merged_into for ticket, _ in targets.values())):
        raise Retryable("an item moved to another ticket at this moment")
    standing = await staff.standing(tx, {item.workspace_id for item in data})
    changes = Changes(tx, ids, now=standing.now)
    changes.adopt(*locked.values())
    changes.settings = standing.settings
    owners = {account: found.customer_id for account, found in people.items()}
    current = _current(locked.values(), set(owners.values()))
    return Scene(
        changes=changes,
        known=known,
        customer_of={message: owners[account] for message, account in account_of.items()},
        current=current,
        linked=await _linked(
            tx, people, {locked[id_].customer_id for id_ in current.values() if locked[id_].is_active}
        ),
        roots={origin: ticket for origin, (ticket, _) in targets.items()},
        told=await entries.seen(tx, [item.event_id for item in others]) if others else set(),
        teams=standing.terms,
    )


async def _targets(tx: Transaction, others: Sequence[MessageRouted]) -> dict[str, tuple[str, str]]:
    # What happens to an item before it comes is kept for its arrival. If it comes at this very moment, one of the two
    # transactions waits here for the other, and then finds the other's row.
    if not others:
        return {}
    blanks = {item.message.id: blank(item) for item in others if item.message.direction == "in"}
    await messages.insert(tx, [blanks[id_] for id_ in sorted(blanks)])
    stored = await messages.load(tx, {item.message.id for item in others})
    return await tickets.targets(tx, {entry.ticket_id for entry in stored.values() if entry.ticket_id is not None})


async def _linked(
    tx: Transaction, people: Mapping[Account, Found], served: Collection[str]
) -> dict[str, tuple[AccountOfEvents, ...]]:
    # Nobody else is told of: who was never linked has one account, and who has an open ticket is told of already.
    wanted = {
        (account.workspace_id, found.customer_id)
        for account, found in people.items()
        if found.was_linked and found.customer_id not in served
    }
    return await customers.accounts(tx, wanted)


def _current(locked: Iterable[tickets_.Ticket], owners: set[str]) -> dict[str, str]:
    current: dict[str, tickets_.Ticket] = {}
    for ticket in locked:
        before = current.get(ticket.customer_id)
        if ticket.customer_id in owners and (before is None or ticket.is_active):
            current[ticket.customer_id] = ticket
    return {customer: ticket.id for customer, ticket in current.items()}


def _account(message: Message) -> Account:
    account = account_of(message)
    return Account(message.workspace_id, account.network, account.scope, account.external_id)


def _profile(message: Message) -> Profile:
    return Profile(handle=message.author.handle, name=message.author.name) if message.author else Profile()


async def _house(scene: Scene) -> None:
    if not scene.homeless:
        return
    changes = scene.changes
    homes = {(changes[id_].workspace_id, changes[id_].team) for id_ in scene.homeless}
    older = [id_ for id_, homeless in scene.homeless.items() if homeless.cause != "created"]
    current = await assignments.current(changes.tx, older)
    changes.know(current.values())
    owners = {(step.workspace_id, step.agent) for step in current.values() if step.agent is not None}
    await changes.lock_roster(teams=homes, agents=owners, terms=scene.teams)
    changes.cause = None
    for ticket_id, homeless in scene.homeless.items():
        changes.tx.traceparent = homeless.traceparent
        if homeless.cause == "reopened":
            assigning.keep_or_reassign(changes, ticket_id, prefer=homeless.prefer, reason=homeless.reason)
        else:
            assigning.assign(changes, ticket_id, prefer=homeless.prefer, reason=homeless.reason)


async def _store(tx: Transaction, scene: Scene) -> None:
    search.put(tx, _texts(scene))
    messages.keep(tx, scene.arrived)
    messages.open_turns(tx, scene.turns)
    messages.share(tx, [(item.ticket_id, item.message) for item in scene.arrived if item.ticket_id is not None])
    await messages.save(tx, list(scene.revised.values()))
    if scene.silenced:
        for ticket_id, since in (await messages.waiting(tx, scene.silenced)).items():
            scene.changes.amend(ticket_id, waiting_since=since)
    await moderating.request(scene.changes, _still_asked(scene))
    await scene.changes.flush()


def _still_asked(scene: Scene) -> list[Asked]:
    """Of items as they are now: what came and was taken back in the same batch is left alone."""
    now = [one._replace(stored=scene.known[one.stored.id]) for one in scene.moderation]
    return [one for one in now if one.stored.state != "deleted"]


def _texts(scene: Scene) -> Iterator[Text]:
    changes = scene.changes
    for item in [*scene.arrived, *scene.revised.values()]:
        if item.received and item.ticket_id is not None and (item.text or item.id in scene.revised):
            yield Text(item.id, item.workspace_id, item.text or "", changes.now)
    for ticket_id, homeless in scene.homeless.items():
        ticket = changes[ticket_id]
        names = " ".join(name for name in (ticket.customer_name, ticket.customer_handle) if name)
        if names and homeless.cause == "created":
            yield Text(ticket.customer_id, ticket.workspace_id, names, changes.now)
