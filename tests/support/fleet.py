"""Baton as several processes on one Kafka and one Postgres, reached through one door, as behind a gateway."""

import asyncio
import json
import os
import re
import selectors
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import httpx

from services import assembly
from services.cli.inspect import routes_of
from shared.sealing import new_key
from tests.support.forks import Fork, Forks
from tests.support.system import LOOSE, START_SECONDS, STOP_SECONDS, Agent

SERVICES: Final = ("ingest", "router", "router", "tickets", "tickets", "notifier", "notifier")
"""Two of each consumer."""

SETTINGS: Final = LOOSE | {"BATON_KAFKA_SESSION_MS": "3000", "BATON_POOL_SIZE": "8"}


class Process:
    """`baton run SERVICE…`, one word of `service` each."""

    def __init__(self, service: str, log: Path, env: Mapping[str, str], forks: Forks) -> None:
        self.service = service
        self.url = ""
        self._log = log
        self._env = env
        self._forks = forks
        self.fork: Fork | None = None

    def spawn(self) -> None:
        """On its old port, so that callers find it again."""
        port = self.url.rpartition(":")[2] or "0"
        with self._log.open("ab") as log:
            arguments = ["run", *self.service.split(), "--json", "--port", port]
            self.fork = self._forks.spawn(arguments, env=self._env, stderr=log)

    def wait_ready(self) -> None:
        """Until it serves."""
        assert self.fork is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.fork.stdout, selectors.EVENT_READ)
            assert selector.select(START_SECONDS), f"{self.service} said nothing: {self.said()}"
        line = self.fork.stdout.readline()
        assert line, f"{self.service} ended: {self.said()}"
        self.url = json.loads(line)["url"]

    def arm(self, failpoints: str) -> None:
        """As BATON_FAILPOINTS, from now on."""
        assert self.fork is not None
        self.fork.arm(failpoints)

    def sleep(self) -> None:
        """SIGSTOP."""
        assert self.fork is not None
        self.fork.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """SIGCONT."""
        assert self.fork is not None
        self.fork.send_signal(signal.SIGCONT)

    @property
    def is_asleep(self) -> bool:
        """Whether it is stopped, as the kernel sees it."""
        assert self.fork is not None
        return Path(f"/proc/{self.fork.pid}/stat").read_text().rpartition(") ")[2].startswith("T")

    def kill(self) -> None:
        """SIGKILL."""
        assert self.fork is not None
        self.fork.kill()
        self.fork.wait(STOP_SECONDS)
        self._close()

    def stopped(self) -> int:
        """Its exit code, after SIGTERM."""
        assert self.fork is not None
        try:
            return self.fork.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.fork.kill()
            return self.fork.wait(STOP_SECONDS)
        finally:
            self._close()

    def said(self) -> str:
        """The end of its standard error."""
        return self._log.read_text("utf-8", "replace")[-3000:]

    def _close(self) -> None:
        if self.fork is not None:
            self.fork.stdout.close()


class Fleet:
    """All of them, with a workspace, an admin and two agents."""

    def __init__(
        self,
        home: Path,
        forks: Forks,
        *,
        database_url: str,
        event_log: str,
        prefix: str,
        services: Sequence[str] = SERVICES,
        settings: Mapping[str, str] = SETTINGS,
    ) -> None:
        self.home = home
        self._forks = forks
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("BATON_", "PG"))}
        self.env = {
            **kept,
            **settings,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "BATON_DATABASE_URL": database_url,
            "BATON_EVENT_LOG": event_log,
            "BATON_KAFKA_PREFIX": prefix,
            "BATON_DATA_DIR": str(home),
            "BATON_SEALING_KEYS": new_key(),
        }
        home.mkdir(parents=True, exist_ok=True)
        self.processes = [
            Process(service, home / f"{number}-{service}.log", self.env, forks)
            for number, service in enumerate(services)
        ]
        self.workspace = ""
        self.admin = ""
        self.agents: list[Agent] = []

    def start(self) -> Self:
        """Migrates, makes a workspace, starts everybody."""
        self.run("migrate")
        made = json.loads(self.run("workspaces", "create", "Fleet", "--json"))
        self.workspace, self.admin = made["workspace"], made["key"]
        for process in self.processes:
            process.spawn()
        for process in self.processes:
            process.wait_ready()
        return self

    def run(self, *arguments: str) -> str:
        """One command; its standard output."""
        code, out, err = self._forks.run(arguments, env=self.env)
        assert code == 0, err
        return out

    @property
    def url(self) -> str:
        """Where networks send their webhooks."""
        return self.one("ingest").url

    def one(self, service: str) -> Process:
        """The first process of a service."""
        return next(process for process in self.processes if service in process.service.split())

    def show(self) -> None:
        """What they said goes into the test's output."""
        for process in self.processes:
            sys.stderr.write(f"--- {process.service}\n{process.said()}\n")

    def end(self) -> list[int]:
        """Everybody stops; returns their exit codes."""
        living = [each for each in self.processes if each.fork is not None and each.fork.poll() is None]
        for process in living:
            assert process.fork is not None
            process.fork.send_signal(signal.SIGTERM)
        return [process.stopped() for process in living]

    async def problems(self) -> list[dict[str, Any]]:
        """What `baton doctor` calls a problem."""
        _, out, err = await asyncio.to_thread(self._forks.run, ["doctor", "--json"], env=self.env)
        findings = [json.loads(line) for line in out.splitlines()]
        assert findings, err
        return [finding for finding in findings if finding["level"] == "problem"]

    def door(self, limits: httpx.Limits) -> httpx.AsyncBaseTransport:
        """Every path to a service that serves it."""
        return Door(self, httpx.AsyncHTTPTransport(limits=limits))


class Door(httpx.AsyncBaseTransport):
    """What a gateway does."""

    def __init__(self, fleet: Fleet, wrapped: httpx.AsyncBaseTransport) -> None:
        self._fleet = fleet
        self._wrapped = wrapped
        self._routes = [
            (re.compile(re.sub(r"{\w+}", "[^/]+", path) + r"\Z"), service.name)
            for service in assembly.blueprint()
            for path in {route.rpartition(" ")[2] for route in routes_of(service)}
        ]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """To the first process of the service; literal paths win over those with placeholders."""
        path = request.url.path
        names = [(pattern.pattern.count("[^/]+"), name) for pattern, name in self._routes if pattern.match(path)]
        service = min(names)[1] if names else "ingest"
        request.url = request.url.copy_with(port=int(self._fleet.one(service).url.rpartition(":")[2]))
        return await self._wrapped.handle_async_request(request)

    async def aclose(self) -> None:
        """With everything behind it."""
        await self._wrapped.aclose()
