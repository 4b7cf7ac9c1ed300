"""Lists of tickets: every filter goes through an index, pages continue behind the last row, nothing is counted."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from services.tickets.domain.ticket import ACTIVE, Ticket
from services.tickets.store import search
from services.tickets.store.tickets import COLUMNS, ticket_of
from shared.db.transaction import Transaction

Sort = Literal["priority", "updated"]

NOBODY: Final = "none"
"""The owner to filter by for tickets that queues own."""

_HITS: Final = """
SELECT m.ticket_id AS id FROM tickets.message m WHERE m.id = ANY($1::text[]) AND m.ticket_id IS NOT NULL
UNION SELECT t.id FROM tickets.ticket t WHERE t.workspace_id = $2 AND t.customer_id = ANY($1::text[])
"""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which tickets are wanted; what is empty does not matter."""

    workspace_id: str
    visible_teams: frozenset[str] | None = None
    """Only these teams' tickets, and those of `visible_owner`; None: all."""
    visible_owner: str | None = None
    team: str | None = None
    owner: str | None = None
    """An agent, or NOBODY."""
    states: frozenset[str] = ACTIVE
    rank: int | None = None
    tags: tuple[str, ...] = ()
    network: str | None = None
    customer: str | None = None
    words: str | None = None


class _Statement:
    """Conditions with the values that they speak of."""

    def __init__(self) -> None:
        self.conditions: list[str] = []
        self.values: list[Any] = []

    def add(self, condition: str, *values: Any) -> None:
        """A condition, in which `{}` stands for the next value."""
        marks = []
        for value in values:
            self.values.append(value)
            marks.append(f"${len(self.values)}")
        self.conditions.append(condition.format(*marks))


async def page(
    tx: Transaction, wanted: Filter, *, sort: Sort, after: tuple[Any, str] | None, limit: int
) -> list[Ticket]:
    """Tickets by rank and age, or by their last change, newest first; `after` is the key of the last one seen."""
    statement = _Statement()
    labels = _labels(wanted) if sort == "priority" and wanted.states <= ACTIVE else []
    # A label's row has the rank too: the page is read off the label's index, in order.
    key = "l0.rank, l0.ticket_id" if labels else "t.rank, t.id"
    source = "tickets.ticket t"
    if labels:
        source = "tickets.ticket_label l0 JOIN tickets.ticket t ON t.id = l0.ticket_id"
    for number, label in enumerate(labels):
        statement.add(f"l{number}.workspace_id = {{}} AND l{number}.label = {{}}", wanted.workspace_id, label)
        if number:
            source += f" JOIN tickets.ticket_label l{number} ON l{number}.ticket_id = t.id"
    _narrow(statement, wanted, labelled=bool(labels))
    if wanted.words:
        statement.add("t.id = ANY({}::text[])", await _hits(tx, wanted.workspace_id, wanted.words))
    if sort == "updated":
        key = "t.updated_at DESC, t.id DESC"
        if after is not None:
            statement.add("(t.updated_at, t.id) < ({}::timestamptz, {})", *after)
    elif after is not None:
        statement.add(f"({key}) > ({{}}::smallint, {{}})", *after)
    statement.values.append(limit)
    sql = (
        f"SELECT {COLUMNS} FROM {source} WHERE {' AND '.join(statement.conditions)} "
        f"ORDER BY {key} LIMIT ${len(statement.values)}"
    )
    return [ticket_of(row) for row in await tx.fetch(sql, *statement.values)]


def key_of(ticket: Ticket, sort: Sort) -> tuple[int | datetime | None, str]:
    """What a page continues behind."""
    return (ticket.rank if sort == "priority" else ticket.updated_at), ticket.id


def _narrow(statement: _Statement, wanted: Filter, *, labelled: bool) -> None:
    statement.add("t.workspace_id = {}", wanted.workspace_id)
    if wanted.states <= ACTIVE:
        # Literally as the partial indexes have it.
        statement.add("t.state IN ('open', 'pending', 'snoozed')")
    if wanted.states != ACTIVE:
        statement.add("t.state = ANY({}::text[])", sorted(wanted.states))
    if wanted.visible_teams is not None:
        teams = sorted(wanted.visible_teams)
        statement.add("(t.team_id = ANY({}::text[]) OR t.owner_id = {}::text)", teams, wanted.visible_owner)
    if wanted.owner == NOBODY:
        statement.add("t.owner_id IS NULL")
    equal = {
        "t.team_id = {}": wanted.team,
        "t.owner_id = {}": None if wanted.owner == NOBODY else wanted.owner,
        "t.rank = {}::smallint": wanted.rank,
        "t.customer_id = {}": wanted.customer,
        "t.tags @> {}::text[]": None if labelled or not wanted.tags else list(wanted.tags),
        "t.networks @> {}::text[]": None if labelled or wanted.network is None else [wanted.network],
    }
    for condition, value in equal.items():
        if value is not None:
            statement.add(condition, value)


def _labels(wanted: Filter) -> list[str]:
    labels = [f"tag:{tag}" for tag in wanted.tags]
    return labels if wanted.network is None else [*labels, f"network:{wanted.network}"]


async def _hits(tx: Transaction, workspace_id: str, words: str) -> Sequence[str]:
    found = await search.find(tx, words)
    return [row["id"] for row in await tx.fetch(_HITS, list(found), workspace_id)] if found else []
