"""Bodies of ingest's API."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from services.ingest.domain.deliveries import State
from services.ingest.store.channels import Health
from services.ingest.store.inbox import Entry, Raw
from shared.platform.models import Channel, ChannelPurpose, ChannelState

Name = Annotated[str, Field(min_length=1, max_length=200, examples=["Acme Care"])]
Url = Annotated[str, Field(min_length=1, max_length=2000, examples=["https://graph.facebook.com/v24.0"])]
Purpose = Annotated[ChannelPurpose, Field(description="What the account is for; rules may look at it")]


class Connection(BaseModel):
    """An account to connect."""

    model_config = ConfigDict(extra="forbid")

    network: str = Field(min_length=1, max_length=40, examples=["facebook"])
    name: Name
    external_id: str = Field(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="The network's own id of the account",
        examples=["1784140"],
    )
    purpose: Purpose = "brand"
    credentials: dict[str, SecretStr] = Field(
        description="By name; write-only", examples=[{"app_secret": "…", "verify_token": "…", "access_token": "…"}]
    )
    api_base_url: Url | None = Field(None, description="Another address of the network's API, such as a simulator's")


class ChannelChanges(BaseModel):
    """What to change; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    purpose: Purpose | None = None
    credentials: dict[str, SecretStr | None] | None = Field(
        None,
        description="Merged by name; null removes one. A replaced signing secret stays valid as `…_previous`, "
        "so that deliveries signed before the network knows the new one still come in",
    )
    api_base_url: Url | None = Field(None, description="null goes back to the network's own address")


class ChannelView(BaseModel):
    """A connected account. Of its credentials only the names are ever shown."""

    id: str
    network: str
    name: str
    external_id: str
    purpose: ChannelPurpose
    state: ChannelState
    state_reason: str | None
    webhook_path: str = Field(examples=["/webhooks/facebook/chn_0193…"])
    api_base_url: str | None
    credentials: dict[str, bool] = Field(description="Which credentials are set")
    version: int
    created_at: datetime
    updated_at: datetime


class ChannelHealth(BaseModel):
    """How a channel is doing."""

    id: str
    state: ChannelState
    state_reason: str | None
    deliveries: dict[State, int] = Field(description="Of what the inbox holds, by state; counted up to 10,000")
    last_delivery_at: datetime | None
    oldest_pending_at: datetime | None = Field(description="How far normalizing is behind")
    signature_failures: int
    last_signature_failure_at: datetime | None


class Reason(BaseModel):
    """Why a delivery became no event."""

    code: str = Field(examples=["unknown-field"])
    detail: str | None


class EventView(BaseModel):
    """An event that a delivery became."""

    id: str
    type: str = Field(examples=["message.received.v1"])
    message_id: str


class EntryView(BaseModel):
    """A delivery, and what became of it."""

    id: str
    channel_id: str
    network: str
    state: State
    reason: Reason | None
    received_at: datetime
    normalized_at: datetime | None
    replays: int = Field(description="How often it was asked to be normalized again")
    size: int = Field(description="Bytes of the body")
    events: list[EventView]


class RawView(EntryView):
    """A delivery as it came."""

    headers: dict[str, str] = Field(description="Those that explain the body; none that authenticates it")
    body: str
    body_encoding: Literal["text", "base64"]


class Replay(BaseModel):
    """Which deliveries to normalize again; together they narrow."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    channel_id: str | None = Field(None, max_length=100)
    received_from: datetime | None = Field(None, alias="from")
    received_to: datetime | None = Field(None, alias="to")
    states: list[Literal["normalized", "ignored", "not-understood"]] | None = Field(None, min_length=1, max_length=3)
    ids: list[Annotated[str, Field(max_length=100)]] | None = Field(None, min_length=1, max_length=1000)
    cursor: str | None = Field(None, max_length=2048, description="`next_cursor` of the answer before")


class Replaying(BaseModel):
    """How much is normalized again."""

    count: int
    next_cursor: str | None = Field(description="There may be more: ask again with this as `cursor`")


def channel_view(channel: Channel, secrets_set: dict[str, bool]) -> ChannelView:
    """A channel as it may be shown."""
    shown = ChannelView.model_fields.keys() - {"webhook_path", "credentials"}
    return ChannelView(
        **{name: getattr(channel, name) for name in shown},
        webhook_path=f"/webhooks/{channel.network}/{channel.id}",
        credentials=secrets_set,
    )


def health_view(channel: Channel, health: Health) -> ChannelHealth:
    """How a channel is doing, as it is shown."""
    facts = {name: getattr(health, name) for name in Health.__dataclass_fields__}
    return ChannelHealth(id=channel.id, state=channel.state, state_reason=channel.state_reason, **facts)


def entry_view(entry: Entry) -> EntryView:
    """A delivery in a list."""
    reason = Reason(code=entry.reason_code, detail=entry.reason_detail) if entry.reason_code else None
    shown = EntryView.model_fields.keys() - {"reason", "events"}
    return EntryView(
        **{name: getattr(entry, name) for name in shown},
        reason=reason,
        events=[EventView(id=event.id, type=event.type, message_id=event.message_id) for event in entry.events],
    )


def raw_view(raw: Raw, *, text: str | None, encoded: str) -> RawView:
    """A delivery whole: its body as text where it is text."""
    return RawView(
        **entry_view(raw.entry).model_dump(),
        headers=raw.headers,
        body=encoded if text is None else text,
        body_encoding="base64" if text is None else "text",
    )
