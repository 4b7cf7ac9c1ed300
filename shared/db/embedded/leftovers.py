"""What a server leaves in its cluster: the pid file, and processes that outlive a killed postmaster for a moment."""

import asyncio
import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Final

_PROCESS_NAMES: Final = ("postgres", "postmaster")
_POLL: Final = 0.02
_STATUS_LINE: Final = 7


def pid_file(cluster: Path) -> Path:
    """Postgres' own lock on a cluster."""
    return cluster / "postmaster.pid"


def says_ready(cluster: Path, *, pid: int) -> bool:
    """Whether this very postmaster takes connections; pg_ctl looks at the same lines."""
    try:
        lines = pid_file(cluster).read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > _STATUS_LINE and lines[0] == str(pid) and lines[_STATUS_LINE].strip() == "ready"


async def gone(cluster: Path, *, deadline: float) -> list[int]:
    """Waits for the processes of an earlier server; returns those that stay."""
    while residents := _residents(cluster):
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(_POLL)
    return residents


def _residents(cluster: Path) -> list[int]:
    """Every Postgres process that works in this cluster, as far as /proc tells."""
    if sys.platform != "linux":
        return []
    home = cluster.stat()
    return sorted(int(process.name) for process in Path("/proc").glob("[0-9]*") if _works_in(process, home))


def _works_in(process: Path, home: os.stat_result) -> bool:
    with contextlib.suppress(OSError):
        name = (process / "comm").read_text().strip()
        return name in _PROCESS_NAMES and os.path.samestat((process / "cwd").stat(), home)
    return False


def drop_pid_of_stranger(cluster: Path) -> None:
    """Removes the pid file if its pid now is another program, or a zombie that nobody reaps.

    Postgres takes either for a living postmaster and refuses every start; containers hand out the same few pids each
    time. Only to be asked when no process works in the cluster any more.
    """
    path = pid_file(cluster)
    try:
        pid = path.read_text("utf-8", "replace").split("\n", 1)[0].strip()
        lines = Path("/proc", pid, "status").read_text().splitlines()
    except OSError:
        return
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    if status["Name"] not in _PROCESS_NAMES or status["State"].startswith("Z"):
        path.unlink()
