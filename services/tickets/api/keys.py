"""`/v1/keys` and `/v1/workspace`: who may call, and what a workspace chooses."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, Field
from starlette.responses import Response

from services.tickets.api.lease import Reader
from services.tickets.api.shapes import Body, Id, Name, Ref
from services.tickets.handlers import administration
from services.tickets.handlers.administration import Environment
from shared.db.transaction import Transaction
from shared.platform.models import ApiKey, Workspace
from shared.platform.scopes import Role, Scope
from shared.platform.store import keys
from shared.web.calls import Answer, Call, requires
from shared.web.pages import Page, Paged
from shared.web.problems import problems

KeyKeeper = Annotated[Call, requires("keys:manage")]
Steward = Annotated[Call, requires("workspace:manage")]

router = APIRouter(tags=["administration"])


class KeyView(BaseModel):
    """A key without its secret."""

    id: str
    name: str
    agent_id: str | None
    role: Role
    scopes: list[Scope] | None = Field(description="Null: all that the role has")
    teams: list[str] | None = Field(description="Only tickets of these teams; null: all")
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime


class IssuedKeyView(KeyView):
    """A new key with its token, which is shown this once."""

    token: str


class KeyBody(Body):
    """A key to be; never with more than the caller's own scopes and teams."""

    name: Name
    role: Role
    agent_id: Ref | None = None
    scopes: list[Scope] | None = Field(None, max_length=50)
    teams: list[Ref] | None = Field(None, max_length=100)
    expires_at: AwareDatetime | None = None


class WorkspaceView(BaseModel):
    """A workspace and what it chose; durations are milliseconds unless their name says otherwise."""

    id: str
    name: str
    settings: dict[str, Any]
    version: int
    created_at: datetime


class WorkspacePatch(Body):
    """What may change; settings that are not named stay."""

    name: Name | None = None
    settings: dict[str, Any] | None = None


@router.post(
    "/v1/keys",
    operation_id="createKey",
    status_code=201,
    response_model=IssuedKeyView,
    responses=problems(403, 404, 422),
)
async def create_key(body: KeyBody, call: KeyKeeper) -> Response:
    """A new key; its token is in this answer and nowhere else."""
    fields = body.model_dump()

    async def work(tx: Transaction) -> IssuedKeyView:
        environment = call.resource(Environment).name
        key, token = await administration.issue(tx, call.ids, call.principal, environment=environment, **fields)
        return IssuedKeyView(**_key(key).model_dump(), token=token)

    return await call.perform(work)


@router.get("/v1/keys", operation_id="listKeys", response_model=Paged[KeyView], responses=problems(400, 403))
async def list_keys(call: KeyKeeper, page: Page) -> Response:
    """Keys by id, revoked ones too."""
    async with call.transaction() as tx:
        found = await keys.page(tx, call.workspace_id, after=page.after_id(), limit=page.limit + 1)
    shown, cursor = page.cut(found, key=lambda key: (key.id,))
    return call.listing([_key(key) for key in shown], cursor)


@router.delete("/v1/keys/{key_id}", operation_id="revokeKey", response_model=KeyView, responses=problems(403, 404))
async def revoke_key(key_id: Id, call: KeyKeeper) -> Response:
    """Ends a key for good: here at once, everywhere within five seconds."""

    async def work(tx: Transaction) -> KeyView:
        revoked = await administration.revoke(tx, call.workspace_id, key_id)
        tx.after_commit(lambda: call.authenticator.forget(key_id))
        return _key(revoked)

    return await call.perform(work)


@router.get("/v1/workspace", operation_id="getWorkspace", response_model=WorkspaceView, responses=problems(403))
async def get_workspace(call: Reader) -> Response:
    """The caller's workspace."""
    async with call.transaction() as tx:
        found = await administration.workspace(tx, call.workspace_id)
    return call.answer(_workspace(found).body, version=found.version)


@router.patch(
    "/v1/workspace",
    operation_id="amendWorkspace",
    response_model=WorkspaceView,
    responses=problems(400, 403, 412, 422, 428),
)
async def amend_workspace(body: WorkspacePatch, call: Steward) -> Response:
    """Changes the name and some of the settings."""
    version, name, settings = call.version(), body.name, body.settings or {}

    async def work(tx: Transaction) -> Answer:
        return _workspace(
            await administration.amend(tx, call.ids, call.principal, version=version, name=name, settings=settings)
        )

    return await call.perform(work)


def _key(key: ApiKey) -> KeyView:
    return KeyView.model_validate(key, from_attributes=True)


def _workspace(found: Workspace) -> Answer:
    fields = {"id": found.id, "name": found.name, "settings": found.settings}
    return Answer(body={**fields, "version": found.version, "created_at": found.created_at}, version=found.version)
