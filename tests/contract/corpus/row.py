"""What a reader of a third-party body says it is: one row per body."""

from dataclasses import dataclass

from shared.events.messages import Direction, Kind, Verb
from shared.networks.port import DeliveryState


@dataclass(frozen=True, slots=True)
class Expected:
    """One item that a body must become."""

    verb: Verb
    kind: Kind
    direction: Direction
    external_id: str
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One body: its state, its items in order, and the codes of its parts that are none, in order."""

    file: str
    state: DeliveryState
    items: tuple[Expected, ...] = ()
    codes: tuple[str, ...] = ()


def item(file: str, expected: Expected) -> Row:
    """A body that is one item and nothing else."""
    return Row(file, "normalized", (expected,))


def ignored(file: str, code: str) -> Row:
    """A body that is known and no message."""
    return Row(file, "ignored", (), (code,))


def strange(file: str, code: str) -> Row:
    """A body that no parser of this network understands."""
    return Row(file, "not-understood", (), (code,))
