"""Drafts of agents: one that is typed per ticket, and every text that could not leave."""

from collections.abc import Sequence
from typing import Any

from services.tickets.handlers.presence import find
from services.tickets.store import drafts
from services.tickets.store.drafts import Draft
from shared.db.transaction import Transaction
from shared.errors import NotFound
from shared.ids import Ids
from shared.web.auth import Principal


async def save(
    tx: Transaction,
    ids: Ids,
    principal: Principal,
    ticket_id: str,
    *,
    text: str,
    in_reply_to: str | None,
    seen_seq: int | None,
    data: dict[str, Any],
) -> Draft:
    """What the caller is typing; the newest text wins."""
    ticket = await find(tx, principal, ticket_id)
    draft = Draft(
        id=ids.new("drf"),
        workspace_id=ticket.workspace_id,
        ticket_id=ticket.id,
        agent_id=principal.id,
        text=text,
        in_reply_to=in_reply_to,
        seen_seq=seen_seq,
        data=data,
    )
    return await drafts.type_(tx, draft)


async def of_ticket(tx: Transaction, principal: Principal, ticket_id: str, *, everybodys: bool) -> Sequence[Draft]:
    """The caller's drafts of a ticket and of those merged into it; everybody's for who supervises."""
    ticket = await find(tx, principal, ticket_id)
    agent = None if everybodys and principal.may("tickets:supervise") else principal.id
    return await drafts.of_ticket(tx, ticket.id, ticket.workspace_id, agent_id=agent)


async def delete(tx: Transaction, principal: Principal, draft_id: str) -> None:
    """Ends one's own draft; nobody can end another's."""
    if not await drafts.delete(tx, draft_id, principal.id):
        raise NotFound(f"there is no draft {draft_id} of yours")
