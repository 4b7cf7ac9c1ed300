"""Rules that no linter knows; each names the mistake that it prevents."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for folder in ("services", "shared")
    for path in (ROOT / folder).rglob("*.py")
    if "__pycache__" not in path.parts
)
TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text("utf-8")) for path in SOURCES}


def strings(tree):
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def test_only_the_transaction_commits():
    """A second committer would commit state without its events. Kafka's subscription commits places, not state."""
    others = {"shared/db/pool.py", "shared/log/kafka/subscription.py"}
    guilty = [
        path
        for path, tree in TREES.items()
        if any(text.strip().upper() in {"COMMIT", "BEGIN"} for text in strings(tree))
        or any(
            isinstance(node, ast.Attribute) and node.attr == "commit" and path not in others for node in ast.walk(tree)
        )
    ]
    assert set(guilty) <= {"shared/db/transaction.py"}


def test_only_the_transaction_appends_events():
    """An event that is written beside `tx.emit` has no envelope, no shard and no wake-up."""
    guilty = [path for path, tree in TREES.items() if any("INTO log.event" in text for text in strings(tree))]
    assert guilty == ["shared/db/appending.py"]


def test_roles_are_taken_in_one_place():
    """A role that is taken elsewhere can be forgotten elsewhere."""
    ways = ("SET LOCAL ROLE", "set_config('role'")
    guilty = [path for path, tree in TREES.items() if any(way in text for text in strings(tree) for way in ways)]
    assert guilty == ["shared/db/scope.py"]
    takers = [
        path
        for path, tree in TREES.items()
        if any(
            isinstance(node, ast.ImportFrom)
            and node.module == "shared.db.scope"
            and "bind" in {name.name for name in node.names}
            for node in ast.walk(tree)
        )
    ]
    assert takers == ["shared/db/transaction.py"]


@pytest.mark.parametrize("path", sorted(TREES))
def test_every_module_opens_with_one_sentence_that_says_what_it_is_for(path):
    assert ast.get_docstring(TREES[path])


@pytest.mark.parametrize("path", sorted(TREES))
def test_no_module_keeps_state(path):
    """State of a module outlives its owner, and two systems in one process would share it."""
    mutable = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
    guilty = [
        ast.unparse(node)
        for node in TREES[path].body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, mutable)
        and not any(isinstance(target, ast.Name) and target.id.startswith("__") for target in node.targets)
    ]
    assert guilty == []


def test_tracked_text_names_no_registry_and_no_machine():
    """A host or a path of one machine works on one machine."""
    needles = ("files.python" + "hosted", "pypi." + "org/simple", "/work" + "/main", "/work" + "/shared")
    suffixes = {".py", ".md", ".toml", ".lock", ".json", ".yaml", ".yml", ""}
    guilty = [
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*")
        if path.is_file()
        and path.suffix in suffixes
        and not {".git", ".venv", ".mypy_cache", ".ruff_cache", ".hypothesis", "node_modules"} & set(path.parts)
        and any(needle in path.read_text("utf-8", "replace") for needle in needles)
    ]
    assert guilty == []


def test_services_have_the_same_rooms():
    rooms = {"__init__", "service", "api", "handlers", "store", "domain", "settings", "adapters", "migrations"}
    for service in ("ingest", "router", "tickets", "notifier"):
        found = {path.stem for path in (ROOT / "services" / service).iterdir() if path.name != "__pycache__"}
        assert {"__init__", "service", "api", "handlers", "store", "domain", "migrations"} <= found <= rooms
