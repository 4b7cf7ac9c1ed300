"""A parent that has imported everything once, and its forks: each becomes a `baton` command without loading it again."""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from tests.support.session import Session

_PR_SET_PDEATHSIG: Final = 1
_MOST: Final = 128 * 1024
"""Bytes of one request: arguments and environment."""

_LAZY: Final = (
    "alembic.command",
    "alembic.runtime.migration",
    "anyio._backends._asyncio",
    "httpx",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.lifespan.off",
    "uvloop",
)
"""What a starting process imports only where it is used."""


# -- those who ask ----------------------------------------------------------------------------------------------------


class Fork:
    """A child of that parent, as `subprocess.Popen` shows one of ours."""

    def __init__(self, connection: socket.socket, pid: int, stdout: IO[bytes], orders: int) -> None:
        self._connection = connection
        self._orders = orders
        self.pid = pid
        self.stdout = stdout
        self.returncode: int | None = None

    def arm(self, failpoints: str) -> None:
        """Arms failpoints in the living child, as BATON_FAILPOINTS would have at its start."""
        os.write(self._orders, f"{failpoints}\n".encode())

    def poll(self) -> int | None:
        """Its exit code, once there is one."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Until it has ended."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("baton", timeout or 0)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """To this one process, if it is still there."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            self._connection.settimeout(timeout)
            try:
                told = self._connection.recv(64)
            except (TimeoutError, BlockingIOError):
                return None
            # A parent that is gone has taken its children with it.
            self.returncode = int(told) if told else -signal.SIGKILL
            self._connection.close()
            os.close(self._orders)
        return self.returncode


class Forks:
    """The one parent of a test session; whoever asks first starts it."""

    def __init__(self, session: str) -> None:
        self._session = Session(f"{session}-forks")
        self._door = self._session.home / "door"
        self._is_there = False
        self._parent: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns at once: what is asked before the parent is ready waits for it."""
        if not self._is_there:
            self._session.join(self._make)
            self._is_there = True

    def _make(self) -> dict[str, str]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
            door.bind(str(self._door))
            door.listen(64)
            self._parent = subprocess.Popen(
                [sys.executable, "-m", __name__, str(door.fileno())],
                stdin=subprocess.PIPE,
                pass_fds=[door.fileno()],
                cwd=Path(__file__).parents[2],
                start_new_session=True,
            )
        return {}

    def stop(self) -> None:
        """Leaves; the maker waits for the others first."""
        self._session.leave(self._unmake)

    def _unmake(self) -> None:
        if self._parent:
            assert self._parent.stdin is not None
            self._parent.stdin.close()
            self._parent.wait(30)

    def spawn(
        self, arguments: Sequence[str], *, env: Mapping[str, str], stderr: IO[bytes], entry: str = "services.cli.main"
    ) -> Fork:
        """Starts `baton`, or another entry, with these arguments and nothing but this environment."""
        self.start()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.connect(str(self._door))
        heard, said = os.pipe()
        orders, order = os.pipe()
        request = json.dumps({"entry": entry, "arguments": list(arguments), "env": dict(env)}).encode()
        socket.send_fds(connection, [request], [said, stderr.fileno(), orders])
        os.close(said)
        os.close(orders)
        return Fork(connection, int(connection.recv(64)), os.fdopen(heard, "rb"), order)

    def run(self, arguments: Sequence[str], *, env: Mapping[str, str], within: float = 120.0) -> tuple[int, str, str]:
        """A command to its end; its exit code, standard output and standard error."""
        with tempfile.TemporaryFile() as errors:
            fork = self.spawn(arguments, env=env, stderr=errors)
            with fork.stdout as output:
                out = output.read().decode()
            code = fork.wait(within)
            errors.seek(0)
            return code, out, errors.read().decode()


# -- the parent -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Request:
    """What a child is to become."""

    entry: str
    """A module with a `main`."""
    arguments: list[str]
    env: dict[str, str]
    stdout: int
    stderr: int
    orders: int

    def become(self) -> None:
        """Nothing of the parent is left but what it has imported."""
        os.dup2(self.stdout, 1)
        os.dup2(self.stderr, 2)
        os.close(self.stdout)
        os.close(self.stderr)
        os.chdir("/")
        os.environ.clear()
        os.environ.update(self.env)
        sys.argv = ["baton", *self.arguments]
        failpoints = importlib.import_module("shared.failpoints")
        failpoints.arm()
        threading.Thread(target=_obey, args=(self.orders, failpoints), daemon=True).start()


def _obey(orders: int, failpoints: Any) -> None:
    with os.fdopen(orders) as lines:
        for line in lines:
            os.environ["BATON_FAILPOINTS"] = line.strip()
            failpoints.arm()


def preload() -> None:
    """Imports all of Baton. Nothing may run yet: threads and event loops do not survive a fork."""
    for package in ("services", "shared"):
        module = importlib.import_module(package)
        for found in pkgutil.walk_packages(module.__path__, f"{package}."):
            importlib.import_module(found.name)
    for name in _LAZY:
        importlib.import_module(name)
    assert threading.active_count() == 1
    gc.collect()
    gc.freeze()


class _Parent:
    """Forks, and tells whoever asked how the child ended."""

    def __init__(self, door: socket.socket) -> None:
        self._door = door
        self._selector = selectors.DefaultSelector()
        self._asked: dict[int, tuple[int, socket.socket]] = {}
        """The child and its asker, by the descriptor that becomes readable when the child ends."""

    def serve(self) -> _Request | None:
        """Until standard input ends; returns a request in each child."""
        self._selector.register(self._door, selectors.EVENT_READ)
        self._selector.register(0, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if key.fd == 0:
                    return None
                if key.fileobj is not self._door:
                    self._reap(key.fd)
                elif request := self._fork():
                    return request

    def _fork(self) -> _Request | None:
        connection, _ = self._door.accept()
        raw, descriptors, _, _ = socket.recv_fds(connection, _MOST, 3)
        if not raw:
            connection.close()
            return None
        parent, pid = os.getpid(), os.fork()
        if pid == 0:
            self._forget(connection)
            _die_with(parent)
            return _Request(**json.loads(raw), **dict(zip(("stdout", "stderr", "orders"), descriptors, strict=True)))
        for descriptor in descriptors:
            os.close(descriptor)
        connection.send(str(pid).encode())
        ended = os.pidfd_open(pid)
        self._asked[ended] = (pid, connection)
        self._selector.register(ended, selectors.EVENT_READ)
        return None

    def _reap(self, ended: int) -> None:
        self._selector.unregister(ended)
        os.close(ended)
        pid, connection = self._asked.pop(ended)
        _, status = os.waitpid(pid, 0)
        # Whoever asked may have gone.
        with connection, contextlib.suppress(OSError):
            connection.send(str(os.waitstatus_to_exitcode(status)).encode(), socket.MSG_NOSIGNAL)

    def _forget(self, connection: socket.socket) -> None:
        """In a child: none of its parent's business."""
        self._selector.close()
        self._door.close()
        connection.close()
        for ended, (_, other) in self._asked.items():
            os.close(ended)
            other.close()
        devnull = os.open(os.devnull, os.O_RDONLY)
        os.dup2(devnull, 0)
        os.close(devnull)


def _die_with(parent: int) -> None:
    ctypes.PyDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def main() -> None:
    """In the parent, until nobody wants it; in each child, the command."""
    preload()
    request = _Parent(socket.socket(fileno=int(sys.argv[1]))).serve()
    if request:
        request.become()
        importlib.import_module(request.entry).main()


if __name__ == "__main__":
    main()
