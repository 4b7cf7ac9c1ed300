"""Whatever the moment in which a process dies, what was acknowledged becomes its events, once."""

import asyncio
import os
import signal
import sys
from textwrap import dedent

import pytest

from tests.support.ingest import Door, page, raw
from tests.support.networks.facebook import facebook_comment
from tests.support.waiting import answer

_CHILD = dedent(
    """
    import asyncio, sys
    from tests.support.ingest import open_door
    from tests.support.postgres import open_database

    async def main(dsn, what, path):
        async with open_database(dsn) as database, open_door(database) as door:
            if what == "normalize":
                worker = door.worker("nrm_child", normalizer_ttl_ms=300, normalizer_heartbeat_ms=100)
                await worker.share()
                await worker.step()
            else:
                await door.post(path, sys.stdin.buffer.read())

    asyncio.run(main(*sys.argv[1:]))
    """
)


async def dies(dsn: str, failpoint: str, what: str, path: str = "", content: bytes = b"") -> None:
    """A process that does this and is killed where the failpoint stands."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _CHILD,
        dsn,
        what,
        path,
        env=os.environ | {"BATON_FAILPOINTS": f"{failpoint}=kill"},
        stdin=asyncio.subprocess.PIPE,
    )
    await process.communicate(content)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize(("failpoint", "stored"), [("inbox.before_store", 0), ("inbox.stored", 1)])
async def test_a_delivery_that_was_never_answered_comes_again_and_is_one(door: Door, dsn: str, failpoint, stored):
    path = (await door.connect())["webhook_path"]
    body = page(facebook_comment(1))

    await dies(dsn, failpoint, "post", path, raw(body))
    left = len(await door.rows("SELECT 1 FROM ingest.inbox"))
    again = await door.post(path, body)
    await door.normalize()

    assert (left, again.status_code) == (stored, 200)
    assert len(await door.rows("SELECT 1 FROM ingest.inbox")) == 1
    assert [event.type for event in await door.events()] == ["message.received.v1"]


@pytest.mark.slow
@pytest.mark.parametrize(("failpoint", "published"), [("normalizer.before_commit", 0), ("normalizer.committed", 3)])
async def test_a_normalizer_that_is_killed_leaves_all_or_nothing_and_another_goes_on(
    door: Door, dsn: str, failpoint, published
):
    path = (await door.connect())["webhook_path"]
    for number in range(3):
        await door.post(path, page(facebook_comment(number)))

    await dies(dsn, failpoint, "normalize")
    left = len(await door.events())
    heir = door.worker("nrm_heir")

    async def goes_on() -> bool:
        await heir.share()
        await heir.step()
        return not await door.rows("SELECT 1 FROM ingest.pending")

    await answer(goes_on)

    assert left == published
    texts = [event.data.message.text for event in await door.events()]
    assert texts == [f"Where is my order {number}? 📦" for number in range(3)]
