"""What must hold when a seed is over: the promises of the design, asked of the network, the people and the tables."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Protocol

from services import assembly
from shared.events import tickets as told
from shared.events.envelope import Event
from tests.simulation.actors import Agent
from tests.simulation.database import Postgres
from tests.simulation.network import Network

_REPLIES: Final = """
SELECT r.id, r.state, r.text, r.author_id, r.override, n.state AS left_as,
    (SELECT coalesce(jsonb_object_agg(t.message_id, t.after), '{}') FROM notifier.reply_turn t WHERE t.reply_id = r.id)
    AS turns, coalesce(n.acknowledges, false) AS acknowledges
FROM tickets.reply r LEFT JOIN notifier.reply n ON n.id = r.id
"""
_LEFTOVERS: Final = """
SELECT 'pending' AS what, inbox_id AS id FROM ingest.pending
UNION ALL SELECT 'not sent to the log', shard::text FROM log.queue
UNION ALL SELECT 'notifier: ' || state, id FROM notifier.reply WHERE state IN ('waiting', 'sending', 'unknown')
UNION ALL SELECT 'tickets: ' || state, id FROM tickets.reply WHERE state IN ('queued', 'sending', 'unknown')
UNION ALL SELECT 'echo', message_id FROM tickets.echo
UNION ALL SELECT 'notifier: item', id FROM notifier.item WHERE due_at IS NOT NULL
UNION ALL SELECT 'tickets: ' || operation, id FROM tickets.moderation WHERE state = 'requested'
UNION ALL SELECT 'not consumed by ' || g.name, s.id::text
    FROM unnest($1::text[], $2::text[]) AS g (name, topic) JOIN log.shard s ON s.topic = g.topic
    LEFT JOIN log.cursor c ON c.consumer_group = g.name AND c.shard = s.id
    WHERE log.next_position(s.id) > greatest(s.first_position, coalesce(c.position, 0))
