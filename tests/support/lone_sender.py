"""A sender in a process of its own, so that a test may kill it: `python -m tests.support.lone_sender DSN`."""

import asyncio
import sys

from services.notifier.handlers.sender import Sender
from services.notifier.settings import NotifierSettings
from shared.egress import AddressPolicy, Egress
from tests.support.outgoing import new_runtime
from tests.support.postgres import open_database


async def main(dsn: str) -> None:
    """Claims and sends what is due, once."""
    async with open_database(dsn) as database, Egress(AddressPolicy(allow_private=True)) as egress:
        sender = Sender(new_runtime(database, egress), NotifierSettings())
        for claim in (await sender.claim(limit=10)).claims:
            await sender.send(claim)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
