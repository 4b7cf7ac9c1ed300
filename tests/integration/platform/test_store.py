"""Reference data under row security: created once, changed by version, and never seen from another workspace."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.db.pool import Database
from shared.db.scope import Batch, Scan, Workspace
from shared.db.transaction import Transaction
from shared.errors import Conflict, Forbidden, NotFound
from shared.platform.models import WorkspaceSettings
from shared.platform.scopes import ROLES
from shared.platform.store import agents, channels, keys, teams, workspaces
from tests.support import api

W1, W2 = Workspace("w1"), Workspace("w2")


async def new_channel(tx: Transaction, workspace_id: str, channel_id: str, **changes: Any) -> None:
    fields = {"network": "x", "name": "X", "external_id": "acc-1", "purpose": "brand", "credentials": b"sealed"}
    await channels.create(tx, workspace_id, channel_id=channel_id, **(fields | changes))


async def test_a_new_workspace_has_its_preset_teams_and_one_fallback(database: Database) -> None:
    async with database.transaction(W1) as tx:
        created = await workspaces.create(tx, "w1", name="Brand", settings=WorkspaceSettings(heartbeat=100))

        assert await workspaces.load(tx, "w1") == created
        assert [(team.id, team.is_fallback) for team in await teams.page(tx, "w1")] == [
            ("care", False),
            ("community", True),
            ("product", False),
        ]
        fallback = await teams.fallback(tx, "w1")
        assert fallback is not None
        assert fallback.id == "community"


async def test_a_workspace_is_created_once(database: Database) -> None:
    await api.new_workspace(database)

    with pytest.raises(Conflict):
        await api.new_workspace(database)


async def test_settings_of_a_batch_come_with_defaults_for_the_unknown(database: Database) -> None:
    await api.new_workspace(database)
    async with database.transaction(W1) as tx:
        workspace = await workspaces.load(tx, "w1")
        assert workspace is not None
        await workspaces.save(tx, replace(workspace, settings=WorkspaceSettings(lease_ttl=5_000, heartbeat=1_000)))

    async with database.transaction(Batch(frozenset({"w1", "w2"}))) as tx:
        found = await workspaces.settings_of(tx, ["w1", "w2"])

    assert (found["w1"].lease_ttl, found["w2"]) == (5_000, WorkspaceSettings())


async def test_all_workspaces_are_listed_when_scanning(database: Database) -> None:
    for workspace in ("w1", "w2", "w3"):
        await api.new_workspace(database, workspace)

    async with database.transaction(Scan()) as tx:
        pages = [await workspaces.page(tx, limit=2), await workspaces.page(tx, after="w2", limit=2)]

    assert [[workspace.id for workspace in page] for page in pages] == [["w1", "w2"], ["w3"]]


async def test_of_two_changes_to_one_version_one_wins(database: Database) -> None:
    await api.new_workspace(database)
    agent_id = await api.new_agent(database)
    async with database.transaction(W1) as tx:
        read = await agents.load(tx, "w1", agent_id)
    assert read is not None

    async def change(capacity: int) -> bool:
        async with database.transaction(W1) as tx:
            return await agents.save(tx, replace(read, capacity=capacity)) is not None

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(change(capacity)) for capacity in (1, 2, 3)]

    assert sorted(task.result() for task in tasks) == [False, False, True]


async def test_members_of_a_team_are_listed_and_leave(database: Database) -> None:
    await api.new_workspace(database)
    ann = await api.new_agent(database, team="care")
    bob = await api.new_agent(database, name="Bob")
    async with database.transaction(W1) as tx:
        await teams.add_member(tx, "w1", "care", ann)

        assert [agent.id for agent in await agents.page(tx, "w1", team="care")] == [ann]
        assert [agent.id for agent in await agents.page(tx, "w1", after=ann)] == [bob]
        assert (await agents.load_many(tx, "w1", [ann, "nobody"])).keys() == {ann}
        assert await teams.teams_of(tx, "w1", [ann, bob]) == {ann: ("care",), bob: ()}
        assert await teams.remove_member(tx, "w1", "care", ann)
        assert not await teams.remove_member(tx, "w1", "care", ann)


@pytest.mark.parametrize(("team", "agent"), [("none", "ann"), ("care", "nobody")])
async def test_nobody_joins_what_does_not_exist(database: Database, team: str, agent: str) -> None:
    await api.new_workspace(database)
    async with database.transaction(W1) as tx:
        await agents.create(tx, "w1", agent_id="ann", name="Ann")
        with pytest.raises(NotFound):
            await teams.add_member(tx, "w1", team, agent)


async def test_the_fallback_moves_and_is_never_deleted(database: Database) -> None:
    await api.new_workspace(database)
    async with database.transaction(W1) as tx:
        assert not await teams.delete(tx, "w1", "community")
        moved = await teams.move_fallback(tx, "w1", "care")
        assert (moved.id, moved.is_fallback, moved.version) == ("care", True, 2)
        assert await teams.delete(tx, "w1", "community")
        assert not await teams.delete(tx, "w1", "care")


async def test_the_fallback_moves_to_a_team_that_exists(database: Database) -> None:
    await api.new_workspace(database)
    async with database.transaction(W1) as tx:
        with pytest.raises(NotFound):
            await teams.move_fallback(tx, "w1", "none")


async def test_an_account_is_connected_once_until_it_is_deleted(database: Database) -> None:
    await api.new_workspace(database)
    async with database.transaction(W1) as tx:
        await new_channel(tx, "w1", "chn_1")
        with pytest.raises(Conflict):
            await new_channel(tx, "w1", "chn_2")
        channel = await channels.load(tx, "w1", "chn_1", lock=True)
        assert channel is not None
        deleted = await channels.save(tx, replace(channel, state="deleted", credentials=b""))
        await new_channel(tx, "w1", "chn_2")

        assert deleted is not None
        assert (deleted.version, deleted.credentials) == (2, b"")
        assert await channels.save(tx, channel) is None
        assert [channel.id for channel in await channels.page(tx, "w1")] == ["chn_2"]
        sibling = await channels.find_sibling(tx, "w1", network="x", external_id="acc-1")
        assert sibling is not None
        assert sibling.id == "chn_2"


async def test_channels_are_found_across_workspaces_only_when_scanning(database: Database) -> None:
    for scope, workspace in ((W1, "w1"), (W2, "w2")):
        await api.new_workspace(database, workspace)
        async with database.transaction(scope) as tx:
            await new_channel(tx, workspace, f"chn_{workspace}")

    async with database.transaction(Scan()) as tx:
        assert await channels.find(tx, "chn_w2") is not None
        assert await channels.find(tx, "chn_w3") is None
        assert [channel.id for channel in await channels.scan(tx, network="x")] == ["chn_w1", "chn_w2"]
        assert [channel.id for channel in await channels.scan(tx, network="x", after="chn_w1")] == ["chn_w2"]
    async with database.transaction(W1) as tx:
        assert await channels.find(tx, "chn_w2") is None


async def test_a_key_is_listed_without_its_secret_and_ends_for_good(database: Database) -> None:
    await api.new_workspace(database)
    token = await api.new_key(database, role="lead", scopes=["tickets:read"], teams=["care"])
    async with database.transaction(W1) as tx:
        (key,) = await keys.page(tx, "w1")
        revoked = await keys.revoke(tx, "w1", key.id)
        again = await keys.revoke(tx, "w1", key.id)

        assert (key.role, key.scopes, key.teams) == ("lead", ("tickets:read",), ("care",))
        assert token.rsplit("_", 1)[1][:10] not in repr(key)
        assert revoked is not None
        assert revoked.revoked_at is not None
        assert again == revoked
        assert await keys.revoke(tx, "w1", "key_none") is None


async def test_nobody_hands_out_more_than_they_have(database: Database) -> None:
    await api.new_workspace(database)
    async with database.transaction(W1) as tx:
        with pytest.raises(Forbidden) as refused:
            await keys.issue(
                tx,
                "w1",
                key_id=database.ids.new("key"),
                name="more",
                role="lead",
                environment="test",
                granted_by=ROLES["agent"],
            )
    assert "tickets:override" in refused.value.fields["missing"]


async def test_a_key_that_expires_says_how_long_it_has(database: Database) -> None:
    await api.new_workspace(database)
    async with database.transaction(W1) as tx:
        _, token = await keys.issue(
            tx,
            "w1",
            key_id=database.ids.new("key"),
            name="short",
            role="agent",
            environment="test",
            expires_at=await tx.now() + timedelta(hours=1),
        )
    async with database.transaction(Scan()) as tx:
        verified = await keys.verify(tx, token)

    assert verified is not None
    assert verified.seconds_left is not None
    assert 3590 < verified.seconds_left <= 3600


Read = Callable[[Transaction], Awaitable[object]]
FOREIGN: dict[str, Read] = {
    "workspace": lambda tx: workspaces.load(tx, "w1"),
    "agent": lambda tx: agents.load(tx, "w1", "ann"),
    "agents": lambda tx: agents.page(tx, "w1"),
    "team": lambda tx: teams.load(tx, "w1", "care"),
    "teams": lambda tx: teams.page(tx, "w1"),
    "fallback": lambda tx: teams.fallback(tx, "w1"),
    "channel": lambda tx: channels.load(tx, "w1", "chn_1"),
    "channels": lambda tx: channels.page(tx, "w1"),
    "keys": lambda tx: keys.page(tx, "w1"),
    "revoke": lambda tx: keys.revoke(tx, "w1", "key_1"),
    "delete": lambda tx: teams.delete(tx, "w1", "product"),
}


@pytest.mark.parametrize("read", FOREIGN.values(), ids=FOREIGN.keys())
@pytest.mark.parametrize("scope", [W2, Batch(frozenset({"w2"}))], ids=["workspace", "batch"])
async def test_nothing_of_another_workspace_is_seen_or_touched(
    database: Database, scope: Workspace | Batch, read: Read
) -> None:
    await api.new_workspace(database)
    await api.new_key(database)
    async with database.transaction(W1) as tx:
        await agents.create(tx, "w1", agent_id="ann", name="Ann")
        await new_channel(tx, "w1", "chn_1")

    async with database.transaction(scope) as tx:
        assert not await read(tx)
