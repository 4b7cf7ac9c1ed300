"""What the command line keeps and finds of a running system."""

import json
import stat

import pytest

from services.cli import options
from shared.errors import Misconfigured


def test_what_is_written_privately_is_readable_by_its_owner_only(tmp_path):
    path = tmp_path / "access.json"
    options.write_private(path, "first")
    options.write_private(path, "second")
    assert path.read_text() == "second"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in tmp_path.iterdir()] == ["access.json"]


def test_the_system_that_runs_here_is_found_in_its_data_directory(tmp_path):
    document = {"url": "http://127.0.0.1:8123", "keys": {"admin": "baton_demo_k"}}
    (tmp_path / options.ACCESS_FILE).write_text(json.dumps(document))
    found = options.access(None, None, tmp_path)
    assert (found.url, found.key) == ("http://127.0.0.1:8123", "baton_demo_k")


def test_what_the_caller_names_wins(tmp_path):
    found = options.access("http://elsewhere/", "baton_other", tmp_path)
    assert (found.url, found.key, found.document) == ("http://elsewhere", "baton_other", {})


def test_without_a_system_the_error_says_what_to_do(tmp_path):
    with pytest.raises(Misconfigured, match="baton up"):
        options.access(None, None, tmp_path)
