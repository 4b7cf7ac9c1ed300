"""Up to where a queue needs no more looking."""

from dataclasses import dataclass
from typing import Final

LIFE: Final = "(SELECT min(id) FROM log.life)"
"""SQL: of the server, from its start to the crash that may take the end of its log; NULL: nobody has named it yet."""


@dataclass(slots=True)
class Horizon:
    """Ids that are surely in a queue no more, nor ever will be: of events, or of places in the inbox's queue.

    What was deleted stays in the queue's index until the last transaction that could still see it has ended, be it a
    backup that takes an hour, and whoever looks for the first row reads over all of it.

    A transaction has a number before it has such an id (whoever inserts sees to it), and both only grow. So of whoever
    got an id before a look, the number is below that of the look; once every transaction below that has ended, one more
    look finds what is left up to the greatest id that was known by then.

    Of one server's life: after a crash it may give an id again.
    """

    after: int = 0
    """Where to look from."""
    _greatest: int = 0
    _mark: int = 0
    _number: int | None = None

    def looked(
        self, *, oldest: int, number: int | None, greatest: int, is_complete: bool, left: int | None = None
    ) -> None:
        """What a look has found: everything from `after` on, if it is complete.

        `oldest`: the first transaction that it may not have seen; `number`: its own, or the next that the server would
        give, if either is known; `greatest`: of the ids that it has found, or 0; `left`: the first of these that is in
        the queue still.
        """
        self._greatest = max(self._greatest, greatest)
        if self._number is not None and is_complete and oldest >= self._number:
            self.after = self._mark if left is None else min(self._mark, left - 1)
            self._number = None
        if self._number is None and number is not None:
            self._mark, self._number = self._greatest, number
