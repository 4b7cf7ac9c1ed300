"""A ticket as its readers and writers may see it: each version follows from the one before, each line has its place."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from tests.support.linearizable import UNKNOWN, Operation, check, check_grows, check_unique

Verb = Literal["read", "amend", "note", "reply", "message"]
PRIORITIES: Final = ("low", "normal", "high", "urgent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is done to one ticket."""

    verb: Verb
    version: int | None = None
    """If-Match."""
    priority: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was answered."""

    verdict: Literal["done", "stale", "refused"]
    version: int | None = None
    priority: str | None = None
    seq: int | None = None
    """The place of the line that was written, or the last one that was seen."""


class Page(NamedTuple):
    """The ticket at one version."""

    version: int
    priority: str
    seq: int
    """Lines are also written by those who do not tell: no fewer than these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """The model, from the page that was read before anybody wrote."""

    first: Page

    def step(self, state: Page, operation: Operation) -> Iterator[Page]:
        """Every state that the operation may leave behind."""
        told: Told | None = operation.result
        if told is UNKNOWN:
            yield state
            yield from (after for after in _done(state, operation.call) if after != state)
        elif told.verdict == "refused":
            yield state
        elif told.verdict == "stale":
            if told.version == state.version != operation.call.version:
                yield state
        else:
            yield from (known for after in _done(state, operation.call) if (known := _known(after, told)))

    def is_read(self, operation: Operation) -> bool:
        """Looks and refusals change nothing."""
        told: Told | None = operation.result
        return operation.call.verb == "read" or (told is not UNKNOWN and told.verdict != "done")


def check_ticket(history: Iterable[Operation], model: Ticket) -> list[Operation]:
    """First what needs no search: versions only grow, each is replaced once, and each line has a place of its own."""
    operations = list(history)
    heard = [one for one in operations if one.result is not UNKNOWN]
    check_grows([(one, one.result.version) for one in heard if one.result.version is not None], strictly=False)
    done = [one for one in heard if one.result.verdict == "done"]
    check_unique((one, one.result.version) for one in done if _replaces(one))
    check_unique((one, one.result.seq) for one in done if one.call.verb in ("note", "reply"))
    return check(operations, model)


def _replaces(operation: Operation) -> bool:
    return operation.call.verb == "amend" and operation.result.version != operation.call.version


def _done(state: Page, call: Call) -> Iterator[Page]:
    match call.verb:
        case "read":
            yield state
        case "amend" if call.version == state.version:
            is_new = call.priority not in (None, state.priority)
            yield state._replace(
                version=state.version + is_new, priority=call.priority or state.priority, seq=state.seq + is_new
            )
        case "note":
            yield state._replace(version=state.version + 1, seq=state.seq + 1)
        case "message":
            # What the rules say of it only ever raises the priority.
            priority = max(state.priority, call.priority or "low", key=PRIORITIES.index)
            yield Page(version=state.version + 1, priority=priority, seq=state.seq + 1)
        case "reply":
            yield state._replace(seq=state.seq + 1)
        case _:
            return


def _known(after: Page, told: Told) -> Page | None:
    if told.version not in (None, after.version) or told.priority not in (None, after.priority):
        return None
    if told.seq is None:
        return after
    return after._replace(seq=told.seq) if told.seq >= after.seq else None
