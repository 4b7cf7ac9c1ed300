"""The only way in: networks' deliveries become message events.

Consumes: webhooks. Emits: `message.*`, `channel.changed` on `baton.messages.v1`. Owns: inbox, index of items, channels.
"""

NAME = "ingest"
