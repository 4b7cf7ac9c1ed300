"""Connecting, changing and disconnecting channels; their secrets come in and never go out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from services.ingest.domain.credentials import checked, is_set, merged, urls
from services.ingest.domain.deliveries import key_of
from services.ingest.handlers.directory import Directory
from services.ingest.store import channels as store
from services.ingest.store.channels import Health
from shared.db.transaction import Transaction
from shared.egress import Egress, EgressRefused
from shared.errors import Conflict, Invalid, NotFound
from shared.events.messages import ChannelChanged
from shared.ids import Ids
from shared.networks.port import Network
from shared.platform import credentials
from shared.platform.models import Channel, ChannelPurpose
from shared.platform.store import channels
from shared.sealing import KeyRing
from shared.web.calls import stale


class ChannelConnected(Conflict):
    """The account is connected already: change that channel, or delete it first."""

    code = "channel-connected"
    title = "The account is connected already"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChannel:
    """An account to connect."""

    network: str
    name: str
    external_id: str
    purpose: ChannelPurpose
    credentials: Mapping[str, str]
    api_base_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What to change of a channel; a credential that is null is removed, an `api_base_url` that is empty too."""

    name: str | None = None
    purpose: ChannelPurpose | None = None
    credentials: Mapping[str, str | None] | None = None
    api_base_url: str | None = None


class Channels:
    """The channels of a workspace, within transactions that are bound to it."""

    def __init__(
        self,
        *,
        networks: Mapping[str, Network],
        keyring: KeyRing,
        egress: Egress,
        ids: Ids,
        directory: Directory,
    ) -> None:
        self._networks = networks
        self._keyring = keyring
        self._egress = egress
        self._ids = ids
        self._directory = directory

    async def connect(self, tx: Transaction, workspace_id: str, new: NewChannel) -> Channel:
        """A new channel; ChannelConnected when another one has the account."""
        network = self._network(new.network)
        given = checked(network, new.credentials)
        self._refuse_unreachable(new.api_base_url, given)
        channel_id = self._ids.new("chn")
        try:
            channel = await channels.create(
                tx,
                workspace_id,
                channel_id=channel_id,
                network=new.network,
                name=new.name,
                external_id=new.external_id,
                purpose=new.purpose,
                credentials=credentials.seal(self._keyring, channel_id, given),
                api_base_url=new.api_base_url,
            )
        except Conflict as error:
            raise ChannelConnected(error.detail) from error
        return self._announce(tx, channel)

    async def change(
        self, tx: Transaction, workspace_id: str, channel_id: str, *, version: int, changes: Changes
    ) -> Channel:
        """The channel after the change; NotFound, or VersionStale when it has moved on."""
        channel = await self._locked(tx, workspace_id, channel_id, version=version)
        self._refuse_unreachable(changes.api_base_url, changes.credentials or {})
        sealed, state, reason = channel.credentials, channel.state, channel.state_reason
        if changes.credentials:
            given = merged(
                self._network(channel.network), credentials.unseal(self._keyring, channel), changes.credentials
            )
            sealed = credentials.seal(self._keyring, channel_id, given)
            if state == "unauthorized":
                # New credentials are the answer to that; if they do not work either, the next call will say so.
                state, reason = "active", None
        changed = replace(
            channel,
            name=changes.name or channel.name,
            purpose=changes.purpose or channel.purpose,
            api_base_url=channel.api_base_url if changes.api_base_url is None else changes.api_base_url or None,
            credentials=sealed,
            state=state,
            state_reason=reason,
        )
        return self._announce(tx, await self._saved(tx, changed))

    async def disconnect(self, tx: Transaction, workspace_id: str, channel_id: str, *, version: int) -> None:
        """No delivery comes in any more, and the secrets are gone; the inbox stays for its time."""
        channel = await self._locked(tx, workspace_id, channel_id, version=version)
        gone = replace(channel, state="deleted", credentials=credentials.seal(self._keyring, channel_id, {}))
        self._announce(tx, await self._saved(tx, gone))

    async def one(self, tx: Transaction, workspace_id: str, channel_id: str) -> Channel:
        """A channel that is not deleted, or NotFound."""
        channel = await channels.load(tx, workspace_id, channel_id)
        if channel is None or channel.state == "deleted":
            raise NotFound(f"there is no channel {channel_id}")
        return channel

    async def health(self, tx: Transaction, workspace_id: str, channel_id: str) -> tuple[Channel, Health]:
        """How a channel is doing."""
        channel = await self.one(tx, workspace_id, channel_id)
        return channel, await store.health(tx, channel)

    def secrets_set(self, channel: Channel) -> dict[str, bool]:
        """Which credentials the channel has."""
        network = self._networks.get(channel.network)
        if network is None:
            return {}
        return is_set(network, credentials.unseal(self._keyring, channel))

    def _network(self, name: str) -> Network:
        network = self._networks.get(name)
        if network is None:
            known = ", ".join(sorted(self._networks))
            detail = f"there is no such network, but {known}"
            raise Invalid(detail, errors=[{"pointer": "#/network", "detail": detail}])
        return network

    def _refuse_unreachable(self, api_base_url: str | None, given: Mapping[str, str | None]) -> None:
        places = {f"credentials/{name}": url for name, url in urls(given).items()}
        if api_base_url:
            places["api_base_url"] = api_base_url
        for place, url in places.items():
            try:
                self._egress.check_url(url)
            except EgressRefused as error:
                detail = f"this address must not be called: {error}"
                raise Invalid(detail, errors=[{"pointer": f"#/{place}", "detail": detail}]) from error

    async def _locked(self, tx: Transaction, workspace_id: str, channel_id: str, *, version: int) -> Channel:
        channel = await channels.load(tx, workspace_id, channel_id, lock=True)
        if channel is None or channel.state == "deleted":
            raise NotFound(f"there is no channel {channel_id}")
        if channel.version != version:
            raise stale(channel.version)
        return channel

    async def _saved(self, tx: Transaction, channel: Channel) -> Channel:
        saved = await channels.save(tx, channel)
        if saved is None:
            raise stale(channel.version + 1)
        return saved

    def _announce(self, tx: Transaction, channel: Channel) -> Channel:
        changed = ChannelChanged(
            workspace_id=channel.workspace_id,
            channel_id=channel.id,
            network=channel.network,
            name=channel.name,
            external_id=channel.external_id,
            purpose=channel.purpose,
            state=channel.state,
        )
        tx.emit(changed, key=key_of(channel.workspace_id, channel.id))
        tx.after_commit(lambda: self._directory.forget(channel.id))
        return channel
