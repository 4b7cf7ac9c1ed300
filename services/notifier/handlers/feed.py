"""Every event of a ticket or a surge gets its number, and goes to whoever follows the feed."""

from collections.abc import Callable, Sequence

from services.notifier.domain.feed import Entry, fact_of
from services.notifier.handlers import moderations, requests
from services.notifier.store import feed
from shared.db.transaction import Transaction
from shared.events.envelope import Event


class TicketEvents:
    """The consumer of tickets and surges; `wake` stirs the senders, `offer` hands new entries to their followers."""

    def __init__(self, *, wake: Callable[[], None], offer: Callable[[Sequence[Entry]], None]) -> None:
        self._wake = wake
        self._offer = offer

    async def on_events(self, tx: Transaction, events: Sequence[Event]) -> None:
        """One batch: replies first, under their tickets' locks; the feed last, to hold its counters briefly."""
        has_replies, has_moderations = await requests.apply(tx, events), await moderations.take(tx, events)
        if has_replies or has_moderations:
            tx.after_commit(self._wake)
        facts = [fact for event in events if (fact := fact_of(event.id, event.type, event.data))]
        if not facts:
            return
        if entries := await feed.append(tx, facts):
            tx.after_commit(lambda: self._offer(entries))
