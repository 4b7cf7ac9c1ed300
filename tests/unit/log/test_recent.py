"""What a process has appended itself is read by place, without a gap, or not at all."""

from collections.abc import Iterator

import pytest

from shared.db.appending import Appended
from shared.events.envelope import Encoded
from shared.log.postgres.recent import OVERHEAD, Recent
from tests.support.logs import encoded

ONE, TWO, THREE = (encoded("k", name) for name in ("one", "two", "three"))


@pytest.fixture
def recent() -> Iterator[Recent]:
    recent = Recent()
    with recent.reading():
        yield recent


def appended(**events: Encoded) -> Appended:
    return Appended(list(events.values()), [1] * len(events), [int(name[1:]) for name in events])


def test_events_are_read_at_the_places_that_they_were_given(recent: Recent) -> None:
    recent.add(appended(_7=ONE, _8=TWO, _9=THREE))
    recent.place(1, 40, [7, 9])
    recent.place(2, 0, [8])
    assert recent.read(1, 40, 10) == [ONE, THREE]
    assert recent.read(1, 41, 10) == [THREE]
    assert recent.read(1, 40, 1) == [ONE]
    assert recent.read(2, 0, 10) == [TWO]


def test_nothing_is_read_behind_an_event_of_another_process(recent: Recent) -> None:
    recent.add(appended(_7=ONE, _9=THREE))
    recent.place(1, 0, [7, 8, 9])
    assert recent.read(1, 0, 10) == [ONE]
    assert recent.read(1, 1, 10) == []
    assert recent.read(1, 2, 10) == [THREE]


def test_a_place_that_comes_before_its_commit_is_heard_of_waits_for_it(recent: Recent) -> None:
    recent.place(1, 0, [7, 8])
    assert recent.read(1, 0, 10) == []
    recent.add(appended(_7=ONE, _8=TWO))
    assert recent.read(1, 0, 10) == [ONE, TWO]


def test_the_oldest_are_forgotten_first() -> None:
    recent = Recent(most_bytes=len(TWO.value) + len(THREE.value) + 2 * OVERHEAD)
    with recent.reading():
        recent.add(appended(_1=ONE, _2=TWO))
        recent.place(1, 0, [1, 2])
        recent.add(appended(_3=THREE))
        recent.place(1, 2, [3])
        assert recent.read(1, 0, 10) == []
        assert recent.read(1, 1, 10) == [TWO, THREE]


def test_events_that_are_never_placed_are_forgotten_too() -> None:
    recent = Recent(most_bytes=len(TWO.value) + OVERHEAD)
    with recent.reading():
        recent.add(appended(_1=ONE))
        recent.add(appended(_2=TWO))
        recent.place(1, 0, [1, 2])
        assert recent.read(1, 0, 10) == []
        assert recent.read(1, 1, 10) == [TWO]


def test_after_a_crash_nothing_is_known(recent: Recent) -> None:
    recent.add(appended(_1=ONE, _2=TWO))
    recent.place(1, 0, [1, 3])
    recent.forget()
    recent.place(1, 1, [2])
    recent.add(appended(_3=THREE))
    assert recent.read(1, 0, 10) == recent.read(1, 1, 10) == []


def test_what_is_missing_is_known_to_be_there(recent: Recent) -> None:
    assert recent.end(1) is None
    recent.place(1, 40, [7, 8])
    assert (recent.read(1, 40, 10), recent.end(1)) == ([], 42)


def test_nothing_is_kept_that_nobody_reads() -> None:
    recent = Recent()
    recent.add(appended(_1=ONE))
    with recent.reading():
        recent.place(1, 0, [1])
        assert recent.read(1, 0, 10) == []
        recent.add(appended(_2=TWO))
        recent.place(1, 1, [2])
        assert recent.read(1, 1, 10) == [TWO]
    with recent.reading():
        assert (recent.read(1, 1, 10), recent.end(1)) == ([], None)


def test_what_all_have_read_is_let_go() -> None:
    recent = Recent()
    with recent.reading() as quick, recent.reading() as slow:
        recent.add(appended(_1=ONE, _2=TWO, _3=THREE))
        recent.place(1, 0, [1, 2, 3])
        assert slow.read(1, 0, 1) == [ONE]
        assert quick.read(1, 0, 3) == [ONE, TWO, THREE]
        assert quick.read(1, 3, 3) == []
        assert recent.read(1, 0, 3) == [ONE, TWO, THREE]
        assert slow.read(1, 1, 1) == [TWO]
        assert recent.read(1, 0, 3) == []
        assert recent.read(1, 1, 3) == [TWO, THREE]
        assert slow.read(1, 3, 1) == []
        assert recent._bytes == 0


def test_who_has_left_a_shard_holds_up_nobody() -> None:
    recent = Recent()
    with recent.reading() as staying, recent.reading() as leaving:
        recent.add(appended(_1=ONE, _2=TWO))
        recent.place(1, 0, [1, 2])
        leaving.read(1, 0, 1)
        staying.read(1, 2, 1)
        assert recent.read(1, 0, 2) == [ONE, TWO]
        leaving.leave(1)
        assert recent.read(1, 0, 2) == recent.read(1, 1, 1) == []
        assert recent._bytes == 0


def test_who_reads_again_what_was_let_go_asks_the_database() -> None:
    recent = Recent()
    with recent.reading() as reader:
        recent.add(appended(_1=ONE, _2=TWO))
        recent.place(1, 0, [1, 2])
        reader.read(1, 2, 1)
        assert (reader.read(1, 0, 2), reader.end(1)) == ([], 2)
