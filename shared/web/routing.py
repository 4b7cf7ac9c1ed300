"""Finding a route among many: by the first words of its path instead of one regular expression after another."""

from collections.abc import Iterable
from typing import Final

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

_WORDS: Final = 2
"""`/v1/tickets/…`: version and noun tell almost everything apart."""

_METHODS: Final = "baton.methods"


class Index(BaseRoute):
    """All routes of the API as one, looked up by prefix and then tried in order of registration."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._by_words: dict[tuple[str, ...], list[Route]] = {}
        self._others: list[Route] = []
        for route in routes:
            words = _words(route.path)
            if any("{" in word for word in words):
                self._others.append(route)
            else:
                self._by_words.setdefault(words, []).append(route)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """FULL with the route, PARTIAL with the methods that the path would take, or NONE."""
        allowed: set[str] = set()
        for routes in (self._by_words.get(_words(scope["path"]), ()), self._others):
            for route in routes:
                match, child = route.matches(scope)
                if match is Match.FULL:
                    child["route"] = route
                    return match, child
                if match is Match.PARTIAL:
                    allowed |= route.methods or set()
        return (Match.PARTIAL, {_METHODS: allowed}) if allowed else (Match.NONE, {})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands the request to the route that was found."""
        if _METHODS in scope:
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(scope[_METHODS]))})
        await scope["route"].handle(scope, receive, send)


def _words(path: str) -> tuple[str, ...]:
    return tuple(path.split("/", _WORDS + 1)[1 : _WORDS + 1])
