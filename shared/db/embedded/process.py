"""Child processes that are not root, die with their parent and inherit nothing but what they are handed."""

import asyncio
import ctypes
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from shared.errors import Misconfigured

_PR_SET_PDEATHSIG: Final = 1
_POLL: Final = 0.01
_ENVIRONMENT: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
_FALL_BACK_ACCOUNTS: Final = ("postgres", "nobody")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who a child runs as when we are root, because Postgres refuses to be root."""

    name: str
    uid: int
    gid: int


def choose_account(wanted: str | None, cluster: Path) -> Account | None:
    """None unless we are root; then the owner of an existing cluster, else `wanted`, else postgres, else nobody."""
    if os.geteuid() != 0:
        return None
    chosen = _by_name(wanted) if wanted else None
    if cluster.exists():
        owner = _owner(cluster)
        if owner.uid == 0 or (chosen and chosen.uid != owner.uid):
            wants = chosen.name if chosen else "an account that is not root"
            raise Misconfigured(
                f"{cluster} belongs to {owner.name}, and Postgres would run as {wants}: "
                f"chown -R the directory, or set BATON_PG_USER to the account that owns it"
            )
        return owner
    if chosen:
        return chosen
    for name in _FALL_BACK_ACCOUNTS:
        try:
            return _by_name(name)
        except Misconfigured:
            continue
    raise Misconfigured("Postgres cannot run as root and there is no account postgres or nobody: set BATON_PG_USER")


def _by_name(name: str) -> Account:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise Misconfigured(f"BATON_PG_USER names the account {name}, which does not exist") from None
    if entry.pw_uid == 0:
        raise Misconfigured(f"BATON_PG_USER names {name}, which is root; Postgres refuses to run as root")
    return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)


def _owner(path: Path) -> Account:
    status = path.stat()
    try:
        name = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        name = str(status.st_uid)
    return Account(name=name, uid=status.st_uid, gid=status.st_gid)


class Directory:
    """A directory that a child may use although its own account cannot reach it: root opens it and hands it down."""

    def __init__(self, path: Path, account: Account | None) -> None:
        self.path = path
        self._account = account
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        if account:
            os.fchown(self.fd, account.uid, account.gid)

    @property
    def name(self) -> str:
        """What the child calls it."""
        if self._account and sys.platform == "linux":
            return f"/proc/self/fd/{self.fd}"
        return str(self.path)

    def close(self) -> None:
        """Gives the descriptor back."""
        os.close(self.fd)


def spawn(
    command: Sequence[str], *, account: Account | None, directories: Sequence[Directory] = (), output: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Starts a child that gets SIGINT when we die. Main thread only: that signal is tied to the forking thread."""
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("embedded Postgres must be started from the main thread, or it stops when the thread ends")
    return subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=_ENVIRONMENT,
        cwd="/",
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        pass_fds=[directory.fd for directory in directories],
        start_new_session=True,
        preexec_fn=_die_with_parent(),  # noqa: PLW1509
    )


def _die_with_parent() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    # PyDLL keeps the GIL: a forked child must not wait for a lock that no thread of its own can release.
    prctl = ctypes.PyDLL(None).prctl
    parent = os.getpid()

    def ask_for_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT))
        if os.getppid() != parent:
            os._exit(1)

    return ask_for_signal


async def finished(process: subprocess.Popen[bytes], *, within: float | None = None) -> int | None:
    """The exit code, once there is one; None when it does not come within so many seconds."""
    deadline = None if within is None else time.monotonic() + within
    while (code := process.poll()) is None:
        if deadline is not None and time.monotonic() > deadline:
            return None
        await asyncio.sleep(_POLL)
    return code


async def run(
    command: Sequence[str],
    *,
    account: Account | None,
    directories: Sequence[Directory] = (),
    within: float = 60.0,
) -> tuple[int | None, str]:
    """Runs a child to its end: exit code (None: it took too long and was killed) and what it printed."""
    with tempfile.TemporaryFile() as output:
        process = spawn(command, account=account, directories=directories, output=output)
        try:
            code = await finished(process, within=within)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        output.seek(0)
        return code, output.read().decode("utf-8", "replace").strip()
