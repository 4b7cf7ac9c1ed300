"""What the documents name exists: links, tests, settings, routes, commands."""

import ast
import json
import re
from pathlib import Path

import pytest
import typer

from services import assembly
from services.cli import main
from shared.settings import unknown_variables

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
}
PATHS = [
    re.sub(r"\{[^}]*\}", "{}", path)
    for path in json.loads((ROOT / "docs/reference/openapi.json").read_text("utf-8"))["paths"]
]


def found(pattern):
    """Where each page says something of this form."""
    return [(page, match) for page, text in PAGES.items() for match in re.finditer(pattern, text)]


def anchors(text):
    """The names of a page's headings, as they are linked to."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), flags=re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_every_link_leads_somewhere():
    broken = []
    for page, match in found(r"\]\(([^)\s]+)\)"):
        target, _, anchor = match[1].partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        place = ROOT / page if not target else (ROOT / page).parent / target
        if not place.exists() or (anchor and anchor not in anchors(place.read_text("utf-8"))):
            broken.append(f"{page}: {match[1]}")
    assert broken == []


def test_every_test_that_is_named_exists():
    missing = []
    for page, match in found(r"`(tests/[\w/]+\.py)::(\w+)`"):
        source = ROOT / match[1]
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        known = {node.name for node in ast.walk(ast.parse(source.read_text("utf-8"))) if isinstance(node, functions)}
        if match[2] not in known:
            missing.append(f"{page}: {match[0]}")
    assert missing == []


@pytest.mark.parametrize(
    "page", ["docs/explanation/delivery-guarantees.md", "docs/explanation/what-went-wrong-elsewhere.md"]
)
def test_every_promise_of_a_table_names_its_test(page):
    rows = re.findall(r"^\|(?! *(?:we die|edge|#|-+)).*\|$", PAGES[page], flags=re.MULTILINE)
    promises = [row for row in rows if not re.fullmatch(r"[|\- ]+", row)]
    assert len(promises) > 10
    assert [row for row in promises if "`tests/" not in row] == []


def test_every_setting_that_is_named_exists():
    named = {match[0]: page for page, match in found(r"\bBATON_[A-Z_]+[A-Z]\b")}
    examples = {"BATON_KEY", "BATON_X"}
    strange = unknown_variables(assembly.settings_classes(), dict.fromkeys(named.keys() - examples, "1"))
    # The Makefile's own switch.
    assert strange.keys() - {"BATON_SOAK"} == set()


def test_every_route_that_is_named_exists():
    strange = []
    for page, match in found(r"(?:GET|POST|PUT|PATCH|DELETE) (/v1/[\w/{}…<> -]*[\w}…>])"):
        path = re.sub(r"\{[^}]*\}|<[^>]*>|…", "{}", match[1])
        if path not in PATHS:
            strange.append(f"{page}: {match[0]}")
    assert strange == []


def test_every_command_that_is_named_exists():
    group = typer.main.get_command(main.build())
    strange = []
    for page, match in found(r"`baton ([a-z]+)((?: [a-z]+)?)"):
        command = group.commands.get(match[1])
        below = getattr(command, "commands", None)
        if command is None or (below and match[2].strip() and match[2].strip() not in below):
            strange.append(f"{page}: {match[0]}")
    assert strange == []
