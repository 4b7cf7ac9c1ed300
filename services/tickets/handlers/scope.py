"""What leases cover is changed: those of the old scope end with it, so that no two of them cover one ticket."""

from services.tickets.handlers.access import actor_of
from services.tickets.handlers.changes import Changes
from services.tickets.handlers.lease import revoke_scope
from services.tickets.store import customers, leases
from shared.db.transaction import Transaction
from shared.ids import Ids
from shared.web.auth import Principal


async def revoke_all(tx: Transaction, ids: Ids, who: Principal) -> None:
    """Takes every living lease of the workspace away; each ticket hears of it, and its timeline says who did it."""
    held = await leases.held_customers(tx, who.workspace_id)
    await customers.lock(tx, held)
    changes = Changes(tx, ids, now=await tx.now())
    actor = actor_of(who)
    await revoke_scope(changes, {(who.workspace_id, customer): actor for customer in held}, reason="scope-changed")
    await changes.flush()
