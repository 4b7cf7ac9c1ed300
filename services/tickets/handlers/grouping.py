"""Requests that queue while the last ones of their lane are in flight go out together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

Ask = TypeVar("Ask")
Given = TypeVar("Given")

MOST: Final = 256
"""How many go out together at most."""

_LEAD: Final = object()


class Lanes(Generic[Ask, Given]):
    """Each request is carried by the task of one of those that wait with it: nothing runs that nobody waits for.

    `carry` gets a lane and what is asked in it, and returns what is given for each, in order. None is for whoever must
    go alone: because `carry` says so, because it failed, or because the one whose task it ran in was cancelled.
    """

    def __init__(self, carry: Callable[[str, Sequence[Ask]], Awaitable[Sequence[Given | None]]]) -> None:
        self._carry = carry
        self._lanes: dict[str, list[tuple[Ask, asyncio.Future[object]]]] = {}
        """Those who wait, by lane; a lane is here while something of it is in flight."""

    async def ask(self, lane: str, asked: Ask) -> Given | None:
        """What is given for it, or None; at once when the lane is free, else together with all that queued."""
        turn: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        waiting = self._lanes.get(lane)
        if waiting is None:
            self._lanes[lane] = [(asked, turn)]
            turn.set_result(_LEAD)
            return await self._lead(lane, turn)
        waiting.append((asked, turn))
        try:
            given = await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result() is _LEAD:
                self._pass_on(lane)
            raise
        return await self._lead(lane, turn) if given is _LEAD else given  # type: ignore[return-value]

    async def _lead(self, lane: str, own: "asyncio.Future[object]") -> Given | None:
        taken: list[tuple[Ask, asyncio.Future[object]]] = []
        given: Sequence[Given | None] = []
        try:
            # Whoever comes at the same moment goes along.
            await asyncio.sleep(0)
            taken = self._take(lane, own)
            given = await self._carry(lane, [asked for asked, _ in taken])
        except Exception:
            # Alone each of them learns what is wrong; only then it is told.
            if len(taken) == 1:
                raise
        finally:
            for number, (_, turn) in enumerate(taken):
                if not turn.done():
                    turn.set_result(given[number] if given else None)
            # Last, so that those who ask again at once go with the next ones.
            self._pass_on(lane)
        return given[0] if given else None

    def _take(self, lane: str, own: "asyncio.Future[object]") -> list[tuple[Ask, "asyncio.Future[object]"]]:
        # Whoever was cancelled meanwhile is done, and asks no longer.
        waiting = [one for one in self._lanes[lane] if one[1] is own or not one[1].done()]
        # The one who leads is the first of those who wait.
        taken, self._lanes[lane] = waiting[:MOST], waiting[MOST:]
        return taken

    def _pass_on(self, lane: str) -> None:
        for _, turn in self._lanes[lane]:
            if not turn.done():
                turn.set_result(_LEAD)
                return
        del self._lanes[lane]
