"""The feed in pages, for those who would rather ask than listen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.notifier.domain.feed import Entry, Filter
from services.notifier.store import feed as store
from shared.db.transaction import Transaction
from shared.errors import Refusal

LOOKED_AT: Final = 10_000
"""Entries that one page looks at: a filter that lets nearly nothing pass must not read the whole feed."""


class FeedExpired(Refusal):
    """What follows the given number is not kept any more: read the lists, then go on from `last`."""

    status = 410
    code = "feed-expired"
    title = "The feed does not reach back so far"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some changes, and from where to go on: past those that the filter left out, too."""

    entries: Sequence[Entry]
    next_after: int
    has_more: bool


async def page(tx: Transaction, workspace_id: str, *, after: int | None, limit: int, chosen: Filter) -> Page:
    """Changes behind `after`, or from the oldest that is kept; FeedExpired when some behind `after` are gone."""
    first, last = await store.bounds(tx, workspace_id)
    after = first - 1 if after is None else after
    if after < first - 1:
        raise FeedExpired(f"the feed begins with number {first}", first=first, last=last)
    through = min(last, after + LOOKED_AT)
    entries = await store.page(tx, workspace_id, after=after, through=through, limit=limit, chosen=chosen)
    next_after = entries[-1].number if len(entries) == limit else max(after, through)
    return Page(
        entries=[shown for entry in entries if (shown := chosen.shown(entry))],
        next_after=next_after,
        has_more=next_after < last,
    )
