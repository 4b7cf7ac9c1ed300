"""The only way out: the feed and its stream, webhooks to endpoints, replies to networks.

Consumes: `baton.tickets.v1` and `baton.surges.v1`, tails `baton.presence.v1`. Emits: `baton.deliveries.v1`.
Owns: the feed, endpoints, deliveries, turns and what was sent.
"""

NAME = "notifier"
