"""A consumer as a process of its own, to be killed and paused: it writes down what it has committed."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from shared.errors import Retryable
from shared.events.catalogue import MESSAGES
from tests.support.kafka.rig import KafkaRig
from tests.support.logs import commit, fetch
from tests.support.postgres import open_database
from tests.support.waiting import PATIENCE

Place = tuple[int, int]
GROUP: Final = "g"


async def consume(servers: str, prefix: str, dsn: str, path: Path) -> None:
    """Until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    rig = KafkaRig(servers, prefix, lambda: open_database(dsn, size=4))
    with path.open("ab", buffering=0) as diary:
        async with rig.process() as process:
            while not stop.is_set():
                # A member that is replaced, or cannot reach the broker, joins again.
                with contextlib.suppress(Retryable):
                    async with process.log.subscribe(GROUP, [MESSAGES]) as subscription:
                        diary.write(b"joined\n")
                        while not stop.is_set():
                            batch, records = await fetch(
                                subscription, max_records=50, max_wait=timedelta(milliseconds=200)
                            )
                            try:
                                await commit(process, subscription, batch)
                            except Retryable:
                                subscription.rewind(batch)
                                continue
                            lines = [f"{r.partition} {r.position} {r.key} {r.value.decode()}\n" for r in records]
                            diary.write("".join(lines).encode())


class Member:
    """One such process."""

    def __init__(self, rig: KafkaRig, dsn: str, path: Path) -> None:
        self._rig = rig
        self._dsn = dsn
        self._path = path
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, **settings: str) -> None:
        """Returns once it has joined."""
        cluster = self._rig.cluster
        arguments = [cluster.servers[0], cluster.prefix, self._dsn, str(self._path)]
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, *arguments, env={**os.environ, **settings}, cwd=Path(__file__).parents[3]
        )
        async with asyncio.timeout(90):
            while not self.has_joined:  # noqa: ASYNC110 - nobody tells a test
                await asyncio.sleep(0.05)

    @property
    def has_joined(self) -> bool:
        """At least once."""
        return self._path.exists() and b"joined" in self._path.read_bytes()

    def signal(self, number: signal.Signals) -> None:
        """SIGKILL, SIGSTOP, SIGCONT."""
        assert self.process is not None
        self.process.send_signal(number)

    async def end(self) -> None:
        """Gone, whatever state it is in."""
        if self.process is None or self.process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            async with asyncio.timeout(PATIENCE):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    def handled(self) -> Mapping[Place, tuple[str, int]]:
        """Key and value by partition and offset of everything it has committed; a half-written last line is none."""
        whole, _, _ = self._path.read_text().rpartition("\n")
        lines = [line.split() for line in whole.splitlines() if line != "joined"]
        return {(int(p), int(o)): (key, int(value)) for p, o, key, value in lines}


if __name__ == "__main__":
    asyncio.run(consume(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4])))
