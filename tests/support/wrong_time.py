"""`baton up` in a process whose wall clock is wrong, which a file of settings cannot make it."""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from services import assembly
from services.cli.welcome import prepare_demo
from shared.host import serve
from shared.settings import KernelSettings
from tests.support.clock import WrongClock, WrongIds
from tests.support.forks import Forks
from tests.support.system import System


class WrongSystem(System):
    """A system whose clock is off; what else it is stands in its settings."""

    def __init__(self, home: Path, forks: Forks, *, settings: Mapping[str, str], off: timedelta) -> None:
        super().__init__(home, forks, settings=settings)
        self._off = off

    def command(self, arguments: Sequence[str]) -> list[str]:
        """Whatever `up` is asked: commands keep the machine's clock."""
        del arguments
        return [sys.executable, "-m", "tests.support.wrong_time", str(self._off.total_seconds())]


async def up(off: timedelta) -> None:
    """Serves until it is asked to stop; one line says where, as `baton up --json` does."""

    def ready(url: str, demo: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps({"url": url, "workspace": demo["workspace"], "keys": demo["keys"]}) + "\n")
        sys.stdout.flush()

    await serve(
        assembly.builders(),
        KernelSettings.load(port=0),
        schemas=assembly.schemas(),
        prepare=prepare_demo,
        ready=ready,
        clock=WrongClock(off),
        ids=WrongIds(off),
    )


if __name__ == "__main__":
    asyncio.run(up(timedelta(seconds=float(sys.argv[1]))))
