"""The bare limit of pushing: aiohttp alone, so many requests in flight, each signed.

`python -m tests.load.pusher CORE PORT IN_FLIGHT SECONDS` prints how many per second.
"""

import asyncio
import base64
import hashlib
import hmac
import sys
import time

import aiohttp
import uvloop

from tests.load import process

BODY = b'{"type":"ticket.updated.v1","data":"' + b"x" * 960 + b'"}'


async def _main() -> None:
    core, port, in_flight, seconds = sys.argv[1:]
    process.pin(int(core))
    url = f"http://127.0.0.1:{port}/"
    until = time.perf_counter() + float(seconds)
    count = 0

    async def push(session: aiohttp.ClientSession) -> None:
        nonlocal count
        while time.perf_counter() < until:
            signed = f"evt_{count}.1795000000.".encode() + BODY
            signature = base64.b64encode(hmac.digest(b"key", signed, hashlib.sha256)).decode()
            headers = {
                "content-type": "application/json",
                "webhook-id": f"evt_{count}",
                "webhook-timestamp": "1795000000",
                "webhook-signature": f"v1,{signature}",
            }
            async with session.post(url, data=BODY, headers=headers) as response:
                await response.read()
            count += 1

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=int(in_flight))) as session:
        started, used = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as group:
            for _ in range(int(in_flight)):
                group.create_task(push(session))
        took = time.perf_counter() - started
    process.say({"count": count, "per_second": count / took, "used": time.process_time() - used})


if __name__ == "__main__":
    uvloop.run(_main())
