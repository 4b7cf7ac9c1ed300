"""Every filter in every order gives exactly the tickets that are wanted, page after page, however they are found."""

import random
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest

from services.tickets.domain.ticket import ACTIVE, Ticket
from services.tickets.store import listing
from services.tickets.store.listing import Filter, Sort
from tests.support.floor import HOME, OTHER, Floor

MANY: Final = 1200
"""Enough for labels and words that many have, and for some that few have."""

WORDS: Final = {"Every": 1, "seventh": 7, "rarely": 400, "never": 10**9, "é1": 10**9}
"""What is said in one of so many."""

_TICKETS: Final = f"""
INSERT INTO tickets.ticket (id, workspace_id, customer_id, customer_name, state, team_id, owner_id, rank, tags, networks,
    changed_by, change, updated_at)
SELECT $1 || lpad(n::text, 6, '0'), $1, $1 || 'cus_' || n / 2, CASE WHEN n / 2 % 150 = 0 THEN 'Rarely Seen' END,
    CASE WHEN n % 2 = 1 THEN (ARRAY['resolved', 'resolved', 'merged'])[1 + n % 3]
         ELSE (ARRAY['open', 'open', 'pending', 'snoozed'])[1 + n / 2 % 4] END,
    (ARRAY['care', 'care', 'care', 'product', 'press'])[1 + n % 5],
    CASE WHEN n % 3 > 0 THEN 'agt_' || n % 4 END, n / 2 % 4,
    ARRAY['all'] || CASE WHEN n % 3 = 0 THEN ARRAY['third'] ELSE ARRAY[]::text[] END
        || CASE WHEN n % 250 = 0 THEN ARRAY['rare'] ELSE ARRAY[]::text[] END,
    ARRAY[(ARRAY['facebook', 'x'])[1 + n / 4 % 2]],
    '{{"kind":"system","id":"t"}}', 'created', timestamptz '2026-01-01' + (n * 7919 % {MANY} / 2) * interval '1 minute'
FROM generate_series(1, {MANY}) n
"""
_LABELS: Final = """
INSERT INTO tickets.ticket_label (workspace_id, label, rank, ticket_id)
SELECT workspace_id, label, rank, id FROM tickets.ticket
CROSS JOIN LATERAL (SELECT 'tag:' || t FROM unnest(tags) t UNION SELECT 'network:' || w FROM unnest(networks) w) l(label)
WHERE state IN ('open', 'pending', 'snoozed') AND workspace_id = $1
"""
_MESSAGES: Final = f"""
INSERT INTO tickets.message (id, workspace_id, ticket_id, conversation_id, channel_id, network, kind, direction, origin,
    external_id, seq, text, received, data, occurred_at)
SELECT 'msg_' || id, workspace_id, id, 'c', 'c', 'x', 'dm', 'in', 'customer', id, 1,
    array_to_string(ARRAY[{", ".join(f"CASE WHEN right(id, 6)::int % {every} = 0 THEN '{word}' END" for word, every in WORDS.items())}], ' '),
    true, '{{}}', now() FROM tickets.ticket WHERE workspace_id = $1
"""
_TEXTS: Final = """
INSERT INTO tickets.search (id, workspace_id, text, at)
SELECT id, workspace_id, text, now() FROM tickets.message WHERE workspace_id = $1
UNION ALL SELECT DISTINCT customer_id, workspace_id, customer_name, now() FROM tickets.ticket
    WHERE workspace_id = $1 AND customer_name IS NOT NULL
"""


@pytest.fixture
async def shelf(floor: Floor) -> Floor:
    for workspace in (HOME, OTHER):
        # One active ticket per customer: of each two, the other one is of the archive.
        for sql in (_TICKETS, _LABELS, _MESSAGES, _TEXTS):
            await floor.rows(sql, workspace, workspace=workspace)
    return floor


async def everything(shelf: Floor) -> list[Ticket]:
    """All tickets, in an order that nobody asked for."""
    states = frozenset(ACTIVE | {"resolved", "merged"})
    return await listed(shelf, Filter(workspace_id=HOME, states=states), "priority", limit=2 * MANY)


