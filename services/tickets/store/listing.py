"""Lists of tickets: every filter goes through an index, pages continue behind the last row, nothing is counted."""

from collections.abc import Collection, Iterator
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

FEW: Final = 300
"""So many tickets are quicker read and sorted than come across in the order of the list."""

WINDOW: Final = 2500
"""Among so many tickets of a list, from its beginning or its cursor, words are looked for that very many texts have."""

_MOST_TEAMS: Final = 8
_KEYS: Final[dict[Sort, str]] = {"priority": "t.rank, t.id", "updated": "t.updated_at DESC, t.id DESC"}
_BEHIND: Final[dict[Sort, str]] = {
    "priority": "> ({}::smallint, {})",
    "updated": "< ({}::timestamptz, {})",
}
_HITS: Final = """
SELECT m.ticket_id AS id FROM tickets.message m WHERE m.id = ANY($1::text[]) AND m.ticket_id IS NOT NULL
UNION SELECT t.id FROM tickets.ticket t WHERE t.workspace_id = $2 AND t.customer_id = ANY($1::text[])
"""
# A query of its own for each ticket: Postgres must not get it into its head to read all messages first.
_SAYS: Final = """(t.customer_name ILIKE {0} OR t.customer_handle ILIKE {0} OR coalesce(
    (SELECT true FROM tickets.message m WHERE m.ticket_id = t.id AND m.text ILIKE {0} LIMIT 1), false))"""


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

    @property
    def labels(self) -> list[str]:
        """What the labels of a ticket that is wanted say."""
        labels = [f"tag:{tag}" for tag in self.tags]
        return labels if self.network is None else [*labels, f"network:{self.network}"]

    @property
    def is_of_labels(self) -> bool:
        """Whether nothing but labels narrows it: these have an index in the order of priorities."""
        else_ = (self.visible_teams, self.team, self.owner, self.rank, self.customer, self.words)
        return bool(self.labels) and self.states == ACTIVE and all(fact is None for fact in else_)

    @property
    def is_of_few(self) -> bool:
        """Whether one customer's or one agent's: there are indexes for these, and better ones not."""
        return self.customer is not None or self.owner not in (None, NOBODY)


