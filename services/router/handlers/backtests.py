"""Trying a version on what came in the past: read in pages, decided in slices, added up, stopped at any moment."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import msgspec

from services.router.domain import compile as index
from services.router.domain.comparison import Difference, Tally
from services.router.domain.compile import Verdict
from services.router.domain.facts import LOOKED_UP, Facts, as_kept
from services.router.domain.outcome import Outcome
from services.router.handlers import compiling, deciding
from services.router.store import history
from services.router.store.history import Past, Place
from shared.db.transaction import Transaction
from shared.errors import RateLimited, Unavailable
from shared.host import Runtime
from shared.platform.store import channels

PURPOSE: Final = "channel.purpose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What backtests may take of a process that has messages to route, too."""

    page: int = 500
    """Decisions in memory at a time."""
    slice: int = 25
    """Messages that are decided before anything else of the process has its turn."""
    seconds: float = 300.0
    """After so long a backtest ends with what it has seen."""
    at_once: int = 2
    """In a process; in a workspace it is one."""
    tell_every: float = 0.5
    """Seconds between two lines of progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far it is."""

    messages: int
    different: int
    share: float
    """Of the time that it looks back over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The end. `ended`: done, or why it looked at less than was asked for: deadline, stopping."""

    version: int
    against: int | None
    since: str
    until: str
    ended: str
    seconds: float
    unknown: dict[str, int]
    """Messages of which a fact that the version asks for was not looked up then: they have it not set."""
    found: dict[str, Any]


Step = Progress | Difference | Report


class Backtests:
    """All backtests of a process."""

    def __init__(self, runtime: Runtime, limits: Limits = Limits()) -> None:
        self.runtime = runtime
        self.limits = limits
        self._running: Counter[str] = Counter()

    async def prepare(
        self, tx: Transaction, workspace_id: str, version: int, *, days: int, against: int | None
    ) -> "Backtest":
        """A backtest that is ready to run; refused where too many run already."""
        self._admit(workspace_id)
        return Backtest(
            home=self,
            workspace_id=workspace_id,
            version=version,
            against=against,
            length=timedelta(days=days),
            after=await _compiled(tx, workspace_id, version),
            before=await _compiled(tx, workspace_id, against) if against is not None else None,
        )

    @property
    def running(self) -> int:
        """How many run in this process."""
        return self._running.total()

    @contextmanager
    def counted(self, workspace_id: str) -> Iterator[None]:
        """While one runs."""
        self._running[workspace_id] += 1
        try:
            yield
        finally:
            self._running -= Counter({workspace_id: 1})

    def _admit(self, workspace_id: str) -> None:
        if self.runtime.stopping.is_set():
            raise Unavailable("the process is leaving: try again", headers={"Retry-After": "1"})
        if self._running[workspace_id]:
            raise RateLimited("a backtest of this workspace runs already", headers={"Retry-After": "10"})
        if self.running >= self.limits.at_once:
            raise Unavailable("other backtests run here: try again", headers={"Retry-After": "10"})


@dataclass(slots=True, kw_only=True)
class Backtest:
    """One version against what was decided then, or against another version."""

    home: Backtests
    workspace_id: str
    version: int
    against: int | None
    length: timedelta
    after: index.Ruleset
    before: index.Ruleset | None
    _tally: Tally = field(default_factory=Tally)
    _purposes: dict[str, str] = field(default_factory=dict)
    _unknown: Counter[str] = field(default_factory=Counter)
    _looked_up: list[tuple[str, Callable[[Facts], bool]]] = field(init=False)

    def __post_init__(self) -> None:
        """What has to have been looked up for both versions to decide as they would have."""
        versions = [one for one in (self.before, self.after) if one is not None]
        self._looked_up = [item for item in LOOKED_UP.items() if any(one.asks(item[0]) for one in versions)]

    async def steps(self) -> AsyncGenerator[Step, None]:
        """Progress now and then, every difference as it is found, and the report; closing it stops the work."""
        clock, limits = self.home.runtime.clock, self.home.limits
        seen = self.home.runtime.metrics.counter("baton_backtest_messages_total")
        with self.home.counted(self.workspace_id):
            started = told = clock.elapsed()
            async with self._transaction() as tx:
                place, since = await history.window(tx, length=self.length)
            until, ended = place.at, ""
            yield self._progress(0.0)
            while not ended:
                page = await self._page(place, since)
                for start in range(0, len(page), limits.slice):
                    for found in self._compare(page[start : start + limits.slice]):
                        yield found
                    await asyncio.sleep(0)
                seen.inc(len(page))
                place = page[-1].place if page else place
                ended = "done" if len(page) < limits.page else self._interruption(clock.elapsed() - started)
                if clock.elapsed() - told >= limits.tell_every:
                    told = clock.elapsed()
                    yield self._progress((until - place.at) / self.length)
            yield Report(
                version=self.version,
                against=self.against,
                since=(since if ended == "done" else place.at).isoformat(),
                until=until.isoformat(),
                ended=ended,
                seconds=round(clock.elapsed() - started, 3),
                unknown=dict(self._unknown),
                found=self._tally.report(),
            )

    def _interruption(self, elapsed: float) -> str:
        if self.home.runtime.stopping.is_set():
            return "stopping"
        return "deadline" if elapsed > self.home.limits.seconds else ""

    def _progress(self, share: float) -> Progress:
        return Progress(messages=self._tally.messages, different=self._tally.different, share=round(share, 3))

    async def _page(self, place: Place, since: Any) -> Sequence[Past]:
        async with self._transaction() as tx:
            page = await history.page(tx, self.workspace_id, before=place, since=since, limit=self.home.limits.page)
            if self.after.asks(PURPOSE) or (self.before is not None and self.before.asks(PURPOSE)):
                unknown = {past.facts.get("channel", "") for past in page} - self._purposes.keys()
                if unknown:
                    self._purposes |= dict.fromkeys(unknown, "") | await channels.purposes(tx, unknown)
        return page

    def _compare(self, some: Sequence[Past]) -> Iterator[Difference]:
        for past in some:
            facts = self._facts(past)
            self._unknown.update(name for name, was_looked_up in self._looked_up if not was_looked_up(facts))
            before = self.before.decide(facts) if self.before is not None else _then(past)
            after = self.after.decide(facts)
            if found := self._tally.add(past.message_id, past.place.at, facts, before, after):
                yield found

    def _facts(self, past: Past) -> Facts:
        """As they were; what nobody had asked for when it was decided is taken as it is now."""
        facts = as_kept(past.facts)
        if facts.purpose is None and (purpose := self._purposes.get(facts.channel)):
            return msgspec.structs.replace(facts, purpose=purpose)
        return facts

    def _transaction(self) -> AbstractAsyncContextManager[Transaction]:
        return self.home.runtime.transaction(self.workspace_id)


async def _compiled(tx: Transaction, workspace_id: str, version: int) -> index.Ruleset:
    found = await deciding.load(tx, workspace_id, version)
    return await compiling.compiled(found.document)


def _then(past: Past) -> Verdict:
    # Evidence of the first release was places in the text.
    matched = tuple(name for name in past.matched if isinstance(name, str))
    return Verdict(rule=past.rule, action=msgspec.convert(past.action, Outcome), matched=matched)
