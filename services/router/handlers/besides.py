"""What rules ask about a ticket besides what its events tell: its customer, who is on duty, and what surges."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from services.router.domain.compile import Ruleset
from services.router.domain.facts import Customer
from services.router.domain.vocabulary import ATTRIBUTE
from services.router.store import customers, surge_policies
from shared.db.transaction import Transaction
from shared.platform.store import teams

CUSTOMER: Final = (ATTRIBUTE, "customer.tags")
SHIFT: Final = ("shift",)
SURGE: Final = ("volume.surge",)
NOBODY: Final = Customer()
"""Of whom nothing is known."""


@dataclass(frozen=True, slots=True)
class Besides:
    """By ticket and by workspace, of those whose rules ask."""

    known: Mapping[str, Customer] = field(default_factory=dict)
    shifts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    surges: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


async def look(tx: Transaction, asked: Collection[tuple[str, str, Ruleset]]) -> Besides:
    """For each ticket (its workspace, its id, and whose rules are asked); what none of these asks for is not read."""
    served = {ticket_id for _, ticket_id, ruleset in asked if _asks(ruleset, CUSTOMER)}
    working = {workspace for workspace, _, ruleset in asked if _asks(ruleset, SHIFT)}
    alert = {workspace for workspace, _, ruleset in asked if _asks(ruleset, SURGE)}
    known = await customers.of_tickets(tx, served) if served else {}
    return Besides(
        known={ticket_id: known.get(ticket_id, NOBODY) for ticket_id in served},
        shifts=await teams.on_shift(tx, working) if working else {},
        surges=await surge_policies.open_in(tx, alert) if alert else {},
    )


def _asks(ruleset: Ruleset, facts: Collection[str]) -> bool:
    return any(one.asks(fact) for one in ruleset.others for fact in facts)
