"""Open tickets as rules ask for them: what a batch of a ticket's events says about it in the end."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

import msgspec

from services.router.domain.facts import Ticket
from shared import ids
from shared.events.messages import Message
from shared.events.payload import Payload
from shared.events.routing import Lane
from shared.events.tickets import (
    Account,
    AnswerDetected,
    ReplySettled,
    TicketCreated,
    TicketEvent,
    TicketReopened,
    TicketUpdated,
)
from shared.networks.accounts import account_of

NO_LANES: Final[Mapping[str, Lane]] = {}
OPEN: Final = ("open", "pending", "snoozed")


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket at one version. `accounts`: whose messages belong to it; None: those that it had."""

    workspace_id: str
    ticket: Ticket
    is_open: bool
    version: int
    accounts: frozenset[str] | None = None
    silent_since: datetime | None = None
    """When the customer wrote the first message after the last answer, while the ticket is open."""
    subjects: frozenset[str] = frozenset()
    """Channels and lanes of its messages, as surges name them."""
    told: int = 0
    """The longest silence that rules were asked about since then, in minutes."""


def key_of(account: Account) -> str:
    """What an account is found by, in one column that says nothing about the person."""
    return ids.digest("acc", account.network, account.scope, account.external_id)


def latest(
    payloads: Iterable[Payload],
    before: Mapping[str, Standing] | None = None,
    lanes: Mapping[str, Lane] | None = None,
) -> dict[str, Standing]:
    """How each ticket stands after its events, by id; one that comes late among them changes nothing.

    `lanes`: by message, of those whose lane is known.
    """
    found: dict[str, Standing] = dict(before or {})
    for data in payloads:
        if not isinstance(data, TicketEvent):
            continue
        last = found.get(data.ticket.id)
        if last is None or last.version <= data.ticket.version:
            found[data.ticket.id] = standing_of(data, last, lanes or {})
    return found


def standing_of(data: TicketEvent, before: Standing | None, lanes: Mapping[str, Lane] = NO_LANES) -> Standing:
    """How a ticket stands after an event; `before`: how it stood before it."""
    view = data.ticket
    times = [before.ticket.answered_at if before else None, data.at if _is_answer(data) else None]
    accounts = _accounts(data)
    silent_since = _silent_since(data, before)
    return Standing(
        workspace_id=data.workspace_id,
        ticket=Ticket(
            id=view.id,
            team=view.team,
            owner=view.owner,
            priority=view.priority,
            tags=view.tags,
            answered_at=max((one for one in times if one is not None), default=None),
            state=view.state,
        ),
        is_open=view.state in OPEN,
        version=view.version,
        silent_since=silent_since,
        subjects=(before.subjects if before else frozenset()) | _subjects(data, lanes),
        told=before.told if before and before.silent_since == silent_since else 0,
        accounts=accounts if accounts is not None or before is None else before.accounts,
    )


def _silent_since(data: TicketEvent, before: Standing | None) -> datetime | None:
    if data.ticket.state not in OPEN or _is_answer(data):
        return None
    since = before.silent_since if before else None
    message = customers_message(data)
    # A network's clock may run ahead of ours.
    return since if since is not None or message is None else min(message.occurred_at, data.at)


def message_of(data: Payload) -> Message | None:
    """The customer's message that came with an event, or that it tells of again."""
    message = data.message if isinstance(data, TicketCreated | TicketReopened | TicketUpdated) else None
    return message if message is not None and message.direction == "in" else None


def _subjects(data: TicketEvent, lanes: Mapping[str, Lane]) -> frozenset[str]:
    message = message_of(data)
    if message is None:
        return frozenset()
    lane = lanes.get(message.id)
    return frozenset({f"channel:{message.channel_id}"} | ({f"lane:{lane}"} if lane else set()))


def customers_message(data: TicketEvent) -> Message | None:
    """The message that came with the event, if somebody waits for an answer to it."""
    if isinstance(data, TicketUpdated) and (data.reason is not None or "messages" not in data.changes):
        return None
    message = data.message if isinstance(data, TicketCreated | TicketReopened | TicketUpdated) else None
    is_turn = message is not None and message.direction == "in" and message.kind != "reaction"
    # On what was understood only afterwards automations stay off.
    return message if is_turn and message is not None and not message.replayed else None


def _accounts(data: TicketEvent) -> frozenset[str] | None:
    if not isinstance(data, TicketCreated | TicketReopened | TicketUpdated):
        return None
    if data.accounts:
        return frozenset(map(key_of, data.accounts))
    # A message that is told with an update may be an old one, of an account that has been parted since.
    if isinstance(data, TicketUpdated) or data.message is None:
        return None
    return frozenset((key_of(account_of(data.message)),))


def _is_answer(data: TicketEvent) -> bool:
    if isinstance(data, ReplySettled):
        return data.state == "sent" and not data.acknowledges
    return isinstance(data, AnswerDetected)
