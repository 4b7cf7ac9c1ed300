"""What readers see: tickets with who is at them, one ticket with all that an answer needs, timelines, assignments."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from services.tickets.domain import window
from services.tickets.domain.assignment import Assignment, answered
from services.tickets.domain.ticket import Ticket, view
from services.tickets.handlers import lease as leasing
from services.tickets.handlers import presence as presences
from services.tickets.handlers.access import check_visible
from services.tickets.store import assignments, leases, presence, tickets, timeline
from services.tickets.store.timeline import Line, Share
from shared.db.transaction import Transaction
from shared.errors import Invalid, NotFound
from shared.events.tickets import ReplyKind
from shared.networks.port import Capabilities
from shared.networks.registry import NETWORKS
from shared.platform.store import agents
from shared.web.auth import Principal

_NOTHING: Final = Capabilities()
_KINDS: Final[tuple[ReplyKind, ...]] = ("public", "private")


def summary(ticket: Ticket) -> dict[str, Any]:
    """A ticket as lists show it."""
    shown = view(ticket)
    return {
        "id": shown.id,
        "state": shown.state,
        "team": shown.team,
        "owner": shown.owner,
        "offer": ticket.offer,
        "priority": shown.priority,
        "customer": {
            "id": shown.customer.id,
            "name": shown.customer.name,
            "handle": shown.customer.handle,
            "network": shown.customer.network,
        },
        "last_seq": shown.last_seq,
        "version": shown.version,
        "tags": shown.tags,
        "networks": shown.networks,
        "waiting_since": ticket.waiting_since,
        "snoozed_until": ticket.snoozed_until,
        "resolved_at": ticket.resolved_at,
        "merged_into": ticket.merged_into,
        "created_at": ticket.created_at,
        "updated_at": ticket.updated_at,
    }


async def stamped(tx: Transaction, ticket: Ticket) -> Ticket:
    """The ticket as this transaction has written it, with the instants that the database set."""
    return await tickets.load(tx, ticket.id) or ticket


async def listed(tx: Transaction, found: Sequence[Ticket]) -> list[dict[str, Any]]:
    """Tickets with who holds them and who is present: two more statements for the whole page."""
    ids = [ticket.id for ticket in found]
    if not ids:
        return []
    held = await leases.of_tickets(tx, ids)
    present = await presence.of_tickets(tx, ids)
    rows = []
    for ticket in found:
        beat = held.get(ticket.id)
        row = summary(ticket)
        row["lease"] = leasing.shown(beat.lease, at=beat.at) if beat else None
        row["presence"] = [presences.shown(one) for one in present[ticket.id]]
        rows.append(row)
    return rows


async def find(tx: Transaction, who: Principal, ticket_id: str) -> Ticket:
    """The ticket as it is, merged or not; NotFound for one that the caller may not see."""
    ticket = await tickets.load(tx, ticket_id)
    if ticket is None:
        raise NotFound(f"there is no ticket {ticket_id}")
    check_visible(who, ticket)
    return ticket


async def whole(tx: Transaction, who: Principal, ticket: Ticket) -> dict[str, Any]:
    """One ticket with its lease, presence, offer, conversations and how they can be answered."""
    [row] = await listed(tx, [ticket])
    current = (await assignments.current(tx, [ticket.id])).get(ticket.id)
    row["assignment"] = (await _steps(tx, who.workspace_id, [current]))[0] if current else None
    now = await tx.now()
    human = who.kind == "human"
    row["conversations"] = [_share(share, now, human=human) for share in await timeline.conversations(tx, ticket.id)]
    return row


async def assignment_rows(tx: Transaction, ticket: Ticket, *, after: str, limit: int) -> list[dict[str, Any]]:
    """Who was to own the ticket, who did, why, and why not the others."""
    return await _steps(tx, ticket.workspace_id, await assignments.page(tx, ticket.id, after=after, limit=limit))


def line(entry: Line) -> dict[str, Any]:
    """A line of a timeline."""
    shown: dict[str, Any] = {
        "ticket_id": entry.ticket_id,
        "seq": entry.seq,
        "kind": entry.kind,
        "actor": msgspec.to_builtins(entry.actor),
        "at": entry.at,
        "moves": entry.moves,
        "conversation_id": entry.conversation_id,
    }
    if entry.message is not None:
        shown["message"] = _message(entry)
    if entry.reply_id is not None:
        shown["reply"] = {
            "id": entry.reply_id,
            "state": entry.reply_state,
            "text": entry.reply_text,
            "kind": entry.reply_kind,
            "external_id": entry.reply_external_id,
            "reason": entry.reply_reason,
        }
    if entry.kind == "note":
        shown["note"] = {"id": entry.data.get("note_id"), "text": entry.data.get("text")}
    else:
        shown["data"] = entry.data
    return shown


async def _steps(tx: Transaction, workspace: str, found: Sequence[Assignment]) -> list[dict[str, Any]]:
    """With the names of everybody in them: one more statement for the whole page."""
    people = {one.agent for step in found for one in step.candidates} | {step.agent for step in found if step.agent}
    known = await agents.load_many(tx, workspace, people) if people else {}
    names = {agent_id: agent.name for agent_id, agent in known.items()}
    return [_step(step, names) for step in found]


def _step(step: Assignment, names: Mapping[str, str]) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(step)
    del shown["workspace_id"]
    shown["agent_name"] = names.get(step.agent) if step.agent else None
    shown["candidates"] = [
        {
            "agent": one.agent,
            "name": names.get(one.agent),
            "load": one.load,
            "capacity": one.capacity,
            "reason": one.reason,
        }
        for one in answered(step)
    ]
    return shown


def _message(entry: Line) -> dict[str, Any]:
    message: dict[str, Any] = msgspec.to_builtins(entry.message)
    message |= {"state": entry.message_state, "text": entry.message_text, "reactions": entry.reactions}
    for internal in ("workspace_id", "inbox_id"):
        message.pop(internal, None)
    return message


def _share(share: Share, now: datetime, *, human: bool) -> dict[str, Any]:
    network = NETWORKS.get(share.network)
    capabilities = network.capabilities if network else _NOTHING
    return {
        "id": share.id,
        "channel_id": share.channel_id,
        "network": share.network,
        "kind": share.kind,
        "latest_message_id": share.latest.id,
        "permalink": share.latest.permalink,
        "reply_options": _options(share, capabilities, now, human=human, kinds=_KINDS),
    }


def _options(
    share: Share, capabilities: Capabilities, now: datetime, *, human: bool, kinds: Collection[ReplyKind]
) -> list[dict[str, Any]]:
    options = []
    for kind in kinds:
        try:
            until = window.deadline(share.latest, kind, human=human, capabilities=capabilities)
        except Invalid:
            continue
        options.append({"kind": kind, "until": until, "open": until is None or now < until})
    return options
