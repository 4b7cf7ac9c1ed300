"""A whole Baton as a child process, killed and started again at will, and how its users reach it."""

import asyncio
import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from typer.testing import CliRunner

from services.cli import main
from shared.errors import BatonError
from tests.support.forks import Fork, Forks

START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 40.0
LOOSE: Final = {
    "BATON_ALLOW_PRIVATE_EGRESS": "1",
    "BATON_LOG_LEVEL": "info",
    "BATON_API_RATE": "100000",
    "BATON_API_BURST": "100000",
    "BATON_CHANNEL_RATE": "1000",
    "BATON_CHANNEL_CONCURRENCY": "32",
    "BATON_REPLY_FRESH_MS": "2000",
    "BATON_REPLY_TIMEOUT_MS": "3000",
    "BATON_REPLY_CLAIM_MS": "6000",
}
"""What a system on one machine needs to call a network on the same one, and to let a test hurry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A member of staff with a key."""

    id: str
    name: str
    key: str


class System:
    """`baton up` on a data directory; everything about it is known from its one line and its files."""

    entry: ClassVar[str] = "services.cli.main"
    """Whose `main` a fork runs to start it."""

    def __init__(
        self,
        home: Path,
        forks: Forks,
        *,
        settings: Mapping[str, str] = LOOSE,
        event_log: str = "postgres",
        prefix: Sequence[str] = (),
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self._forks = forks
        self.data_dir = home / "data"
        topics = f"{zlib.crc32(str(home).encode()):08x}-"
        self.settings = {**settings, "BATON_EVENT_LOG": event_log, "BATON_KAFKA_PREFIX": topics}
        self.prefix = list(prefix)
        """A command that runs the system as somebody else; as a process that loads everything itself."""
        self.access: dict[str, Any] = {}
        self.port = 0
        self._process: subprocess.Popen[bytes] | Fork | None = None
        self._log = home / "stderr.log"

    # -- its life ---------------------------------------------------------------------------------------------------

    def start(self, **settings: str) -> Self:
        """Starts, and waits for the line that says that it is ready."""
        self.spawn(**settings)
        self.wait_ready()
        return self

    def spawn(self, *, port: int | None = None, **settings: str) -> None:
        """Starts without waiting. The port is the one of the last start, so that networks find it again."""
        arguments = self.arguments("up", "--json", "--port", str(self.port if port is None else port))
        env = self.environment(**settings)
        with self._log.open("ab") as log:
            if command := self.command(arguments):
                self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=env, cwd="/")
            else:
                self._process = self._forks.spawn(arguments, env=env, stderr=log, entry=self.entry)

    def command(self, arguments: Sequence[str]) -> list[str]:
        """What starts it as a process that loads everything itself; nothing: a fork will do."""
        return [*self.prefix, sys.executable, "-m", "services.cli.main", *arguments] if self.prefix else []

    def wait_ready(self) -> None:
        """Blocks until the line is there; fails with what the system said if it ends instead."""
        line = self.line(within=START_SECONDS)
        if not line:
            raise AssertionError(f"the system ended with {self.process.wait(5)} before it was ready:\n{self.said()}")
        self.access = json.loads(line)
        self.port = int(self.url.rpartition(":")[2])

    async def restart(self, **settings: str) -> None:
        """Starts again while the test's own loop goes on: networks retry meanwhile."""
        self.spawn(**settings)
        await asyncio.to_thread(self.wait_ready)

    def kill(self) -> None:
        """SIGKILL, to this one process; its Postgres goes with it."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)
        self._close()

    async def die(self) -> None:
        """The same, for those who wait for other things meanwhile."""
        self.kill()

    async def revive(self) -> None:
        """As it was."""
        await self.restart()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS)
        finally:
            self._close()

    async def died(self, *, within: float = 30.0) -> int:
        """Waits for it to end by itself; returns the exit code."""
        async with asyncio.timeout(within):
            while self.process.poll() is None:  # noqa: ASYNC110 - nobody tells a test
                await asyncio.sleep(0.02)
        self._close()
        return self.process.returncode

    def end(self) -> None:
        """Whatever state it is in, it is gone afterwards."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(STOP_SECONDS)
        self._close()

    def line(self, *, within: float) -> str:
        """The next line of its standard output; empty at its end."""
        output = self.process.stdout
        assert output is not None
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            if not selector.select(within):
                raise AssertionError(f"the system said nothing for {within} s:\n{self.said()}")
        return output.readline().decode()

    def rest(self) -> str:
        """What else it printed, once it has ended."""
        output = self.process.stdout
        assert output is not None
        return "" if output.closed else output.read().decode()

    def said(self, since: int = 0) -> str:
        """The end of its standard error."""
        with contextlib.suppress(FileNotFoundError), self._log.open("rb") as log:
            log.seek(since)
            return log.read().decode("utf-8", "replace")[-6000:]
        return ""

    def show(self, since: int = 0) -> None:
        """Puts its standard error into the test's, which is shown when the test fails."""
        sys.stderr.write(self.said(since))

    @property
    def said_bytes(self) -> int:
        """How much it has said so far."""
        return self._log.stat().st_size if self._log.exists() else 0

    @property
    def process(self) -> "subprocess.Popen[bytes] | Fork":
        """The child."""
        assert self._process is not None, "the system was not started"
        return self._process

    def _close(self) -> None:
        if self._process and self._process.stdout:
            self._process.stdout.close()

    # -- what it is -------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where it listens."""
        return str(self.access["url"])

    @property
    def workspace(self) -> str:
        """The demo workspace."""
        return str(self.access["workspace"])

    @property
    def admin(self) -> str:
        """The admin's key."""
        return str(self.access["keys"]["admin"])

    @property
    def agents(self) -> list[Agent]:
        """The demo workspace's agents."""
        return [Agent(**agent) for agent in self.access["keys"]["agents"]]

    @property
    def database_url(self) -> str:
        """The embedded database, for what no public path tells."""
        return str(json.loads((self.data_dir / "access.json").read_text())["database_url"])

    # -- commands ---------------------------------------------------------------------------------------------------

    def arguments(self, *arguments: str) -> list[str]:
        """Of a `baton` command on this data directory."""
        has_place = arguments[0] not in {"parse", "structure", "openapi", "asyncapi"}
        return [*arguments, *(["--data-dir", str(self.data_dir)] if has_place else [])]

    def environment(self, **settings: str) -> dict[str, str]:
        """Nothing of the caller's own settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("BATON_", "PG"))}
        return kept | {"PYTHONPATH": str(Path(__file__).parents[2])} | self.settings | settings

    async def process_of(self, *arguments: str, **settings: str) -> tuple[int, str, str]:
        """Runs a command as a process; returns exit code, standard output and standard error."""
        env = self.environment(**settings)
        return await asyncio.to_thread(self._forks.run, self.arguments(*arguments), env=env)

    async def baton(self, *arguments: str, **settings: str) -> tuple[int, str, str]:
        """The same within this process."""
        env = {name: None for name in os.environ if name.startswith("BATON_")} | self.settings | settings
        result = await asyncio.to_thread(CliRunner(env=env).invoke, main.build(), self.arguments(*arguments))
        if isinstance(result.exception, BatonError):
            return 1, result.stdout, f"baton: {result.exception}\n"
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    async def problems(self) -> list[dict[str, Any]]:
        """What `baton doctor` calls a problem."""
        code, out, err = await self.baton("doctor", "--json")
        findings = [json.loads(line) for line in out.splitlines()]
        found = [finding for finding in findings if finding["level"] == "problem"]
        assert findings, err
        assert code == (1 if found else 0), err
        return found
