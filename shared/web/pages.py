"""Lists in pages: opaque keyset cursors that only fit the order they came from."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, TypeVar, get_origin
from urllib.parse import parse_qsl, urlencode

import msgspec
from fastapi import Depends, Query
from pydantic import BaseModel, Field

from shared.errors import BadRequest

LARGEST: Final = 200
DEFAULT: Final = 50

_VERSION: Final = 1

Item = TypeVar("Item")
Key = TypeVar("Key")


class BadCursor(BadRequest):
    """The cursor is not one of ours, or belongs to another order."""

    code = "bad-cursor"
    title = "The cursor does not fit this list"


class Paged(BaseModel, Generic[Item]):
    """One page of a list."""

    data: list[Item]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page; null on the last one")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page of a list is wanted."""

    limit: int
    cursor: str | None = None

    def after(self, shape: type[Key], *, order: str = "") -> Key | None:
        """The sort key of the last item seen, such as `tuple[datetime, str]`; None for the first page.

        A plain type, such as `int`, stands for a key of that one part.
        """
        if self.cursor is None:
            return None
        if get_origin(shape) is tuple:
            return decode(self.cursor, shape, order=order)
        one: Any = decode(self.cursor, tuple[shape], order=order)  # type: ignore[valid-type]
        part: Key = one[0]
        return part

    def after_id(self, *, order: str = "") -> str | None:
        """The id of the last item seen, for lists that are sorted by id alone."""
        return self.after(str, order=order)

    def cut(
        self, rows: Sequence[Item], *, key: Callable[[Item], tuple[object, ...]], order: str = ""
    ) -> tuple[Sequence[Item], str | None]:
        """From `limit + 1` rows: the page, and the cursor of the next one if there is more."""
        if len(rows) <= self.limit:
            return rows, None
        shown = rows[: self.limit]
        return shown, encode(key(shown[-1]), order=order)


def encode(key: tuple[object, ...], *, order: str = "") -> str:
    """The cursor that continues after the item with this sort key."""
    raw = msgspec.json.encode([_VERSION, order, key])
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(cursor: str, shape: type[Key], *, order: str = "") -> Key:
    """The sort key in a cursor; BadCursor when it is not one of this order."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        version, made_for, key = msgspec.json.decode(raw, type=tuple[int, str, msgspec.Raw])
        if (version, made_for) != (_VERSION, order):
            raise BadCursor("the cursor belongs to another list or order: begin again without it")
        return msgspec.json.decode(key, type=shape)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise BadCursor("the cursor is not one that this list gave") from error


def link(path: str, query: str, cursor: str) -> str:
    """The `Link` header of the next page."""
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != "cursor"]
    return f'<{path}?{urlencode([*kept, ("cursor", cursor)])}>; rel="next"'


async def _page(
    limit: Annotated[int, Query(ge=1, le=LARGEST, description="Items per page")] = DEFAULT,
    cursor: Annotated[
        str | None, Query(max_length=2048, description="`next_cursor` of the page before; leave out for the first")
    ] = None,
) -> PageRequest:
    return PageRequest(limit=limit, cursor=cursor)


Page = Annotated[PageRequest, Depends(_page)]
"""The page that a request asks for: `async def list_tickets(call: Reader, page: Page)`."""