"""
"""For groups and the topics that they read, whether they have begun to or not."""
_MODERATIONS: Final = """
SELECT x.external_id, m.operation, m.state, n.state AS left_as FROM tickets.moderation m
JOIN tickets.message x ON x.id = m.message_id LEFT JOIN notifier.moderation n ON n.id = m.id ORDER BY m.number
"""
_MESSAGES: Final = "SELECT external_id, direction, ticket_id FROM tickets.message"
_NATIVES: Final = """
SELECT m.external_id FROM tickets.entry e JOIN tickets.message m ON m.id = e.message_id WHERE e.kind = 'native'
"""
_BURIED: Final = " UNION ALL ".join(
    f"SELECT '{name}: {table}' AS what, consumer_group || ' ' || key || ' ' || {why} AS why FROM {name}.{table}"
    for name in assembly.SERVICES
    for table, why in (("dead_letter", "error_message"), ("parked", "reason"))
)
_STRANGE: Final = "SELECT id FROM ingest.inbox WHERE state = 'not-understood'"
_NOTES: Final = "SELECT data->>'text' AS text FROM tickets.entry WHERE kind = 'note'"
_FEED: Final = "SELECT event_id FROM notifier.feed"

_LEAVING: Final = """
SELECT r.fence, f.type FROM notifier.reply r
JOIN tickets.reply t ON t.id = r.id AND t.text = $1
JOIN notifier.feed f ON f.ticket_id = r.ticket_id AND f.stored_at < r.claimed_at AND (
    f.type = 'lease.revoked.v1' AND (convert_from(f.data, 'UTF8')::jsonb #>> '{lease,fence}')::bigint >= r.fence
    OR f.type = 'reply.cancelled.v1' AND convert_from(f.data, 'UTF8')::jsonb ->> 'reply_id' = r.id)
WHERE f.number > (SELECT q.number FROM notifier.feed q WHERE q.ticket_id = r.ticket_id AND q.type = 'reply.queued.v1'
    AND convert_from(q.data, 'UTF8')::jsonb #>> '{reply,id}' = r.id)
"""
_OLD: Final = """
SELECT extract(epoch FROM clock_timestamp() - n.claimed_at) AS age FROM notifier.reply n
JOIN tickets.reply t ON t.id = n.id AND t.text = $1 WHERE n.claimed_at < clock_timestamp() - $2::interval
"""
_FRESH: Final = timedelta(milliseconds=1_510)
"""What the settings allow (see __main__.py), and what the server's clock may lag."""


class World(Protocol):
    """What the audit looks at."""

    postgres: Postgres
    network: Network
    agents: list[Agent]

    @property
    def groups(self) -> Sequence[tuple[str, str]]: ...
    def history(self) -> Sequence[Event]: ...
    def backlog(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known in the end."""

    world: World
    replies: Mapping[str, Any]
    """By text, which every writer makes unique."""
    events: Sequence[Event]
    """Of tickets, in their order."""


def leftovers(world: World) -> list[str]:
    """What is still under way."""
    under_way = [f"{world.network.under_way} webhooks"] if world.network.under_way else []
    names, topics = zip(*world.groups, strict=True)
    rows = world.postgres.rows(_LEFTOVERS, list(names), list(topics))
    return [*under_way, *world.backlog(), *(f"{row['what']} {row['id']}" for row in rows)]


def audit(world: World) -> Iterator[str]:
    """Every promise that does not hold, in words."""
    replies = {row["text"]: row for row in world.postgres.rows(_REPLIES)}
    facts = Facts(world=world, replies=replies, events=world.history())
    for check in _CHECKS:
        yield from check(facts)


def leaving(postgres: Postgres, text: str) -> Iterator[str]:
    """Of a reply that leaves right now: its claim is fresh, and older than whatever asked it to stay."""
    for row in postgres.rows(_LEAVING, text):
        yield f"{text!r} left under fence {row['fence']} after the notifier had read {row['type']}"
    for row in postgres.rows(_OLD, text, _FRESH):
        yield f"{text!r} left under a claim of {row['age']} s"


def _nothing_lost(facts: Facts) -> Iterator[str]:
    network = facts.world.network
    rows = facts.world.postgres.rows(_MESSAGES)
    counts = Counter(row["external_id"] for row in rows)
    for item in network.said:
        if counts[item] != 1:
            yield f"message {item} was acknowledged and stands on {counts[item]} tickets"
    known = {*network.said, *network.natives, *(one.external_id for one in network.taken)}
    for item in counts.keys() - known:
        yield f"message {item} was never said"
    for row in facts.world.postgres.rows(_NATIVES):
        if row["external_id"] not in network.natives:
            yield f"our own {row['external_id']} is shown as an answer in the network's own app"
    for row in facts.world.postgres.rows(_STRANGE):
        yield f"delivery {row['id']} was not understood"
    for row in facts.world.postgres.rows(_BURIED):
        yield f"{row['what']}: {row['why']}"


def _every_reply_has_its_end(facts: Facts) -> Iterator[str]:
    taken = Counter(one.text for one in facts.world.network.taken)
    for text, count in taken.items():
        if count > 1:
            yield f"{text!r} was sent {count} times"
        if text not in facts.replies:
            yield f"{text!r} was sent and is no reply"
    for text, row in facts.replies.items():
        if (row["state"] == "sent") != (text in taken):
            yield f"{text!r} is {row['state']}, and the network {'took' if text in taken else 'never saw'} it"
        if row["state"] in {"sent", "held"} and row["left_as"] != row["state"]:
            yield f"{text!r} is {row['state']}, and {row['left_as']} for the notifier"
    for agent in facts.world.agents:
        for reply_id, text in agent.accepted.items():
            if text not in facts.replies or facts.replies[text]["id"] != reply_id:
                yield f"{text!r} was accepted as {reply_id}, which does not exist"


def _every_operation_has_its_end(facts: Facts) -> Iterator[str]:
    done = facts.world.network.done
    seen = {(one.item, one.operation) for one in done}
    shown = {one.item: one.operation for one in done if one.operation in {"hide", "unhide"}}
    last: dict[str, Any] = {}
    asked: set[tuple[str, str]] = set()
    for row in facts.world.postgres.rows(_MODERATIONS):
        item, operation = row["external_id"], row["operation"]
        asked.add((item, operation))
        if row["left_as"] != row["state"]:
            yield f"{operation} of {item} is {row['state']}, and {row['left_as']} for the notifier"
        # Of a delete that nobody knew of, the network may say later that there is nothing to delete.
        is_gone = operation == "delete" and item in facts.world.network.gone
        if row["state"] == "done" and (item, operation) not in seen and not is_gone:
            yield f"{operation} of {item} is done, and the network never saw it"
        if operation in {"hide", "unhide"}:
            last[item] = row
    for item, operation in seen - asked:
        yield f"the network was asked to {operation} {item}, and nobody wanted that"
    for item, row in last.items():
        if row["state"] == "done" and shown[item] != row["operation"]:
            yield f"{item} is to be {row['operation']}, and the network's last was {shown[item]}"


def _one_answer(facts: Facts) -> Iterator[str]:
    latest: dict[str, Any] = {}
    for one in sorted(facts.world.network.taken, key=lambda taken: taken.left_at):
        row = facts.replies.get(one.text)
        for turn, after in row["turns"].items() if row else ():
            before = latest.get(turn)
            if before and before["author_id"] != row["author_id"] and after != before["id"] and not row["override"]:
                yield f"{one.text!r} answers {turn}, which {before['text']!r} had answered unseen"
            if not row["acknowledges"]:
                latest[turn] = row


def _fences_grow(facts: Facts) -> Iterator[str]:
    holders: dict[int, str | None] = {}
    highest: dict[str, int] = {}
    for event in facts.events:
        if isinstance(event.data, told.LeaseAcquired):
            lease, ticket = event.data.lease, event.data.ticket.id
            if holders.setdefault(lease.fence, lease.holder.id) != lease.holder.id:
                yield f"fence {lease.fence} has two holders"
            if lease.fence < highest.get(ticket, 0):
                yield f"fence {lease.fence} came after {highest[ticket]} on {ticket}"
            highest[ticket] = lease.fence
    given: dict[int, str] = {}
    for agent in facts.world.agents:
        for _, fence in agent.fences:
            if given.setdefault(fence, agent.name) != agent.name:
                yield f"fence {fence} was given to {agent.name} and to {given[fence]}"


def _versions_have_no_gaps(facts: Facts) -> Iterator[str]:
    versions: dict[str, int] = {}
    for event in facts.events:
        if isinstance(event.data, told.TicketEvent):
            ticket = event.data.ticket
            before = versions.get(ticket.id, 0)
            if ticket.version not in {before, before + 1}:
                yield f"{ticket.id} went from version {before} to {ticket.version} with {event.type}"
            versions[ticket.id] = ticket.version


def _all_is_told_once(facts: Facts) -> Iterator[str]:
    feed = Counter(row["event_id"] for row in facts.world.postgres.rows(_FEED))
    events = {event.id for event in facts.events}
    for event in events - feed.keys():
        yield f"{event} is not in the feed"
    for event, count in feed.items():
        if count > 1:
            yield f"{event} is in the feed {count} times"
    for text, count in Counter(row["text"] for row in facts.world.postgres.rows(_NOTES)).items():
        if count > 1:
            yield f"{text!r} was written once, and stands there {count} times"


def _doctor_finds_nothing(facts: Facts) -> Iterator[str]:
    for name in assembly.SERVICES:
        if find_spec(f"services.{name}.store.checks"):
            for check in import_module(f"services.{name}.store.checks").CHECKS:
                if rows := facts.world.postgres.rows(check.sql):
                    yield f"{check.name}: {[tuple(row) for row in rows[:3]]}"


_CHECKS: Final[tuple[Callable[[Facts], Iterator[str]], ...]] = (
    _nothing_lost,
    _every_reply_has_its_end,
    _every_operation_has_its_end,
    _one_answer,
    _fences_grow,
    _versions_have_no_gaps,
    _all_is_told_once,
    _doctor_finds_nothing,
)
