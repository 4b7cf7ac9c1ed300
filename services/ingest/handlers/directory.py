"""Channels as the webhook path knows them: looked up together, remembered for two seconds, forgotten when changed."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from services.ingest import NAME
from services.ingest.domain.deliveries import Source, shard_of
from services.ingest.store import channels as store
from shared.clock import Clock
from shared.db.pool import Database
from shared.db.scope import Scan
from shared.errors import Misconfigured, Rejected, Retryable
from shared.platform import credentials
from shared.platform.models import Channel
from shared.sealing import KeyRing

REMEMBER_SECONDS: Final = 2.0
"""How long a secret that was replaced, or a channel that was deleted, may still work in another process."""

_MOST: Final = 20_000
_ID: Final = re.compile(r"chn_[0-9a-f]{32}\Z")


@dataclass(slots=True)
class _Remembered:
    source: Source | None
    until: float


class Directory:
    """Finds the channel of a webhook path. Look-ups that queue while one is in flight become the next one."""

    def __init__(self, database: Database, keyring: KeyRing, clock: Clock) -> None:
        self._database = database
        self._keyring = keyring
        self._clock = clock
        self._remembered: dict[str, _Remembered] = {}
        self._wanted: dict[str, list[asyncio.Future[Source | None]]] = {}
        self._looking = asyncio.Lock()
        self._changes = 0

    def known(self, channel_id: str, now: float) -> Source | None:
        """The channel if it was looked up lately and exists; `now` as the clock's `elapsed` tells it."""
        known = self._remembered.get(channel_id)
        return known.source if known is not None and known.until > now else None

    async def find(self, channel_id: str) -> Source | None:
        """The channel if it exists and is not deleted; Retryable while the database is away."""
        remembered = self._remembered.get(channel_id)
        if remembered is not None and remembered.until > self._clock.elapsed():
            return remembered.source
        if not _ID.match(channel_id):
            return None
        found: asyncio.Future[Source | None] = asyncio.get_running_loop().create_future()
        self._wanted.setdefault(channel_id, []).append(found)
        async with self._looking:
            if not found.done():
                await self._look_up()
        return await found

    def forget(self, channel_id: str) -> None:
        """The channel changed in this process: the next request reads it anew."""
        self._changes += 1
        self._remembered.pop(channel_id, None)

    async def _look_up(self) -> None:
        wanted, self._wanted = self._wanted, {}
        changes = self._changes
        try:
            async with self._database.transaction(Scan(), schema=NAME) as tx:
                found = {channel.id: channel for channel in await store.find(tx, list(wanted))}
        except BaseException as error:
            for waiting in wanted.values():
                _fail(waiting, error if isinstance(error, Exception) else Retryable("the look-up was interrupted"))
            if not isinstance(error, Exception):
                raise
            return
        until = self._clock.elapsed() + REMEMBER_SECONDS
        if len(self._remembered) + len(wanted) > _MOST:
            self._remembered.clear()
        for channel_id, waiting in wanted.items():
            try:
                source = self._source(found.get(channel_id))
            except (Misconfigured, Rejected) as error:
                structlog.get_logger().error("channel_sealed", channel_id=channel_id, reason=str(error))
                _fail(waiting, Retryable("the channel's secrets cannot be opened"))
                continue
            if changes == self._changes:
                self._remembered[channel_id] = _Remembered(source, until)
            for future in waiting:
                if not future.done():
                    future.set_result(source)

    def _source(self, channel: Channel | None) -> Source | None:
        if channel is None:
            return None
        return Source(
            workspace_id=channel.workspace_id,
            network=channel.network,
            shard=shard_of(channel.workspace_id, channel.network),
            account=credentials.account(self._keyring, channel),
        )


def _fail(waiting: Sequence[asyncio.Future[Source | None]], error: Exception) -> None:
    for future in waiting:
        if not future.done():
            future.set_exception(error)
            # Whoever waits for it may have gone: then nobody else would look at the error.
            future.exception()
