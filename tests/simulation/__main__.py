"""`python -m tests.simulation SEED`: plays one seed and prints its trace, or many and prints what fails."""

import argparse
import asyncio
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.simulation.harness import Harness
    from tests.simulation.process import Blueprint

SETTINGS: Final = {
    "BATON_REPLY_POLL_MS": "2000",
    "BATON_REPLY_CLAIM_MS": "6000",
    "BATON_REPLY_FRESH_MS": "1500",
    "BATON_REPLY_TIMEOUT_MS": "3000",
    "BATON_QUERY_BACKOFF_MS": "5000",
    "BATON_FEED_POLL_MS": "4000",
    "BATON_LANE_REFRESH_MS": "9000",
    "BATON_LANE_TTL_MS": "20000",
    "BATON_NORMALIZER_POLL_MS": "2000",
    "BATON_NORMALIZER_HEARTBEAT_MS": "5000",
    "BATON_NORMALIZER_TTL_MS": "11000",
}
"""Polls are rare, for each is a statement; what ends by itself ends soon, for a seed is short."""


def main() -> int:
    """Exit code 1 when a promise did not hold, or when a product that is broken on purpose seems whole."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of sets of strings is part of what a seed stands for.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    asked = _asked()
    os.environ.update(SETTINGS)
    from tests.simulation.harness import BLOCK, prepare
    from tests.simulation.process import Blueprint
    from tests.simulation.sabotage import SABOTAGE
    from tests.support.postgres import blocking, drop_database

    seeds = range(asked.seed, asked.seed + asked.count)
    with _server(asked.maintenance) as maintenance:
        template = f"baton_simulation_{os.getpid()}"
        prepare(maintenance, template)
        # Imported and built once, then forked.
        work = Work(maintenance, template, Blueprint(), is_told=asked.trace)
        try:
            if asked.sabotage:
                return max(_forked(lambda way=way: work.broken(way, asked.count)) for way in SABOTAGE)  # type: ignore[misc]
            jobs = [[seed for seed in seeds if (seed - 1) // BLOCK % asked.jobs == job] for job in range(asked.jobs)]
            children = [_fork(lambda part=part: work.play(part), core) for core, part in enumerate(jobs)]  # type: ignore[misc]
            return max(_ended(child) for child in children)
        finally:
            blocking(drop_database(maintenance, template))


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int, help="the first seed, or the only one")
    parser.add_argument("--count", type=int, default=1, help="how many seeds")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--trace", action="store_true", help="print what happened also where nothing failed")
    parser.add_argument("--sabotage", action="store_true", help="break the product in every known way, one at a time")
    parser.add_argument("--maintenance", help="a server to use, as a DSN of its database `postgres`")
    return parser.parse_args()


@dataclass(frozen=True, slots=True)
class Work:
    """What a forked process does, on a database of its own."""

    maintenance: str
    template: str
    blueprint: "Blueprint"
    is_told: bool

    def play(self, seeds: Sequence[int]) -> int:
        """Every seed; those that fail are told whole."""
        count = failed = statements = 0
        started = time.monotonic()
        with self._harness() as harness:
            for seed in seeds:
                story = harness.run(seed)
                count += 1
                statements += story.statements
                failed += bool(story.faults)
                if story.faults:
                    _say(f"seed {seed} fails; replay it with `make simulate SEED={seed}`", *story.faults, sep="\n  ")
                if story.faults or self.is_told:
                    _say(*story.trace, sep="\n")
        spent = time.monotonic() - started
        _say(f"{count} seeds, {failed} failed, {statements} statements, {spent:.1f} s")
        return 1 if failed else 0

    def broken(self, way: str, most: int) -> int:
        """Until a seed notices that the product is broken in this way."""
        from tests.simulation.sabotage import SABOTAGE

        sabotage, first = SABOTAGE[way]
        sabotage()
        with self._harness() as harness:
            for number, seed in enumerate(range(first, first + most), 1):
                if faults := harness.run(seed).faults:
                    _say(f"{way}: noticed by seed {seed}, the {number}. one: {faults[0]}")
                    # What does not fit the product any more breaks it in no way that a promise forbids.
                    return int("TypeError" in faults[0] or "AttributeError" in faults[0])
        _say(f"{way}: not noticed by {most} seeds")
        return 1

    @contextmanager
    def _harness(self) -> "Iterator[Harness]":
        from tests.simulation.harness import Harness
        from tests.support.postgres import blocking, drop_database, execute, in_database

        name = f"{self.template}_{os.getpid()}"
        blocking(execute(self.maintenance, f"CREATE DATABASE {name} TEMPLATE {self.template}"))
        blocking(execute(self.maintenance, f"ALTER DATABASE {name} SET search_path = sim, pg_catalog, public"))
        harness = Harness(in_database(self.maintenance, name), self.blueprint)
        try:
            yield harness
        finally:
            harness.close()
            blocking(drop_database(self.maintenance, name))


def _say(*lines: str, sep: str = "\n") -> None:
    sys.stdout.write(sep.join(lines) + "\n")


def _fork(work: Callable[[], int], core: int = 0) -> int:
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        # It and its sessions in the server work in turns: to wake another core for each costs a third of the time.
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[core % len(cores)]})
        code = work()
    except BaseException:  # noqa: BLE001 - the parent must not go on twice
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(code)


def _ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _forked(work: Callable[[], int]) -> int:
    return _ended(_fork(work))


@contextmanager
def _server(maintenance: str | None) -> Iterator[str]:
    if maintenance:
        yield maintenance
        return
    from shared.db.embedded import EmbeddedPostgres

    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        opening = EmbeddedPostgres.start(Path(folder), durable=False)
        server = runner.run(opening.__aenter__())
        try:
            yield server.dsn_of("postgres")
        finally:
            runner.run(opening.__aexit__(None, None, None))


if __name__ == "__main__":
    sys.exit(main())
