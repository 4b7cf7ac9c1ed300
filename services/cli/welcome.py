"""What `baton up` prepares on a new data directory: a demo workspace, an admin's key and two agents with keys."""

import json
from pathlib import Path
from typing import Any, Final

from services.cli import options
from shared.db.scope import Workspace
from shared.db.transaction import Transaction
from shared.errors import Misconfigured
from shared.host import Runtime
from shared.platform import keys as tokens
from shared.platform.scopes import Role
from shared.platform.store import agents, keys, teams, workspaces

AGENTS: Final = (("Alice", ("care", "product", "community")), ("Bob", ("care", "product", "community")))
CAPACITY: Final = 200
ENVIRONMENT: Final = "demo"
DEMO_FILE: Final = "demo.json"


async def prepare_demo(runtime: Runtime) -> dict[str, Any]:
    """The demo workspace and its keys, the same at every start.

    The file is written first: dying between file and commit leaves keys that the next start makes true, where the
    other order would leave a workspace whose keys nobody knows.
    """
    path = runtime.settings.data_dir / DEMO_FILE
    document = _read(path)
    if document is None:
        document = _invent(runtime)
        path.parent.mkdir(parents=True, exist_ok=True)
        options.write_private(path, json.dumps(document, indent=2) + "\n")
    async with runtime.database.transaction(Workspace(document["workspace"])) as tx:
        if await workspaces.load(tx, document["workspace"]) is None:
            await workspaces.create(tx, workspace_id=document["workspace"], name="Demo")
            await _install(tx, document)
    # An embedded database has a socket and no password: `baton doctor` may use it while we run.
    embedded = runtime.settings.database_url is None
    return document | ({"database_url": runtime.database.dsn} if embedded else {})


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return found


def _invent(runtime: Runtime) -> dict[str, Any]:
    def key() -> str:
        return tokens.token(ENVIRONMENT, runtime.ids.new("key"), tokens.new_secret())

    return {
        "workspace": runtime.ids.new("wsp"),
        "keys": {
            "admin": key(),
            "agents": [{"id": runtime.ids.new("agt"), "name": name, "key": key()} for name, _ in AGENTS],
        },
    }


async def _install(tx: Transaction, document: dict[str, Any]) -> None:
    workspace = document["workspace"]
    await _issue(tx, workspace, document["keys"]["admin"], name="demo admin", role="admin")
    for agent, (name, member_of) in zip(document["keys"]["agents"], AGENTS, strict=True):
        await agents.create(tx, workspace, agent_id=agent["id"], name=name, capacity=CAPACITY)
        for team in member_of:
            await teams.add_member(tx, workspace, team, agent["id"])
        await _issue(tx, workspace, agent["key"], name=name, role="agent", agent_id=agent["id"])


async def _issue(
    tx: Transaction, workspace: str, token: str, *, name: str, role: Role, agent_id: str | None = None
) -> None:
    parsed = tokens.parse(token)
    if parsed is None:
        raise Misconfigured(f"{DEMO_FILE} holds something that is no key: move it away and start again")
    await keys.issue(
        tx,
        workspace,
        key_id=parsed.key_id,
        secret=parsed.secret,
        name=name,
        role=role,
        environment=ENVIRONMENT,
        agent_id=agent_id,
    )
