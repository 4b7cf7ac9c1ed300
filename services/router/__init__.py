"""The only place that decides where: rules give each message a team, a priority and tags.

Consumes: `baton.messages.v1`, and `baton.tickets.v1` for its picture of open tickets and customers. Emits:
`message.routed` on `baton.routing.v1`, and what surges on `baton.surges.v1`. Owns: rulesets, decisions, and what is
usual.
"""

NAME = "router"
