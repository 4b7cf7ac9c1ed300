"""The only place where people act, and that decides who: tickets, owners, leases, replies.

Consumes: `baton.routing.v1`, `baton.deliveries.v1`. Emits: `baton.tickets.v1`, `baton.presence.v1`.
Owns: tickets, customers, assignments, leases, replies, drafts, the collision ledger, and agents, teams and keys.
"""

NAME = "tickets"
