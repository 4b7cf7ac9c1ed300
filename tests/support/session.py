"""What all workers of one test session share: whoever comes first makes it, and takes it down after the last."""

import contextlib
import fcntl
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any


class Session:
    """One shared thing, in a directory of its own."""

    def __init__(self, name: str) -> None:
        self.home = Path(tempfile.gettempdir()) / f"baton-test-{name}"
        self._users: IO[str] | None = None
        self._is_maker = False

    def join(self, make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """What `make` told when it was called, in whichever worker that was."""
        self.home.mkdir(exist_ok=True)
        with _locked(self.home / "lock"):
            if self._users is None:
                self._users = (self.home / "users").open("w")
                fcntl.flock(self._users, fcntl.LOCK_SH)
            state = self.home / "state.json"
            if not state.exists():
                self._is_maker = True
                state.write_text(json.dumps(make()))
            return dict(json.loads(state.read_text()))

    def leave(self, unmake: Callable[[], None]) -> None:
        """The maker waits for all others first."""
        if self._users is None:
            return
        self._users.close()
        if self._is_maker:
            with _locked(self.home / "users"):
                unmake()
            shutil.rmtree(self.home, ignore_errors=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
