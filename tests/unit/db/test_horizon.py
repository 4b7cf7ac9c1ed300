"""No event that is committed is left behind the place from which the queue is looked at, in whatever order all happens."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.db.horizon import Horizon


@dataclass
class Server:
    """Numbers and ids as Postgres gives them, and a queue of which a look moves what it sees."""

    numbers: int = 100
    ids: int = 0
    open: dict[int, list[int]] = field(default_factory=dict)
    """Ids of each transaction that has a number and has not ended."""
    queue: set[int] = field(default_factory=set)
    horizon: Horizon = field(default_factory=Horizon)

    def begin(self) -> None:
        self.numbers += 1
        self.open[self.numbers] = []

    def append(self, which: int) -> None:
        if self.open:
            self.ids += 1
            self._one(which).append(self.ids)

    def end(self, which: int, *, commits: bool) -> None:
        if self.open:
            number = sorted(self.open)[which % len(self.open)]
            ids = self.open.pop(number)
            self.queue.update(ids if commits else ())

    def look(self, *, skips: bool) -> None:
        oldest = min(self.open, default=self.numbers + 1)
        found = set() if skips else {each for each in self.queue if each > self.horizon.after}
        self.queue -= found
        number = None
        if found:
            self.numbers += 1
            number = self.numbers
        self.horizon.looked(oldest=oldest, number=number, greatest=max(found, default=0), is_complete=not skips)

    def _one(self, which: int) -> list[int]:
        return self.open[sorted(self.open)[which % len(self.open)]]


@dataclass
class Relayed(Server):
    """What a look sees goes with the next one, and only as far as it was acknowledged by then."""

    most: int = 3
    acknowledged: set[int] = field(default_factory=set)

    def look(self, *, skips: bool) -> None:
        oldest = min(self.open, default=self.numbers + 1)
        number = None
        if self.acknowledged:
            self.numbers += 1
            number = self.numbers
        found = sorted(each for each in self.queue - self.acknowledged if each > self.horizon.after)[: self.most]
        self.queue -= self.acknowledged
        self.acknowledged = set(found[:1] if skips else found)
        self.horizon.looked(
            oldest=oldest,
            number=number,
            greatest=found[-1] if found else 0,
            left=found[0] if found else None,
            is_complete=len(found) < self.most,
        )


@dataclass
class Taken(Server):
    """A look writes nothing; some of what it saw may be taken out before the next one, in a transaction of its own."""

    most: int = 3

    def look(self, *, skips: bool) -> None:
        oldest = min(self.open, default=self.numbers + 1)
        found = sorted(each for each in self.queue if each > self.horizon.after)[: self.most]
        self.horizon.looked(
            oldest=oldest,
            number=self.numbers + 1,
            greatest=found[-1] if found else 0,
            left=found[0] if found else None,
            is_complete=len(found) < self.most,
        )
        self.numbers += 1
        self.queue -= set(found[:1] if skips else found)


STEPS = st.one_of(
    st.tuples(st.just("begin")),
    st.tuples(st.just("append"), st.integers(0, 9)),
    st.tuples(st.just("commit"), st.integers(0, 9)),
    st.tuples(st.just("undo"), st.integers(0, 9)),
    st.tuples(st.just("look"), st.booleans()),
)


@pytest.mark.parametrize("make", [Server, Relayed, Taken])
@settings(max_examples=500)
@given(steps=st.lists(STEPS, max_size=60))
def test_what_is_committed_is_found(make: type[Server], steps: list[tuple]) -> None:  # type: ignore[type-arg]
    server = make()
    for step in steps:
        match step:
            case ("begin",):
                server.begin()
            case ("append", which):
                server.append(which)
            case ("look", skips):
                server.look(skips=skips)
            case (how, which):
                server.end(which, commits=how == "commit")
    while server.open:
        server.end(0, commits=True)
    for _ in range(60):
        server.look(skips=False)
    assert server.queue == set()


def test_it_moves_on_where_everybody_ends() -> None:
    server = Server()
    for _ in range(5):
        server.begin()
        server.append(0)
        server.end(0, commits=True)
        server.look(skips=False)
    assert server.horizon.after == 4


def test_it_stays_while_somebody_who_may_have_an_id_goes_on() -> None:
    server = Server()
    server.begin()
    server.append(0)
    for _ in range(5):
        server.begin()
        server.append(1)
        server.end(1, commits=True)
        server.look(skips=False)
    assert server.horizon.after == 0