class _Statement:
    """SQL in the making, with the values that it speaks of."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def mark(self, value: Any) -> str:
        """How the statement names a value."""
        self.values.append(value)
        return f"${len(self.values)}"


class _Branch:
    """Tickets that one index has in the order of the list."""

    def __init__(self, statement: _Statement) -> None:
        self._statement = statement
        self.source = "tickets.ticket t"
        self.conditions: list[str] = []

    def add(self, condition: str, *values: Any) -> None:
        """A condition, in which `{}` stands for the next value."""
        self.conditions.append(condition.format(*[self._statement.mark(value) for value in values]))

    def sql(self, key: str, limit: int) -> str:
        """Its first rows."""
        where = " AND ".join(self.conditions)
        return f"SELECT {COLUMNS} FROM {self.source} WHERE {where} ORDER BY {key} LIMIT {limit:d}"

    def saying(self, says: str, key: str, limit: int) -> str:
        """The first of its rows that say something; of so many that it takes no longer than it may."""
        said = _SAYS.format(self._statement.mark(says))
        return f"SELECT * FROM ({self.sql(key, WINDOW)}) AS t WHERE {said} ORDER BY {key} LIMIT {limit:d}"


async def page(
    tx: Transaction, wanted: Filter, *, sort: Sort, after: tuple[Any, str] | None, limit: int
) -> list[Ticket]:
    """Tickets by rank and age, or by their last change, newest first; `after` is the key of the last one seen."""
    among, says = await _among(tx, wanted, sort)
    statement = _Statement()
    branches = []
    for branch, key in _branches(statement, wanted, among, sort):
        if after is not None:
            branch.add(f"({key.replace(' DESC', '')}) {_BEHIND[sort]}", *after)
        branches.append(branch.sql(key, limit) if says is None else branch.saying(says, key, limit))
    if not branches:
        return []
    sql = branches[0]
    if len(branches) > 1:
        every = " UNION ALL ".join(f"({branch})" for branch in branches)
        sql = f"SELECT * FROM ({every}) AS t ORDER BY {_KEYS[sort]} LIMIT {limit:d}"
    return [ticket_of(row) for row in await tx.fetch(sql, *statement.values)]


def key_of(ticket: Ticket, sort: Sort) -> tuple[int | datetime | None, str]:
    """What a page continues behind."""
    return (ticket.rank if sort == "priority" else ticket.updated_at), ticket.id


async def _among(tx: Transaction, wanted: Filter, sort: Sort) -> tuple[Collection[str] | None, str | None]:
    """The only tickets that can be wanted, where these are known to be few; and the pattern of words that many say."""
    if wanted.words and (found := await search.find(tx, wanted.words)) is not None:
        return [row["id"] for row in await tx.fetch(_HITS, found, wanted.workspace_id)] if found else [], None
    says = search.pattern(wanted.words) if wanted.words else None
    is_in_order = sort == "priority" and wanted.is_of_labels
    if wanted.labels and wanted.states <= ACTIVE and not wanted.is_of_few and not is_in_order:
        statement = _Statement()
        source, conditions = _labelled(statement, wanted)
        where = " AND ".join(conditions)
        sql = f"SELECT l0.ticket_id AS id FROM {source} WHERE {where} LIMIT {FEW + 1:d}"
        rows = await tx.fetch(sql, *statement.values)
        if len(rows) <= FEW:
            return [row["id"] for row in rows], says
    return None, says


def _branches(
    statement: _Statement, wanted: Filter, among: Collection[str] | None, sort: Sort
) -> Iterator[tuple[_Branch, str]]:
    if among is not None or wanted.customer is not None:
        branch = _Branch(statement)
        if among is not None:
            # Not `= ANY`, for which Postgres would rather skip through the small index of what is active.
            branch.source += f" JOIN unnest({statement.mark(list(among))}::text[]) AS few(id) ON few.id = t.id"
        branch.add("t.state = ANY({}::text[])", sorted(wanted.states))
        _see(branch, wanted)
        _narrow(branch, wanted)
        yield branch, _KEYS[sort]
        return
    if active := wanted.states & ACTIVE:
        # A label's row has the rank too: the page is read off the label's index, in order.
        labelled = sort == "priority" and wanted.is_of_labels
        for branch in [_seen(statement, wanted)] if labelled else _visible(statement, wanted):
            # Literally as the partial indexes have it.
            branch.add("t.state IN ('open', 'pending', 'snoozed')")
            if active != ACTIVE:
                branch.add("t.state = ANY({}::text[])", sorted(active))
            if labelled:
                source, conditions = _labelled(statement, wanted)
                branch.source = f"{source} JOIN tickets.ticket t ON t.id = l0.ticket_id"
                branch.conditions += conditions
            _narrow(branch, wanted, labelled=labelled)
            yield branch, "l0.rank, l0.ticket_id" if labelled else _KEYS[sort]
    for state in sorted(wanted.states - ACTIVE):
        for branch in _visible(statement, wanted):
            branch.add("t.state IN ('resolved', 'merged')")
            branch.add("t.state = {}", state)
            _narrow(branch, wanted)
            yield branch, _KEYS[sort]


def _visible(statement: _Statement, wanted: Filter) -> Iterator[_Branch]:
    """A branch for each team that the caller sees, and one for the caller's own elsewhere: both have their indexes."""
    teams = wanted.visible_teams
    if teams is None or wanted.team is not None or wanted.is_of_few or len(teams) > _MOST_TEAMS:
        yield _seen(statement, wanted)
        return
    for team in sorted(teams):
        branch = _Branch(statement)
        branch.add("t.team_id = {}", team)
        yield branch
    if wanted.visible_owner is not None and wanted.owner != NOBODY:
        branch = _Branch(statement)
        branch.add("t.owner_id = {}", wanted.visible_owner)
        branch.add("t.team_id <> ALL({}::text[])", sorted(teams))
        yield branch


def _seen(statement: _Statement, wanted: Filter) -> _Branch:
    branch = _Branch(statement)
    _see(branch, wanted)
    return branch


def _see(branch: _Branch, wanted: Filter) -> None:
    if wanted.visible_teams is not None:
        teams = sorted(wanted.visible_teams)
        branch.add("(t.team_id = ANY({}::text[]) OR t.owner_id = {}::text)", teams, wanted.visible_owner)


def _labelled(statement: _Statement, wanted: Filter) -> tuple[str, list[str]]:
    source = "tickets.ticket_label l0"
    conditions = []
    for number, label in enumerate(wanted.labels):
        workspace, name = statement.mark(wanted.workspace_id), statement.mark(label)
        conditions.append(f"l{number}.workspace_id = {workspace} AND l{number}.label = {name}")
        if number:
            source += f" JOIN tickets.ticket_label l{number} ON l{number}.rank = l0.rank"
            source += f" AND l{number}.ticket_id = l0.ticket_id"
    return source, conditions


def _narrow(branch: _Branch, wanted: Filter, *, labelled: bool = False) -> None:
    branch.add("t.workspace_id = {}", wanted.workspace_id)
    if wanted.owner == NOBODY:
        branch.add("t.owner_id IS NULL")
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
            branch.add(condition, value)