async def listed(shelf: Floor, wanted: Filter, sort: Sort, *, limit: int) -> list[Ticket]:
    """All pages."""
    found: list[Ticket] = []
    after = None
    while True:
        page = await shelf.act(lambda tx, after=after: listing.page(tx, wanted, sort=sort, after=after, limit=limit))
        found += page
        if len(page) < limit:
            return found
        after = listing.key_of(page[-1], sort)


def is_wanted(ticket: Ticket, wanted: Filter) -> bool:
    number = int(ticket.id[-6:])
    every = next((every for word, every in WORDS.items() if word.lower() == (wanted.words or "Every").lower()), 1)
    # "Rarely" is somebody's name too.
    says = number % every == 0 or (every == 400 and number // 2 % 150 == 0)
    own = ticket.owner is not None and ticket.owner == wanted.visible_owner
    seen = wanted.visible_teams is None or ticket.team in wanted.visible_teams or own
    owner = wanted.owner in (None, ticket.owner) or (wanted.owner == listing.NOBODY and ticket.owner is None)
    return (
        says
        and seen
        and owner
        and ticket.state in wanted.states
        and wanted.team in (None, ticket.team)
        and wanted.rank in (None, ticket.rank)
        and wanted.network in (None, *ticket.networks)
        and wanted.customer in (None, ticket.customer_id)
        and set(wanted.tags) <= set(ticket.tags)
    )


def filters(chance: random.Random) -> Iterator[Filter]:
    states = [ACTIVE, frozenset({"pending"}), frozenset({"resolved"}), frozenset({"merged"}), ACTIVE | {"resolved"}]
    facts: dict[str, list[Any]] = {
        "team": ["care", "press", "nowhere"],
        "owner": ["agt_1", listing.NOBODY],
        "rank": [1],
        "tags": [("all",), ("third",), ("rare",), ("all", "third"), ("third", "rare"), ("unknown",)],
        "network": ["x"],
        "customer": [f"{HOME}cus_150"],
        "words": list(WORDS),
        "visible_teams": [frozenset({"press", "product"}), frozenset()],
    }
    for _ in range(120):
        chosen = {name: chance.choice(facts[name]) for name in chance.sample(sorted(facts), k=chance.randrange(5))}
        owner = chance.choice([None, "agt_2"]) if "visible_teams" in chosen else None
        yield Filter(workspace_id=HOME, visible_owner=owner, states=chance.choice(states), **chosen)


@pytest.mark.parametrize("sort", ["priority", "updated"])
@pytest.mark.parametrize("seed", [1, 2])
async def test_every_filter_in_every_order_finds_what_it_says(shelf: Floor, sort: Sort, seed: int) -> None:
    tickets = await everything(shelf)
    assert len(tickets) == MANY
    tickets.sort(key=lambda ticket: listing.key_of(ticket, sort), reverse=sort == "updated")
    found_any = 0
    for wanted in filters(random.Random(seed)):
        expected = [ticket.id for ticket in tickets if is_wanted(ticket, wanted)]
        found = [ticket.id for ticket in await listed(shelf, wanted, sort, limit=75)]
        assert found == expected, wanted
        found_any += bool(found)
    assert found_any > 50


async def test_a_page_ends_where_it_was_told_to_however_many_indexes_it_is_read_from(shelf: Floor) -> None:
    wanted = Filter(workspace_id=HOME, states=ACTIVE | {"resolved"}, visible_teams=frozenset({"care", "press"}))
    for limit in (1, 2, 7):
        page = await shelf.act(
            lambda tx, limit=limit: listing.page(tx, wanted, sort="updated", after=None, limit=limit)
        )
        assert len(page) == limit


async def test_words_that_many_say_are_looked_for_in_the_beginning_of_a_list_only(shelf: Floor) -> None:
    await shelf.rows(
        "INSERT INTO tickets.ticket (id, workspace_id, customer_id, state, team_id, rank, changed_by, change) "
        f"SELECT 'silent' || n, '{HOME}', 'silent' || n, 'open', 'care', 0, '{{}}', 'created' "
        f"FROM generate_series(1, {listing.WINDOW}) n"
    )
    wanted = Filter(workspace_id=HOME, words="Every", visible_teams=frozenset({"care"}))
    narrowed = msgspec.structs.replace(wanted, rank=1)
    assert len(await listed(shelf, wanted, "priority", limit=50)) < len(
        await listed(shelf, narrowed, "priority", limit=50)
    )
