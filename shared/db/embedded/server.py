"""The supervisor of an embedded Postgres: initialises a cluster, starts it, watches it and stops it."""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import asyncpg
import structlog

from shared.db.embedded import leftovers
from shared.db.embedded.binaries import Binaries, find, prepare
from shared.db.embedded.process import Account, Directory, choose_account, finished, run, spawn
from shared.errors import Misconfigured

DATABASE: Final = "baton"
USER: Final = "baton"
RUNTIME_DIRECTORY: Final = Path("/var/lib/baton")
"""Where root keeps copied programs, and sockets whose path would be too long beside the data."""

_LONGEST_SOCKET_PATH: Final = 100
_SOCKET_FILE: Final = ".s.PGSQL.5432"
_LEFTOVER_PATIENCE: Final = 5.0
_START_PATIENCE: Final = 120.0
_RELAUNCH_SECONDS: Final = 1.0
_LONGEST_LOG: Final = 8 * 1024 * 1024
_LOCALES: Final = (
    # Postgres' own order of texts (from 17 on): by bytes, quicker, and no upgrade of the system changes it.
    ("--locale=C.UTF-8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
    ("--locale=C.UTF-8",),
    ("--locale=en_US.UTF-8",),
)
_NO_LOCALE: Final = ("invalid locale name", "unrecognized option", "unrecognized locale provider")
_STOP_LADDER: Final = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
_TUNING: Final[Mapping[str, str]] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "huge_pages": "off",
    "effective_cache_size": "512MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "synchronous_commit": "on",
    "wal_buffers": "16MB",
    # Filling a new segment with zeros holds up every commit for 17 ms, each second under load until old ones come back.
    "wal_init_zero": "off",
    "min_wal_size": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "max_parallel_workers_per_gather": "1",
    # Each round also makes every plan anew of the tables that it has seen: more often than this is felt under load, and
    # the queues that only grow and shrink stay fast for longer. Tables that only grow need freezing, which can wait,
    # and statistics, which a half more hardly changes. Most columns are ids: a small sample says as much of them.
    "autovacuum_naptime": "15s",
    # A round takes its time, and not a third of a core meanwhile.
    "autovacuum_vacuum_cost_delay": "10ms",
    "autovacuum_vacuum_insert_threshold": "1000000",
    "autovacuum_analyze_scale_factor": "0.5",
    "default_statistics_target": "20",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
}
_FOR_TESTS_ONLY: Final[Mapping[str, str]] = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setup:
    data_dir: Path
    runtime_dir: Path
    account: Account | None
    binaries: Binaries
    settings: Mapping[str, str]
    durable: bool

    @property
    def cluster(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def log(self) -> Path:
        return self.data_dir / "postgres.log"


class EmbeddedPostgres:
    """One running server. Start it with `async with EmbeddedPostgres.start(...)`, from the main thread."""

    def __init__(self, setup: _Setup, resources: contextlib.ExitStack) -> None:
        self._setup = setup
        self._resources = resources
        self._process: subprocess.Popen[bytes] | None = None
        self._sockets = self._open(_socket_directory(setup))
        self._cluster: Directory | None = None
        self.socket_dir = self._sockets.path
        self.major = setup.binaries.major
        self.log_path = setup.log

    @classmethod
    @contextlib.asynccontextmanager
    async def start(
        cls,
        data_dir: Path,
        *,
        pg_bin: Path | None = None,
        pg_user: str | None = None,
        runtime_dir: Path = RUNTIME_DIRECTORY,
        settings: Mapping[str, str] | None = None,
        durable: bool = True,
    ) -> AsyncIterator[Self]:
        """A server on `data_dir/postgres`, made if missing; stopped on leaving. `durable=False` is for tests alone."""
        with contextlib.ExitStack() as resources:
            data_dir = _claim(data_dir, resources)
            account = choose_account(pg_user, data_dir / "postgres")
            binaries = await prepare(find(pg_bin), account=account, copies=runtime_dir / "programs")
            tuning = {**_TUNING, **({} if durable else _FOR_TESTS_ONLY), **(settings or {})}
            setup = _Setup(
                data_dir=data_dir,
                runtime_dir=runtime_dir,
                account=account,
                binaries=binaries,
                settings=tuning,
                durable=durable,
            )
            server = cls(setup, resources)
            try:
                await server._bring_up()
                yield server
            finally:
                await server._stop()

    @property
    def dsn(self) -> str:
        """The URL of the database `baton`, for asyncpg."""
        return self.dsn_of(DATABASE)

    def dsn_of(self, database: str) -> str:
        """The URL of any database of this server. It names the port, or PGPORT in the environment would."""
        host = urllib.parse.quote(str(self.socket_dir), safe="/")
        return f"postgresql://{USER}@/{urllib.parse.quote(database)}?host={host}&port=5432"

    @property
    def pid(self) -> int:
        """The postmaster's."""
        return self._running().pid

    async def exited(self) -> int:
        """Returns the exit code once the postmaster is gone, however that came about."""
        return await finished(self._running()) or 0

    async def keep_running(self) -> None:
        """Starts the server again whenever it dies, until cancelled; one that does not start is tried again."""
        log = structlog.get_logger().bind(data_dir=str(self._setup.data_dir))
        while True:
            log.warning("embedded_postgres_died", exit_code=await self.exited())
            try:
                await self._launch()
            except (Misconfigured, OSError) as error:
                # A full disk, most likely: whoever makes room should not have to start us as well.
                log.critical("embedded_postgres_stays_down", reason=str(error), again_in=_RELAUNCH_SECONDS)
                await asyncio.sleep(_RELAUNCH_SECONDS)

    async def _bring_up(self) -> None:
        setup = self._setup
        if not setup.cluster.exists():
            await self._initialise()
        _check_version(setup)
        self._cluster = self._open(setup.cluster)
        await self._launch()
        await self._create_database()

    async def _initialise(self) -> None:
        setup = self._setup
        output = ""
        for locale in _LOCALES:
            with _under_another_name(setup) as directory:
                command = [setup.binaries.program("initdb"), "-D", directory.name, "-U", USER, "-A", "trust"]
                command += ["-E", "UTF8", *locale, "--lc-messages=C", "--data-checksums"]
                command += [] if setup.durable else ["--no-sync"]
                code, output = await run(command, account=setup.account, directories=[directory])
                if code == 0:
                    os.replace(directory.path, setup.cluster)  # noqa: PTH105
                    return
            if not any(words in output for words in _NO_LOCALE):
                break
        raise Misconfigured(f"initdb failed in {setup.data_dir}: {output}")

    async def _launch(self) -> None:
        """Starts the postmaster; gives leftovers of a killed one (children, a pid file, a zombie) time to go away."""
        setup = self._setup
        deadline = time.monotonic() + _LEFTOVER_PATIENCE
        while True:
            if residents := await leftovers.gone(setup.cluster, deadline=deadline):
                raise Misconfigured(f"{setup.cluster} is in use by another Postgres (process {residents[0]})")
            interrupted = leftovers.pid_file(setup.cluster).exists()
            if interrupted and time.monotonic() > deadline - _LEFTOVER_PATIENCE / 2:
                leftovers.drop_pid_of_stranger(setup.cluster)
            printed_from = self._spawn()
            if await self._ready():
                return
            if not interrupted or time.monotonic() > deadline:
                said = _read_from(setup.log, printed_from)
                raise Misconfigured(f"Postgres does not start on {setup.cluster}; it says: {said}")
            await asyncio.sleep(0.1)

    def _spawn(self) -> int:
        """Starts the process; returns where in the log its output begins."""
        setup = self._setup
        if setup.log.exists() and setup.log.stat().st_size > _LONGEST_LOG:
            setup.log.replace(setup.log.with_suffix(".log.1"))
        directories = [self._sockets] + ([self._cluster] if self._cluster else [])
        command = [setup.binaries.program("postgres"), "-D", directories[-1].name, "-k", self._sockets.name]
        for name, value in setup.settings.items():
            command += ["-c", f"{name}={value}"]
        with open(setup.log, "ab", opener=_private) as log:
            begin = log.tell()
            self._process = spawn(command, account=setup.account, directories=directories, output=log)
        return begin

    async def _ready(self) -> bool:
        """Whether it came up rather than exited."""
        process = self._running()
        deadline = time.monotonic() + _START_PATIENCE
        while await finished(process, within=0.02) is None:
            if leftovers.says_ready(self._setup.cluster, pid=process.pid):
                return True
            if time.monotonic() > deadline:
                raise Misconfigured(f"Postgres is not ready after {_START_PATIENCE:.0f} s; see {self.log_path}")
        return False

    async def _create_database(self) -> None:
        connection = await asyncpg.connect(self.dsn_of("postgres"), timeout=10)
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await connection.close()

    async def _stop(self) -> None:
        process = self._process
        if process is None:
            return
        for how, patience in _STOP_LADDER:
            if process.poll() is None:
                process.send_signal(how)
            if await finished(process, within=patience) is not None:
                return

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the server was not started")
        return self._process

    def _open(self, path: Path) -> Directory:
        directory = Directory(path, self._setup.account)
        self._resources.callback(directory.close)
        return directory


def _claim(path: Path, resources: contextlib.ExitStack) -> Path:
    """Makes the data directory if missing, and takes it for this process alone."""
    path = Path(os.path.abspath(path))  # noqa: PTH100 - resolving links would show paths that nobody configured
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir()
        # Root's may hold the copied programs, which the account that runs them must be able to reach.
        path.chmod(0o711 if os.geteuid() == 0 else 0o700)
    _lock(path, resources)
    return path


@contextlib.contextmanager
def _under_another_name(setup: _Setup) -> Iterator[Directory]:
    """An empty directory for initdb, so that an interrupted one leaves nothing that looks like a cluster."""
    for abandoned in setup.data_dir.glob("postgres.new-*"):
        shutil.rmtree(abandoned)
    fresh = Path(tempfile.mkdtemp(dir=setup.data_dir, prefix="postgres.new-"))
    directory = Directory(fresh, setup.account)
    try:
        yield directory
    finally:
        directory.close()
        shutil.rmtree(fresh, ignore_errors=True)


def _read_from(log: Path, position: int) -> str:
    with log.open("rb") as file:
        file.seek(position)
        return file.read()[-4000:].decode("utf-8", "replace").strip()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _lock(data_dir: Path, resources: contextlib.ExitStack) -> None:
    """Held as long as this process lives, so that a second start fails at once and clearly."""
    file = resources.enter_context((data_dir / "postgres.lock").open("a+"))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        raise Misconfigured(f"{data_dir} is in use by another Baton (process {file.read().strip()})") from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()


def _check_version(setup: _Setup) -> None:
    found = (setup.cluster / "PG_VERSION").read_text("ascii").strip()
    if found != str(setup.binaries.major):
        raise Misconfigured(
            f"{setup.cluster} was made by Postgres {found}, and {setup.binaries.directory} holds "
            f"{setup.binaries.major}. Set BATON_PG_BIN to Postgres {found}'s programs to go on as before; to move up, "
            f"start Baton with those, run pg_dump -Fc, move {setup.cluster} away, start the new version once, "
            f"and load the dump with pg_restore"
        )


def _socket_directory(setup: _Setup) -> Path:
    """Beside the data, or, where that path would not fit a socket address, in a private directory with a short one."""
    path = setup.data_dir / "run"
    if len(os.fsencode(path / _SOCKET_FILE)) >= _LONGEST_SOCKET_PATH:
        digest = hashlib.sha256(os.fsencode(setup.data_dir.resolve())).hexdigest()[:16]
        short = setup.runtime_dir / "sockets" if os.geteuid() == 0 else Path(tempfile.gettempdir())
        path = short / f"baton-{digest}"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    is_ours = os.geteuid() in (0, status.st_uid)
    if not stat.S_ISDIR(status.st_mode) or not is_ours or status.st_mode & 0o077:
        raise Misconfigured(f"{path} must be a directory of ours with mode 0700: it takes the database's socket")
    return path
