"""`baton up` in a process whose wall clock is wrong, which a file of settings cannot make it."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Final

from services import assembly
from services.cli.welcome import prepare_demo
from shared.host import serve
from shared.settings import KernelSettings
from tests.support.clock import WrongClock, WrongIds
from tests.support.forks import Forks
from tests.support.system import System

OFF: Final = "TEST_CLOCK_IS_OFF"
"""In the environment, by how many seconds: no setting of Baton's, which has none for that."""


class WrongSystem(System):
    """A system whose clock is off; what else it is stands in its settings."""

    entry: ClassVar[str] = __name__

    def __init__(self, home: Path, forks: Forks, *, settings: Mapping[str, str], off: timedelta) -> None:
        super().__init__(home, forks, settings=settings | {OFF: str(off.total_seconds())})


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


def main() -> None:
    """In the process whose clock is wrong."""
    asyncio.run(up(timedelta(seconds=float(os.environ[OFF]))))
