"""What tickets are found by: the texts of messages and the names of customers."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, NamedTuple

from shared.db.transaction import Transaction

MOST: Final = 1000
"""How many hits a search looks at, newest first."""

_PUT: Final = """
INSERT INTO tickets.search (id, workspace_id, text, at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[])
ON CONFLICT (id) DO UPDATE SET text = EXCLUDED.text
"""
_DROP: Final = "DELETE FROM tickets.search WHERE id = ANY($1::text[])"
_FIND: Final = "SELECT tickets.find($1, $2)"
_INDEX: Final = "SELECT tickets.index_texts()"


class Text(NamedTuple):
    """One thing to be found by; an empty text is forgotten."""

    id: str
    workspace_id: str
    text: str
    at: datetime


def put(tx: Transaction, texts: Iterable[Text]) -> None:
    """Makes texts findable with the next statement, or finds them no longer."""
    unique = {text.id: text for text in texts}
    kept = [text for text in unique.values() if text.text]
    gone = [text.id for text in unique.values() if not text.text]
    if kept:
        tx.defer(_PUT, *[list(column) for column in zip(*kept, strict=True)])
    if gone:
        tx.defer(_DROP, gone)


def pattern(words: str) -> str:
    """What texts that contain these words are like."""
    escaped = words.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    return f"%{escaped}%"


async def find(tx: Transaction, words: str) -> list[str] | None:
    """Ids of messages and customers that contain these words, in the transaction's one workspace, newest first.

    None: so many are that it is quicker to look into the tickets of a list, one after the other.
    """
    found: list[str] | None = await tx.fetchval(_FIND, pattern(words), MOST)
    return found


async def index(tx: Transaction) -> int:
    """Has the index take in what waits in front of it, and returns how many pages that were."""
    return int(await tx.fetchval(_INDEX))
