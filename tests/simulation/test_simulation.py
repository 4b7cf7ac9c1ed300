"""Whatever happens, and in whatever order: the promises hold, a seed is one story, and a broken product is noticed."""

import os
import signal
import subprocess
import sys
from typing import Final

import pytest

from tests.simulation.harness import BLOCK

SOAK: Final = os.environ.get("BATON_SOAK") == "1"
SEEDS: Final = 10_000 if SOAK else 1_000 if os.environ.get("CI") == "true" else 100
JOBS: Final = 2 if SOAK else 1
"""The other core has the other tests to run."""
PATIENCE: Final = 20_000 if SOAK else 3_600
"""Seconds for all of them; one takes less than half a second of a core, and 1.5 of one at a quarter of its speed."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(PATIENCE + 100)]


def played(server_dsn: str, *arguments: str) -> tuple[int, str]:
    """Exit code and what the command said. In a process of its own: the order of sets is part of a seed."""
    command = [sys.executable, "-m", "tests.simulation", "--maintenance", server_dsn, *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0
    ) as process:
        try:
            said, _ = process.communicate(timeout=PATIENCE)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, said


def test_no_seed_breaks_a_promise(server_dsn: str) -> None:
    code, said = played(server_dsn, "1", "--count", str(SEEDS), "--jobs", str(JOBS))
    assert code == 0, said
    assert sum(int(line.split()[0]) for line in said.splitlines()) == SEEDS


def test_a_seed_is_one_story_alone_and_after_others(server_dsn: str) -> None:
    seed = BLOCK + 3
    _, alone = played(server_dsn, str(seed), "--trace")
    _, after_others = played(server_dsn, str(seed - 6), "--count", "7", "--trace")
    story = alone.splitlines()[:-1]
    assert len(story) > 5
    assert after_others.splitlines()[-len(story) - 1 : -1] == story


def test_a_product_that_is_broken_on_purpose_is_noticed(server_dsn: str) -> None:
    code, said = played(server_dsn, "1", "--count", "80", "--sabotage")
    assert code == 0, said
