"""What the notifier is told of one workspace, told of another in the same words, and whether both come to the same."""

import asyncio
import re
from typing import Any, Final

import msgspec

from shared.events import envelope
from shared.events.deliveries import DeliveryEvent
from shared.events.envelope import Event
from tests.support.outgoing import AT, World
from tests.support.sending import work

THERE: Final = "_there"
"""What ids of the other workspace end in: those that are ours are nobody else's."""

_NAMES: Final = {"w1": "w2", "chn_1": "chn_2"}
_IDS: Final = re.compile(r"(rpl|tkt|cus|cnv|msg|cor)_\w+|m\d+")


def elsewhere(event: Event) -> Event:
    """The same in the other workspace: people, texts and what the network calls things are not told apart."""
    data = msgspec.convert(_moved(msgspec.json.decode(msgspec.json.encode(event.data))), type(event.data))
    return envelope.new(data, event_id=f"{event.id}{THERE}", key=f"{event.key}{THERE}", time=AT)


def twice(*events: Event) -> list[Event]:
    """Each, and the same in the other workspace."""
    return [told for event in events for told in (event, elsewhere(event))]


def at_home(body: dict[str, Any]) -> bool:
    """Whether the network is sent a reply of the first workspace."""
    return not body["message"]["metadata"].endswith(THERE)


async def work_at_once(here: World) -> None:
    """Two senders send whatever is due, of whichever workspace."""
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(work(here))


async def ended(here: World) -> dict[str, str]:
    """The state of every reply, which is the same in both workspaces."""
    states = await here.states()
    home = {reply: state for reply, state in states.items() if not reply.endswith(THERE)}
    assert states == home | {f"{reply}{THERE}": state for reply, state in home.items()}
    return home


async def told_alike(here: World) -> list[DeliveryEvent]:
    """What others were told, in order: of each workspace the same, and by its own names."""
    told: dict[str, list[Any]] = {"w1": [], "w2": []}
    for event in await here.told():
        told[event.workspace_id].append(event)
    shown = [_without_times(_moved(msgspec.to_builtins(event))) for event in told["w1"]]
    assert shown == [_without_times(msgspec.to_builtins(event)) for event in told["w2"]]
    return told["w1"]


def _moved(value: Any) -> Any:
    match value:
        case dict():
            return {name: _moved(one) for name, one in value.items()}
        case list() | tuple():
            return [_moved(one) for one in value]
        case str() if value in _NAMES:
            return _NAMES[value]
        case str() if _IDS.fullmatch(value):
            return f"{value}{THERE}"
        case _:
            return value


def _without_times(fields: dict[str, Any]) -> dict[str, Any]:
    # What the network calls each of them depends on who came first.
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in fields.items()
        if name not in {"at", "ask_after", "external_id"}
    }
