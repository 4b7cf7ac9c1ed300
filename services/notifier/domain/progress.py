"""How far an endpoint has got: the number up to which everything is done, although things end out of order."""

from collections import deque


class Progress:
    """Numbers begin in order and end in any; `cursor` never passes one that is still under way."""

    def __init__(self, cursor: int) -> None:
        self.cursor = cursor
        self._begun: deque[int] = deque()
        self._ended: set[int] = set()

    def begin(self, number: int) -> None:
        """This one is under way; it is greater than all before."""
        self._begun.append(number)

    def end(self, number: int) -> None:
        """This one is done; others that were begun earlier may not be."""
        self._ended.add(number)
        while self._begun and self._begun[0] in self._ended:
            self.cursor = self._begun.popleft()
            self._ended.discard(self.cursor)

    def skip(self, number: int) -> None:
        """This one is not for the endpoint."""
        if self._begun:
            self.begin(number)
            self._ended.add(number)
        else:
            self.cursor = number
