"""Who owns which shards: members that are alive by the database's clock, and their fair share of rows with an owner."""

from dataclasses import dataclass
from datetime import timedelta

from shared.db.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Share:
    """What a member owns, and what it should own."""

    owned: int
    fair: int
    all: int
    """Shards in all."""


class Shares:
    """Shards of one table, `id` and `owner`, among the members of another, `id` and `expires_at`.

    A lease and no session lock: a paused process keeps its connection, but not its share. Nothing is taken from a
    member that lives, and nothing that a transaction works on.
    """

    def __init__(self, *, shards: str, members: str) -> None:
        self._beat = (
            f"INSERT INTO {members} (id, expires_at) VALUES ($1, clock_timestamp() + $2) "
            "ON CONFLICT (id) DO UPDATE SET expires_at = EXCLUDED.expires_at"
        )
        self._count = (
            f"SELECT (SELECT count(*) FROM {members} WHERE expires_at > clock_timestamp()) AS members, "
            f"(SELECT count(*) FROM {shards} WHERE owner = $1) AS owned, (SELECT count(*) FROM {shards}) AS shards"
        )
        self._give = (
            f"UPDATE {shards} SET owner = NULL "
            f"WHERE id IN (SELECT id FROM {shards} WHERE owner = $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)"
        )
        self._take = (
            f"UPDATE {shards} SET owner = $1 WHERE id IN (SELECT s.id FROM {shards} s WHERE s.owner IS NULL "
            f"OR NOT EXISTS (SELECT FROM {members} m WHERE m.id = s.owner AND m.expires_at > clock_timestamp()) "
            "ORDER BY s.id LIMIT $2 FOR UPDATE SKIP LOCKED)"
        )
        self._leave = (
            f"WITH gone AS (DELETE FROM {members} WHERE id = $1 OR expires_at < clock_timestamp() - interval '1 hour') "
            f"UPDATE {shards} SET owner = NULL WHERE owner = $1"
        )

    async def beat(self, tx: Transaction, member: str, *, ttl: timedelta) -> Share:
        """Says that the member lives, and what its share is; the transaction scans."""
        await tx.execute(self._beat, member, ttl)
        row = await tx.fetchrow(self._count, member)
        assert row is not None  # noqa: S101 - an aggregate always gives one row
        return Share(owned=row["owned"], fair=-(-row["shards"] // max(row["members"], 1)), all=row["shards"])

    async def give(self, tx: Transaction, member: str, count: int) -> int:
        """Gives some shards back, none that a transaction works on."""
        return await tx.execute(self._give, member, count)

    async def take(self, tx: Transaction, member: str, count: int) -> int:
        """Takes shards that nobody alive owns; never waits, so one in use stays where it is."""
        return await tx.execute(self._take, member, count)

    async def leave(self, tx: Transaction, member: str) -> None:
        """Gives everything back, so that others need not wait for the TTL."""
        await tx.execute(self._leave, member)
