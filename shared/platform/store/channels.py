"""Connected accounts; only ingest's API writes them."""

from collections.abc import Iterable
from typing import Final

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from shared.db.query import Query
from shared.db.transaction import Transaction
from shared.errors import Conflict
from shared.platform.models import Channel, ChannelPurpose
from shared.platform.tables import channel as table

_WORKSPACE: Final = table.c.workspace_id == sa.bindparam("workspace", type_=sa.Text)
_ID: Final = table.c.id == sa.bindparam("channel", type_=sa.Text)
_NETWORK: Final = table.c.network == sa.bindparam("network", type_=sa.Text)
_LOAD: Final = Query(sa.select(table).where(_WORKSPACE, _ID))
_LOCK: Final = Query(sa.select(table).where(_WORKSPACE, _ID).with_for_update())
_FIND: Final = Query(sa.select(table).where(_ID, table.c.state != "deleted"))
_SIBLING: Final = Query(
    sa.select(table).where(
        _WORKSPACE,
        _NETWORK,
        table.c.external_id == sa.bindparam("account", type_=sa.Text),
        table.c.state != "deleted",
    )
)
_INSERT: Final = Query(
    insert(table)
    .values(
        id="",
        workspace_id="",
        network="",
        name="",
        external_id="",
        purpose="",
        state="",
        state_reason=None,
        api_base_url=None,
        credentials=b"",
    )
    .on_conflict_do_nothing()
    .returning(table)
)
_AFTER: Final = (
    sa.select(table)
    .where(table.c.id > sa.bindparam("after", type_=sa.Text), table.c.state != "deleted")
    .order_by(table.c.id)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)
_PAGE: Final = Query(_AFTER.where(_WORKSPACE))
_SCAN: Final = Query(_AFTER.where(_NETWORK))
_SAVE: Final = Query(
    sa.update(table)
    .where(_WORKSPACE, _ID, table.c.version == sa.bindparam("expected", type_=sa.BigInteger))
    .values(
        name="",
        purpose="",
        state="",
        state_reason=None,
        api_base_url=None,
        credentials=b"",
        version=table.c.version + 1,
        updated_at=sa.func.now(),
    )
    .returning(table)
)


async def create(
    tx: Transaction,
    workspace_id: str,
    *,
    channel_id: str,
    network: str,
    name: str,
    external_id: str,
    purpose: ChannelPurpose,
    credentials: bytes,
    api_base_url: str | None = None,
    state: str = "active",
    state_reason: str | None = None,
) -> Channel:
    """A new channel; Conflict when the account is connected already."""
    row = await tx.fetchrow(
        *_INSERT(
            id=channel_id,
            workspace_id=workspace_id,
            network=network,
            name=name,
            external_id=external_id,
            purpose=purpose,
            state=state,
            state_reason=state_reason,
            api_base_url=api_base_url,
            credentials=credentials,
        )
    )
    if row is None:
        raise Conflict(f"{network} account {external_id} is connected already")
    return _channel(row)


async def load(tx: Transaction, workspace_id: str, channel_id: str, *, lock: bool = False) -> Channel | None:
    """One channel in any state, or None."""
    row = await tx.fetchrow(*(_LOCK if lock else _LOAD)(workspace=workspace_id, channel=channel_id))
    return _channel(row) if row else None


async def find(tx: Transaction, channel_id: str) -> Channel | None:
    """A channel that is not deleted, in any workspace when the transaction scans."""
    row = await tx.fetchrow(*_FIND(channel=channel_id))
    return _channel(row) if row else None


async def find_sibling(tx: Transaction, workspace_id: str, *, network: str, external_id: str) -> Channel | None:
    """The channel of another account that the same delivery also speaks of."""
    row = await tx.fetchrow(*_SIBLING(workspace=workspace_id, network=network, account=external_id))
    return _channel(row) if row else None


async def page(tx: Transaction, workspace_id: str, *, after: str | None = None, limit: int = 50) -> list[Channel]:
    """Channels by id, without deleted ones."""
    return [_channel(row) for row in await tx.fetch(*_PAGE(workspace=workspace_id, after=after or "", limit=limit))]


async def scan(tx: Transaction, *, network: str, after: str | None = None, limit: int = 500) -> list[Channel]:
    """A network's channels of all workspaces, by id, without deleted ones; the transaction scans."""
    return [_channel(row) for row in await tx.fetch(*_SCAN(network=network, after=after or "", limit=limit))]


async def purposes(tx: Transaction, channels: Iterable[str]) -> dict[str, ChannelPurpose]:
    """What each of these channels is for, as far as the transaction may see them."""
    rows = await tx.fetch("SELECT id, purpose FROM platform.channel WHERE id = ANY ($1::text[])", sorted(channels))
    return {row["id"]: row["purpose"] for row in rows}


async def save(tx: Transaction, channel: Channel) -> Channel | None:
    """Writes what may change if nobody else did since `channel` was read; None when somebody did."""
    row = await tx.fetchrow(
        *_SAVE(
            workspace=channel.workspace_id,
            channel=channel.id,
            expected=channel.version,
            name=channel.name,
            purpose=channel.purpose,
            state=channel.state,
            state_reason=channel.state_reason,
            api_base_url=channel.api_base_url,
            credentials=channel.credentials,
        )
    )
    return _channel(row) if row else None


def _channel(row: asyncpg.Record) -> Channel:
    return Channel(**dict(row))
