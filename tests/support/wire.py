"""The way to Postgres, which a test can cut and mend."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import parse_qs, urlsplit

_SOCKET: Final = ".s.PGSQL.5432"


class Wire:
    """A socket in front of the server's own; while it is cut, nobody gets through and nobody stays."""

    def __init__(self, real: Path) -> None:
        self._real = real
        self._is_cut = False
        self._ends: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Ends every connection, and refuses new ones."""
        self._is_cut = True
        for end in self._ends:
            end.transport.abort()

    def mend(self) -> None:
        """Lets connections through again."""
        self._is_cut = False

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, as long as it lasts."""
        if self._is_cut:
            writer.transport.abort()
            return
        there, back = await asyncio.open_unix_connection(str(self._real))
        ends = {writer, back}
        self._ends |= ends
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_carry(reader, back))
                group.create_task(_carry(there, writer))
        finally:
            self._ends -= ends
            for end in ends:
                end.transport.abort()


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.transport.abort()


@asynccontextmanager
async def wired(dsn: str) -> AsyncIterator[tuple[str, Wire]]:
    """A DSN that leads to the same database through a wire."""
    folder = parse_qs(urlsplit(dsn).query)["host"][0]
    wire = Wire(Path(folder) / _SOCKET)
    with TemporaryDirectory(prefix="wire-") as directory:
        server = await asyncio.start_unix_server(wire.connected, Path(directory) / _SOCKET)
        try:
            yield dsn.replace(folder, directory), wire
        finally:
            wire.cut()
            server.close()
