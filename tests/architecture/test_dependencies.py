"""Every dependency is justified in the table, pinned with hashes, and the locks carry no addresses."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
TABLE = (ROOT / "docs/reference/dependencies.md").read_text("utf-8")


def names(requirements):
    return {re.split(r"[\[<>=;~! ]", requirement)[0] for requirement in requirements}


RUN = names(PROJECT["project"]["dependencies"])
EXTRAS = {name for extra in PROJECT["project"]["optional-dependencies"].values() for name in names(extra)}
DEVELOP = names(PROJECT["dependency-groups"]["dev"])


@pytest.mark.parametrize("name", sorted(RUN | EXTRAS | DEVELOP))
def test_every_dependency_has_its_line(name):
    assert re.search(rf"^\|[^|]*\b{re.escape(name)}\b", TABLE, re.MULTILINE)


def test_no_line_is_left_over():
    listed = {name.strip() for row in re.findall(r"^\| ([^|]+) \|", TABLE, re.MULTILINE) for name in row.split(",")}
    assert listed - {"package"} == RUN | EXTRAS | DEVELOP


@pytest.mark.parametrize("lock", ["run.lock", "dev.lock"])
def test_locks_pin_with_hashes_and_name_no_address(lock):
    text = (ROOT / "requirements" / lock).read_text("utf-8")
    pinned = re.findall(r"^[a-z0-9._-]+(?:\[[a-z,]+\])?==\S+", text, re.MULTILINE)
    assert pinned
    assert "://" not in text
    assert len(pinned) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE))
    assert text.count("--hash=sha256:") >= len(pinned)


@pytest.mark.parametrize(("lock", "wanted"), [("run.lock", RUN), ("dev.lock", RUN | EXTRAS | DEVELOP)])
def test_every_direct_dependency_is_locked(lock, wanted):
    text = (ROOT / "requirements" / lock).read_text("utf-8").lower()
    assert [name for name in sorted(wanted) if not re.search(rf"^{re.escape(name)}(\[|==)", text, re.MULTILINE)] == []
