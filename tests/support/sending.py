"""Sending what is due, step by step, without the loop that does it in a process."""

from typing import Any, Final

from services.notifier.handlers.sender import Sender
from services.notifier.settings import NotifierSettings
from tests.support.outgoing import World

SETTINGS: Final = NotifierSettings(reply_timeout_ms=2_000)


def sender(here: World, **settings: Any) -> Sender:
    """A sender of its own, as another process would have."""
    return Sender(here.runtime, SETTINGS.model_copy(update=settings))


async def work(here: World, using: Sender | None = None) -> int:
    """Sends everything that is due, until nothing is; gives how many claims there were."""
    using = using or sender(here)
    done = 0
    while True:
        found = await using.claim(limit=50)
        for claim in found.claims:
            await using.send(claim)
        for claim in found.questions:
            await using.ask(claim)
        done += len(found.claims)
        if not found.looked_at:
            return done


async def told(here: World) -> list[tuple[str, str]]:
    """What others were told, as pairs of event and reply."""
    return [(type(event).__name__, event.reply_id) for event in await here.told()]  # type: ignore[attr-defined]
