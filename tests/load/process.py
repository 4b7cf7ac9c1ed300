"""Processes that a measurement starts: each on a core of its own, heard line by line, ended by pid."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0

CORES: Final = sorted(os.sched_getaffinity(0))
SERVER_CORE: Final = CORES[0]
CLIENT_CORE: Final = CORES[-1]


@dataclass(slots=True, kw_only=True)
class Child:
    """A process of ours."""

    process: asyncio.subprocess.Process
    name: str

    async def line(self, within: float = START_SECONDS) -> Any:
        """The next line of its output, as JSON."""
        assert self.process.stdout is not None
        async with asyncio.timeout(within):
            line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with code {await self.process.wait()} before it said anything")
        return json.loads(line)

    async def say(self, document: Any) -> None:
        """Writes one line of JSON to its input."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(document).encode() + b"\n")
        await self.process.stdin.drain()


@contextlib.asynccontextmanager
async def child(module: str, *arguments: str, env: Mapping[str, str] | None = None) -> AsyncIterator[Child]:
    """A Python module as a process, ended with the block: asked first, then killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | dict(env or {}),
        limit=64 * 1024 * 1024,
    )
    try:
        yield Child(process=process, name=" ".join((module, *arguments)))
    finally:
        await end(process)


async def end(process: asyncio.subprocess.Process) -> None:
    """SIGTERM, and SIGKILL for one that does not hear it."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def pin(core: int | None) -> None:
    """Keeps this process on one core."""
    if core is not None:
        os.sched_setaffinity(0, {core})


def unpin() -> None:
    """Lets this process on all cores again."""
    os.sched_setaffinity(0, CORES)


def until_told() -> asyncio.Event:
    """Set once this process should end."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    return told


def say(document: Any) -> None:
    """One line of JSON to whoever started this process."""
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def cpu_seconds(pids: Iterable[int], *, gone: bool = False) -> float:
    """User and system time that these processes have used so far, with `gone` that of children that have ended."""
    ticks = 0
    for pid in pids:
        fields = _stat(pid)
        ticks += sum(map(int, fields[11:15] if gone else fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def children(parent: int) -> list[int]:
    """The processes that this one has started, as far as they live."""
    pids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    return [pid for pid in pids if (fields := _stat(pid)) and int(fields[1]) == parent]


def _stat(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []
