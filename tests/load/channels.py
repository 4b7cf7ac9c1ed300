"""The Facebook channel that webhooks are sent to: in a database, or in one that answers from memory."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

from shared.clock import SystemClock
from shared.db.pool import Database
from shared.db.scope import Workspace
from shared.ids import TimeOrderedIds
from shared.platform import credentials
from shared.platform.store import channels, workspaces
from shared.sealing import KeyRing
from tests.load import bodies

WORKSPACE: Final = "wsp_bench"
CHANNEL: Final = f"chn_{0:032x}"
RING: Final = KeyRing([bytes(32)])
"""Seals the channel's secrets: here nobody else sees them."""

PATH: Final = f"/webhooks/facebook/{CHANNEL}"

_CREDENTIALS: Final = {"app_secret": bodies.SECRET, "verify_token": bodies.VERIFY_TOKEN, "access_token": "bench"}


async def create(database: Database) -> None:
    """A workspace with the channel."""
    async with database.transaction(Workspace(WORKSPACE)) as tx:
        await workspaces.create(tx, WORKSPACE, name="Bench")
        await channels.create(
            tx,
            WORKSPACE,
            channel_id=CHANNEL,
            network="facebook",
            name="Page",
            external_id=bodies.PAGE,
            purpose="brand",
            credentials=credentials.seal(RING, CHANNEL, _CREDENTIALS),
        )


class InMemory:
    """What the webhook path asks of a database: it knows this channel and nothing else."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.ids = TimeOrderedIds()
        at = datetime(2026, 11, 22, tzinfo=UTC)
        self._row: dict[str, Any] = {
            "id": CHANNEL,
            "workspace_id": WORKSPACE,
            "network": "facebook",
            "name": "Page",
            "external_id": bodies.PAGE,
            "purpose": "brand",
            "state": "active",
            "state_reason": None,
            "api_base_url": None,
            "credentials": credentials.seal(RING, CHANNEL, _CREDENTIALS),
            "version": 1,
            "created_at": at,
            "updated_at": at,
        }

    @asynccontextmanager
    async def transaction(self, *_: Any, **__: Any) -> AsyncIterator["InMemory"]:
        """Itself."""
        yield self

    async def fetch(self, _: str, __: Sequence[str]) -> list[dict[str, Any]]:
        """The channel."""
        return [self._row]
