"""Who reads what: members that are alive, and the shards that each of them should own."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from zlib import crc32

from shared.db.transaction import Transaction

_JOIN: Final = """
INSERT INTO log.member (consumer_group, member, topics, expires_at)
VALUES ($1, $2, $3, clock_timestamp() + $4)
ON CONFLICT (consumer_group, member) DO UPDATE SET topics = EXCLUDED.topics, expires_at = EXCLUDED.expires_at
RETURNING xmax = 0 AS is_new
"""
_MEMBERS: Final = """
SELECT member, topics FROM log.member WHERE consumer_group = $1 AND expires_at > clock_timestamp() ORDER BY member
"""
_SHARDS: Final = """
SELECT s.id, s.topic, s.partition, c.position, c.epoch, c.owner
FROM log.shard s LEFT JOIN log.cursor c ON c.consumer_group = $1 AND c.shard = s.id
WHERE s.topic = ANY ($2) ORDER BY s.id
"""
_CREATE: Final = """
INSERT INTO log.cursor (consumer_group, shard, position)
SELECT $1, id, first_position FROM log.shard WHERE id = ANY ($2) ON CONFLICT DO NOTHING
"""
_RELEASE: Final = """
UPDATE log.cursor SET owner = NULL WHERE consumer_group = $1 AND owner = $2 AND shard = ANY ($3)
"""
_TAKE: Final = """
UPDATE log.cursor c SET owner = $2, epoch = c.epoch + 1
FROM (
    SELECT f.shard FROM log.cursor f
    WHERE f.consumer_group = $1 AND f.shard = ANY ($3) AND (f.owner IS NULL OR f.owner = $2 OR NOT EXISTS (
        SELECT FROM log.member m
        WHERE m.consumer_group = f.consumer_group AND m.member = f.owner AND m.expires_at > clock_timestamp()
    ))
    FOR UPDATE SKIP LOCKED
) free
WHERE c.consumer_group = $1 AND c.shard = free.shard
RETURNING c.shard, c.epoch, c.position, c.ctid::text AS row
"""
_LEAVE: Final = """
WITH gone AS (DELETE FROM log.member WHERE consumer_group = $1 AND member = $2)
UPDATE log.cursor SET owner = NULL WHERE consumer_group = $1 AND owner = $2
"""
_FORGET_DEAD: Final = """
DELETE FROM log.member WHERE consumer_group = $1 AND expires_at < clock_timestamp() - interval '1 hour'
"""


@dataclass(frozen=True, slots=True)
class Membership:
    """One member of one group, and what it wants to read."""

    group: str
    member: str
    topics: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """A group's place in one shard; `epoch` is 0 where nobody ever took it."""

    shard: int
    topic: str
    partition: int
    epoch: int
    owner: str | None
    exists: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """A shard that is the member's from now on."""

    epoch: int
    position: int
    row: str
    """Where its row lies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one member should give and take now."""

    release: frozenset[int]
    take: frozenset[int]
    topics: Mapping[int, tuple[str, int]]
    """Topic and partition of each shard."""
    is_even: bool
    """It holds its share already: as long as the members are the same, there is nothing to give or to take."""


def plan(
    me: str,
    members: Mapping[str, Collection[str]],
    cursors: Sequence[Cursor],
    held: Mapping[int, int],
) -> Plan:
    """The difference between what `me` holds (epoch by shard) and its fair share of every topic.

    Every member computes the same shares from the same rows; those that saw other rows only wait for each other,
    because nothing is taken that a living member owns.
    """
    release: set[int] = set()
    take: set[int] = set()
    is_even = True
    for topic in {cursor.topic for cursor in cursors}:
        shards = [cursor for cursor in cursors if cursor.topic == topic]
        mine = [c.shard for c in shards if c.owner == me and held.get(c.shard) == c.epoch]
        quota = share(me, [name for name in sorted(members) if topic in members[name]], len(shards), topic)
        release.update(mine[quota:])
        free = [c.shard for c in shards if c.shard not in mine and (c.owner in (None, me) or c.owner not in members)]
        take.update(free[: max(0, quota - len(mine))])
        is_even = is_even and len(mine) == quota
    return Plan(
        release=frozenset(release),
        take=frozenset(take),
        topics={cursor.shard: (cursor.topic, cursor.partition) for cursor in cursors},
        is_even=is_even,
    )


def share(me: str, members: Sequence[str], shards: int, topic: str) -> int:
    """How many shards of a topic a member should own; who gets one more differs by topic, so that it evens out."""
    even, rest = divmod(shards, len(members))
    place = (members.index(me) + crc32(topic.encode())) % len(members)
    return even + (place < rest)


async def beat(tx: Transaction, membership: Membership, ttl: timedelta) -> tuple[bool, dict[str, list[str]]]:
    """Renews the membership; returns whether it is a new one, and all living members with their topics."""
    topics = list(membership.topics)
    is_new: bool = await tx.fetchval(_JOIN, membership.group, membership.member, topics, ttl)
    others = {row["member"]: row["topics"] for row in await tx.fetch(_MEMBERS, membership.group)}
    return is_new, {**others, membership.member: topics}


async def forget_dead(tx: Transaction, membership: Membership) -> None:
    """Removes what is left of members that crashed long ago."""
    await tx.execute(_FORGET_DEAD, membership.group)


async def load(tx: Transaction, membership: Membership) -> list[Cursor]:
    """The group's place in every shard of the member's topics."""
    return [
        Cursor(
            shard=row["id"],
            topic=row["topic"],
            partition=row["partition"],
            epoch=row["epoch"] or 0,
            owner=row["owner"],
            exists=row["epoch"] is not None,
        )
        for row in await tx.fetch(_SHARDS, membership.group, list(membership.topics))
    ]


async def create(tx: Transaction, membership: Membership, cursors: Sequence[Cursor]) -> None:
    """Gives the group a place in shards where it has none: the oldest record that is retained."""
    missing = [cursor.shard for cursor in cursors if not cursor.exists]
    if missing:
        await tx.execute(_CREATE, membership.group, missing)


async def release(tx: Transaction, membership: Membership, shards: Collection[int]) -> None:
    """Gives shards up."""
    if shards:
        await tx.execute(_RELEASE, membership.group, membership.member, list(shards))


async def take(tx: Transaction, membership: Membership, shards: Collection[int]) -> dict[int, Taken]:
    """Takes those of `shards` that are free.

    Its own count as free: an earlier take may have been committed although its answer was lost.
    """
    if not shards:
        return {}
    rows = await tx.fetch(_TAKE, membership.group, membership.member, list(shards))
    return {row["shard"]: Taken(row["epoch"], row["position"], row["row"]) for row in rows}


async def leave(tx: Transaction, membership: Membership) -> None:
    """Ends the membership: its shards are free at once."""
    await tx.execute(_LEAVE, membership.group, membership.member)
