"""A disk of a test's own, which can be filled to its last byte."""

import errno
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

WITHOUT: Final = "without a disk of its own"
"""How the reason of a test begins that was left out for want of one."""

CHUNK: Final = bytes(1 << 20)


class Disk:
    """What is mounted at a place."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._ballast = place / "ballast"

    def fill(self) -> None:
        """Not a byte is left for anybody, root included; again, where somebody has found some."""
        with self._ballast.open("ab", buffering=0) as ballast:
            for size in (len(CHUNK), 4096, 1):
                try:
                    while ballast.write(CHUNK[:size]):
                        pass
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def free(self) -> None:
        """Somebody has tidied up."""
        self._ballast.unlink()


def missing() -> str | None:
    """Why there can be no such disk here."""
    if os.geteuid() != 0:
        return "only root may mount"
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", tempfile.gettempdir()],
        capture_output=True,
        check=False,
        timeout=10,
    )
    return None if tried.returncode == 0 else tried.stderr.decode().strip()


@contextmanager
def mounted(place: Path, *, megabytes: int) -> Iterator[Disk]:
    """A file system in memory, for as long as the block runs."""
    place.mkdir(parents=True)
    options = f"size={megabytes}m,mode=0711"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True, timeout=10)
    try:
        yield Disk(place)
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True, timeout=10)
