"""Nothing gets in without a key that is right, in force, and of the right workspace and scope."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from shared.db.pool import Database
from shared.db.scope import Owner, Workspace
from shared.errors import Unauthorized
from shared.platform.store import keys
from shared.web.auth import REMEMBER_SECONDS, Authenticator
from tests.support import api, teams_api
from tests.support.clock import ManualClock
from tests.support.postgres import open_database


async def expired(database: Database, seconds_ago: float) -> str:
    """A key that expired some seconds ago, or will when negative."""
    async with database.transaction(Workspace("w1")) as tx:
        _, token = await keys.issue(
            tx,
            "w1",
            key_id=database.ids.new("key"),
            name="short",
            role="agent",
            environment="test",
            expires_at=await tx.now() - timedelta(seconds=seconds_ago),
        )
    return token


def key_id_of(token: str) -> str:
    return "_".join(token.split("_")[2:4])


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Basic YTpi", "Bearer nonsense", "Bearer baton_test_key_" + "0" * 32 + "_x"],
)
async def test_a_request_without_a_key_is_refused_alike(http: httpx.AsyncClient, header: str | None) -> None:
    del http.headers["authorization"]

    answer = await http.get("/v1/teams", headers={"Authorization": header} if header is not None else {})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["code"] == "unauthorized"


async def test_a_wrong_secret_is_refused(http: httpx.AsyncClient, database: Database) -> None:
    right = await api.new_key(database)
    wrong = keys.keys.token("test", key_id_of(right), keys.keys.new_secret())

    answer = await http.get("/v1/teams", headers={"Authorization": f"Bearer {wrong}"})

    assert answer.status_code == 401


async def test_an_expired_key_is_refused(http: httpx.AsyncClient, database: Database) -> None:
    token = await expired(database, 1)

    assert (await http.get("/v1/teams", headers={"Authorization": f"Bearer {token}"})).status_code == 401


async def test_a_revoked_key_is_refused(http: httpx.AsyncClient, database: Database) -> None:
    token = await api.new_key(database)
    async with database.transaction(Workspace("w1")) as tx:
        await keys.revoke(tx, "w1", key_id_of(token))

    assert (await http.get("/v1/teams", headers={"Authorization": f"Bearer {token}"})).status_code == 401


async def test_the_key_of_a_disabled_agent_is_refused(http: httpx.AsyncClient, database: Database) -> None:
    agent = await api.new_agent(database)
    token = await api.new_key(database, agent_id=agent)
    async with database.transaction(Workspace("w1")) as tx:
        await tx.execute("UPDATE platform.agent SET disabled_at = now() WHERE id = $1", agent)

    assert (await http.get("/v1/teams", headers={"Authorization": f"Bearer {token}"})).status_code == 401


async def test_a_key_sees_its_own_workspace_only(http: httpx.AsyncClient, database: Database) -> None:
    await api.new_workspace(database, "w2")
    foreign = await api.new_key(database, "w2")
    await http.post("/v1/teams", json={"id": "mine", "name": "Mine"})

    answer = await http.get("/v1/teams/mine", headers={"Authorization": f"Bearer {foreign}"})

    assert answer.status_code == 404


async def test_a_missing_scope_is_named(http: httpx.AsyncClient, database: Database) -> None:
    token = await api.new_key(database, role="agent")

    answer = await http.post("/v1/teams", json={"id": "x", "name": "X"}, headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 403
    assert answer.json()["missing"] == ["agents:manage"]


async def test_a_key_of_an_agent_acts_as_that_agent(http: httpx.AsyncClient, database: Database) -> None:
    agent = await api.new_agent(database, name="Ann")
    token = await api.new_key(database, agent_id=agent, role="agent")

    answer = await http.post("/v1/me", headers={"Authorization": f"Bearer {token}"})

    assert answer.json() == {"agent": agent, "name": "Ann", "kind": "human"}


async def test_a_key_of_nobody_cannot_act_as_an_agent(http: httpx.AsyncClient) -> None:
    assert (await http.post("/v1/me")).status_code == 403


async def test_a_revoked_key_works_no_longer_than_promised(database: Database) -> None:
    await api.new_workspace(database)
    token = await api.new_key(database)
    clock = ManualClock()
    authenticator = Authenticator(database, clock)
    await authenticator.authenticate(f"Bearer {token}")
    async with database.transaction(Workspace("w1")) as tx:
        await keys.revoke(tx, "w1", key_id_of(token))

    clock.advance(REMEMBER_SECONDS - 0.1)
    assert await authenticator.authenticate(f"Bearer {token}")
    clock.advance(0.1)
    with pytest.raises(Unauthorized):
        await authenticator.authenticate(f"Bearer {token}")


async def test_the_process_that_revokes_forgets_at_once(database: Database) -> None:
    await api.new_workspace(database)
    token = await api.new_key(database)
    authenticator = Authenticator(database, ManualClock())
    await authenticator.authenticate(f"Bearer {token}")
    async with database.transaction(Workspace("w1")) as tx:
        await keys.revoke(tx, "w1", key_id_of(token))

    authenticator.forget(key_id_of(token))

    with pytest.raises(Unauthorized):
        await authenticator.authenticate(f"Bearer {token}")


async def test_memory_ends_when_the_key_does(database: Database) -> None:
    await api.new_workspace(database)
    token = await expired(database, -2)
    clock = ManualClock()
    authenticator = Authenticator(database, clock)
    await authenticator.authenticate(f"Bearer {token}")
    async with database.transaction(Owner()) as tx:
        await tx.execute("UPDATE platform.api_key SET expires_at = now() - interval '1 second'")

    clock.advance(2)

    with pytest.raises(Unauthorized):
        await authenticator.authenticate(f"Bearer {token}")


async def test_use_is_noted_at_most_once_a_minute(database: Database) -> None:
    await api.new_workspace(database)
    token = await api.new_key(database)

    async def use() -> datetime | None:
        await Authenticator(database, ManualClock()).authenticate(f"Bearer {token}")
        async with database.transaction(Workspace("w1")) as tx:
            key = await keys.load(tx, "w1", key_id_of(token))
        assert key is not None
        return key.last_used_at

    first, second = await use(), await use()
    async with database.transaction(Owner()) as tx:
        await tx.execute("UPDATE platform.api_key SET last_used_at = $1", datetime(2020, 1, 1, tzinfo=UTC))
    third = await use()

    assert first is not None
    assert second == first
    assert third is not None
    assert third > first


async def test_a_database_that_is_away_is_not_a_wrong_key(dsn: str) -> None:
    async with open_database(dsn) as database:
        await api.new_workspace(database)
        token = await api.new_key(database)
        app = api.new_app(database, teams_api.service())
    async with api.client(app, token) as http:
        answer = await http.get("/v1/teams")

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
