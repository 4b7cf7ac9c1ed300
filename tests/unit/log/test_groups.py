"""Members that see the same rows share every topic's shards fairly, and settle."""

from hypothesis import given
from hypothesis import strategies as st

from shared.log.postgres.groups import Cursor, plan, share

NAMES = st.sets(st.text("abcdef", min_size=1, max_size=3), min_size=1, max_size=7)
TOPICS = ("messages", "routing", "tickets")


def rows(owners: dict[tuple[str, int], str | None], epochs: dict[tuple[str, int], int]) -> list[Cursor]:
    return [
        Cursor(
            shard=shard_of(topic, n),
            topic=topic,
            partition=n,
            epoch=epochs[topic, n],
            owner=owner,
            exists=True,
        )
        for (topic, n), owner in owners.items()
    ]


def shard_of(topic: str, number: int) -> int:
    return TOPICS.index(topic) * 100 + number


@given(members=NAMES, shards=st.integers(1, 16), topic=st.sampled_from(TOPICS))
def test_shares_cover_all_shards_and_differ_by_at_most_one(members: set[str], shards: int, topic: str) -> None:
    shares = [share(name, sorted(members), shards, topic) for name in members]
    assert sum(shares) == shards
    assert max(shares) - min(shares) <= 1


@given(data=st.data(), members=NAMES, shards=st.integers(1, 9))
def test_whatever_the_start_each_shard_ends_with_one_living_owner(
    data: st.DataObject, members: set[str], shards: int
) -> None:
    places = [(topic, n) for topic in TOPICS for n in range(shards)]
    anybody = st.one_of(st.none(), st.sampled_from([*sorted(members), "dead"]))
    owners = {place: data.draw(anybody) for place in places}
    epochs = dict.fromkeys(places, 1)
    held = {name: {shard_of(*p): 1 for p in places if owners[p] == name} for name in members}
    living = dict.fromkeys(members, TOPICS)
    for _ in range(3):
        for name in data.draw(st.permutations(sorted(members))):
            decision = plan(name, living, rows(owners, epochs), held[name])
            assert not (decision.is_even and (decision.take or decision.release))
            for place in places:
                shard = shard_of(*place)
                if shard in decision.release:
                    owners[place] = None
                    del held[name][shard]
                if shard in decision.take:
                    assert owners[place] in (None, name, "dead")
                    owners[place] = name
                    epochs[place] += 1
                    held[name][shard] = epochs[place]
    assert set(owners.values()) <= members
    assert all(plan(name, living, rows(owners, epochs), held[name]).is_even for name in members)
    for topic in TOPICS:
        counts = [sum(owners[topic, n] == name for n in range(shards)) for name in members]
        assert max(counts) - min(counts) <= 1


def test_a_member_reads_only_the_topics_it_asked_for() -> None:
    owners = {("messages", 0): None, ("messages", 1): None}
    cursors = rows(owners, dict.fromkeys(owners, 0))
    decision = plan("a", {"a": ["messages"], "b": ["routing"]}, cursors, {})
    assert decision.take == {0, 1}


def test_a_shard_taken_in_an_unclear_commit_is_taken_again() -> None:
    owners: dict[tuple[str, int], str | None] = {("messages", 0): "a"}
    decision = plan("a", {"a": ["messages"]}, rows(owners, {("messages", 0): 5}), {})
    assert decision.take == {0}


def test_a_living_members_shard_is_never_taken() -> None:
    owners: dict[tuple[str, int], str | None] = {("messages", 0): "b", ("messages", 1): "b"}
    decision = plan("a", {"a": ["messages"], "b": ["messages"]}, rows(owners, dict.fromkeys(owners, 1)), {})
    assert decision.take == frozenset()
    assert not decision.is_even
