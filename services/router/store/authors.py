"""Everybody who ever wrote, so that a first message can be told from a second one."""

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from shared.db.transaction import Transaction

_REMEMBER: Final = """
INSERT INTO router.author (workspace_id, account) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING
"""
_GREET: Final = f"{_REMEMBER} RETURNING workspace_id, account"


class Author(NamedTuple):
    """An account that writes to a workspace."""

    workspace_id: str
    account: str


def remember(tx: Transaction, writers: Iterable[Author]) -> None:
    """They wrote; written with the batch's next statement."""
    if rows := _rows(writers):
        tx.defer(_REMEMBER, *rows)


async def greet(tx: Transaction, writers: Collection[Author]) -> set[Author]:
    """Those who write for the first time; whoever greets the same one at this moment waits and finds him known."""
    return {Author(*row) for row in await tx.fetch(_GREET, *(_rows(writers) or ([], [])))}


def _rows(writers: Iterable[Author]) -> tuple[list[str], list[str]] | None:
    # In one order everywhere, so that no two batches wait for each other in a circle.
    rows = sorted(set(writers))
    return ([workspace for workspace, _ in rows], [account for _, account in rows]) if rows else None
