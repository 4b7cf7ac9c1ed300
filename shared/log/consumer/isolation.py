"""Finds what fails in a batch: halves until a key stands alone, then goes through its events in order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from shared.db.pool import AWAY
from shared.db.transaction import Transaction
from shared.errors import Rejected, Retryable
from shared.log.consumer.consume import Beforehand, Handler, PoisonFlood, PoisonLimit
from shared.log.consumer.parking import Waiting


@dataclass(slots=True)
class Outcome:
    """What became of the events of one key."""

    rejected: list[tuple[Waiting, Rejected]] = field(default_factory=list)
    handled: list[Waiting] = field(default_factory=list)
    left: Sequence[Waiting] = ()
    """The event that failed, and those behind it."""
    error: Exception | None = None

    @property
    def is_clean(self) -> bool:
        """Everything was handled."""
        return not self.rejected and self.error is None


async def attempt(tx: Transaction, handler: Handler, items: Sequence[Waiting]) -> None:
    """Handles events so that, if it fails, nothing of it stays; their own events are written, so that they count."""
    events = [item.event for item in items if item.event is not None]
    async with tx.savepoint():
        tx.traceparent = events[0].traceparent
        await handler(tx, events)
        await tx.flush()


async def in_order(tx: Transaction, handler: Handler, items: Sequence[Waiting], *, is_stuck: bool = False) -> Outcome:
    """The events of one key: what is rejected is left out, what fails otherwise keeps the rest behind it.

    A dependency that is away is raised, unless it seems to be away for this key only (`is_stuck`).
    """
    outcome = Outcome()
    whole = [item for item in items if item.fault is None]
    outcome.rejected = [(item, item.fault) for item in items if item.fault is not None]
    if len(whole) > 1:
        try:
            await attempt(tx, handler, whole)
        except Exception as error:  # noqa: BLE001 - looked at event by event below
            _raise_if_away(error, is_stuck=is_stuck)
        else:
            outcome.handled = whole
            return outcome
    for number, item in enumerate(whole):
        try:
            await attempt(tx, handler, [item])
        except Rejected as error:
            outcome.rejected.append((item, error))
        except Exception as error:  # noqa: BLE001 - a bug, or the dependency of this key alone
            _raise_if_away(error, is_stuck=is_stuck)
            outcome.left, outcome.error = whole[number:], error
            break
        else:
            outcome.handled.append(item)
    return outcome


def _raise_if_away(error: Exception, *, is_stuck: bool) -> None:
    if isinstance(error, Beforehand) or (isinstance(error, (Retryable, *AWAY)) and not is_stuck):
        raise error


class Isolation:
    """One batch, gone through again in one transaction, with its failures apart."""

    def __init__(self, tx: Transaction, handler: Handler, limit: PoisonLimit, *, is_stuck: bool) -> None:
        self._tx = tx
        self._handler = handler
        self._limit = limit
        self._is_stuck = is_stuck
        self._keys = 0
        self.failed: list[Outcome] = []
        """One entry per key of which not everything was handled."""

    async def run(self, items: Sequence[Waiting]) -> None:
        """Handles what can be handled; PoisonFlood when too much cannot."""
        keys: dict[str, list[tuple[int, Waiting]]] = {}
        for place, item in enumerate(items):
            keys.setdefault(item.key, []).append((place, item))
        self._keys = len(keys)
        await self._halves(list(keys.values()))

    @property
    def succeeded(self) -> int:
        """Keys that were handled as a whole."""
        return self._keys - len(self.failed)

    async def _halves(self, keys: list[list[tuple[int, Waiting]]]) -> None:
        """Keys that are known to fail together."""
        if len(keys) == 1:
            await self._single([item for _, item in keys[0]])
            return
        middle = len(keys) // 2
        for half in (keys[:middle], keys[middle:]):
            if len(half) == 1:
                await self._single([item for _, item in half[0]])
                continue
            try:
                await attempt(self._tx, self._handler, _merged(half))
            except Exception as error:  # noqa: BLE001 - looked at key by key
                _raise_if_away(error, is_stuck=self._is_stuck)
                await self._halves(half)

    async def _single(self, items: Sequence[Waiting]) -> None:
        outcome = await in_order(self._tx, self._handler, items, is_stuck=self._is_stuck)
        if outcome.is_clean:
            return
        self.failed.append(outcome)
        if self._keys >= self._limit.keys and len(self.failed) >= self._limit.share * self._keys:
            if isinstance(outcome.error, (Retryable, *AWAY)):
                # Away for so many keys is away for all: wait where we are.
                raise outcome.error
            raise PoisonFlood(
                f"{len(self.failed)} of {self._keys} keys of one batch fail, so the fault is the handler's"
            ) from outcome.error


def _merged(keys: Iterable[list[tuple[int, Waiting]]]) -> list[Waiting]:
    return [item for _, item in sorted((entry for key in keys for entry in key), key=lambda entry: entry[0])]
