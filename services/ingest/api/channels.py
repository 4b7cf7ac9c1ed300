"""`/v1/channels`: connected accounts."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter
from pydantic import SecretStr
from starlette.responses import Response

from services.ingest.api.views import ChannelChanges, ChannelHealth, ChannelView, Connection, channel_view, health_view
from services.ingest.handlers.channels import Changes, Channels, NewChannel
from shared.db.transaction import Transaction
from shared.platform.models import Channel
from shared.platform.store import channels as store
from shared.web.calls import Answer, Call, requires
from shared.web.pages import Page, Paged
from shared.web.problems import problems

Reader = Annotated[Call, requires("channels:read")]
Writer = Annotated[Call, requires("channels:write")]

router = APIRouter(tags=["channels"])


@router.post(
    "/v1/channels",
    operation_id="connectChannel",
    status_code=201,
    response_model=ChannelView,
    responses=problems(403, 409, 422),
)
async def connect_channel(call: Writer, body: Connection) -> Response:
    """Connects an account; point the network's webhook at `webhook_path`."""
    channels, new = call.resource(Channels), _new(body)

    async def work(tx: Transaction) -> Answer:
        return _answer(channels, await channels.connect(tx, call.workspace_id, new))

    return await call.perform(work)


@router.get("/v1/channels", operation_id="listChannels", response_model=Paged[ChannelView], responses=problems(403))
async def list_channels(call: Reader, page: Page) -> Response:
    """All channels, oldest first."""
    async with call.transaction() as tx:
        rows = await store.page(tx, call.workspace_id, after=page.after_id(), limit=page.limit + 1)
    shown, cursor = page.cut(rows, key=lambda channel: (channel.id,))
    channels = call.resource(Channels)
    return call.listing([channel_view(one, channels.secrets_set(one)) for one in shown], cursor)


@router.get(
    "/v1/channels/{channel_id}",
    operation_id="getChannel",
    response_model=ChannelView,
    responses=problems(403, 404),
)
async def get_channel(call: Reader, channel_id: str) -> Response:
    """One channel."""
    channels = call.resource(Channels)
    async with call.transaction() as tx:
        channel = await channels.one(tx, call.workspace_id, channel_id)
    return call.answer(channel_view(channel, channels.secrets_set(channel)), version=channel.version)


@router.patch(
    "/v1/channels/{channel_id}",
    operation_id="changeChannel",
    response_model=ChannelView,
    responses=problems(403, 404, 412, 422, 428),
)
async def change_channel(call: Writer, channel_id: str, body: ChannelChanges) -> Response:
    """Changes a channel; other processes use its new secrets within two seconds."""
    channels, version, changes = call.resource(Channels), call.version(), _changes(body)

    async def work(tx: Transaction) -> Answer:
        changed = await channels.change(tx, call.workspace_id, channel_id, version=version, changes=changes)
        return _answer(channels, changed)

    return await call.perform(work)


@router.delete(
    "/v1/channels/{channel_id}",
    operation_id="disconnectChannel",
    status_code=204,
    responses=problems(403, 404, 412, 428),
)
async def disconnect_channel(call: Writer, channel_id: str) -> Response:
    """Disconnects an account and drops its secrets; what came in stays."""
    channels, version = call.resource(Channels), call.version()

    async def work(tx: Transaction) -> None:
        await channels.disconnect(tx, call.workspace_id, channel_id, version=version)

    return await call.perform(work)


@router.get(
    "/v1/channels/{channel_id}/health",
    operation_id="getChannelHealth",
    response_model=ChannelHealth,
    responses=problems(403, 404),
)
async def get_channel_health(call: Reader, channel_id: str) -> Response:
    """What came on a channel, what waits, and what was refused."""
    async with call.transaction() as tx:
        channel, health = await call.resource(Channels).health(tx, call.workspace_id, channel_id)
    return call.answer(health_view(channel, health))


def _answer(channels: Channels, channel: Channel) -> Answer:
    return Answer(body=channel_view(channel, channels.secrets_set(channel)), version=channel.version)


def _new(body: Connection) -> NewChannel:
    given = {name: secret.get_secret_value() for name, secret in body.credentials.items()}
    return NewChannel(**body.model_dump(exclude={"credentials"}), credentials=given)


def _changes(body: ChannelChanges) -> Changes:
    given: Mapping[str, str | None] | None = None
    if body.credentials is not None:
        given = {name: _plain(secret) for name, secret in body.credentials.items()}
    base = body.api_base_url
    if base is None and "api_base_url" in body.model_fields_set:
        base = ""
    return Changes(name=body.name, purpose=body.purpose, credentials=given, api_base_url=base)


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None
