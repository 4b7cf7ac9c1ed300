"""`baton doctor` finds what breaks an invariant, and nothing in a database that is well."""

from importlib import import_module

import pytest

from services import assembly
from shared.db import checks
from shared.db.checks import Check
from shared.db.pool import Database
from shared.db.scope import Owner

KNOWN: dict[str, Check] = {
    check.name: check
    for service in assembly.SERVICES
    for check in import_module(f"services.{service}.store.checks").CHECKS
}
_CHANNEL = """
INSERT INTO platform.channel (id, workspace_id, network, name, external_id, purpose, credentials)
VALUES ('chn_1', 'w1', 'api', 'n', 'e', 'care', '')
"""
_INBOX = """
INSERT INTO ingest.inbox (id, workspace_id, channel_id, network, shard, delivery_key, headers, body, state, received_at)
VALUES ('inb_1', 'w1', 'chn_1', 'api', 0, 'k', '', '', '{state}', now() - interval '10 minutes')
"""
_PENDING = (
    "INSERT INTO ingest.pending (shard, inbox_id, workspace_id, channel_id, size) VALUES (0, 'inb_1', 'w1', 'chn_1', 1)"
)
_TICKET = "INSERT INTO notifier.ticket (id, workspace_id, due_at) VALUES ('tkt_1', 'w1', {due})"
_REPLY = """
INSERT INTO notifier.reply (id, workspace_id, ticket_id, seq, channel_id, network, fence, override, hold_on_message,
    data, state) VALUES ('rpl_{n}', 'w1', 'tkt_1', {n}, 'chn_1', 'api', 1, false, false, '', '{state}');
INSERT INTO notifier.reply_turn (message_id, reply_id, workspace_id) VALUES ('msg_1', 'rpl_{n}', 'w1')
"""
_FEED = """
INSERT INTO notifier.feed_counter (workspace_id) VALUES ('w1');
INSERT INTO notifier.feed (workspace_id, number, event_id, type, at, data)
SELECT 'w1', n, 'evt_' || n, 't', now(), '' FROM unnest(ARRAY[1, 3]) n
"""
_LANE = """
INSERT INTO notifier.lane (endpoint_id, workspace_id, cursor, is_open, failing_since)
VALUES ('end_1', 'w1', 0, true, now() - interval '2 days')
"""
_RULESET = """
INSERT INTO router.ruleset (workspace_id, version, document) VALUES
    ('w1', 1, '{"fallback": {}, "rules": [{"then": {"webhook": {"endpoint": "end_0"}}}]}'),
    ('w1', 2, '{"fallback": {}, "rules": [{"then": {"webhook": {"endpoint": "end_1"}}}, {"then": {"team": "care"}}]}');
INSERT INTO router.activation (workspace_id, number, version, reason) VALUES ('w1', 1, 1, 'x'), ('w1', 2, 2, 'x')
"""
_PLANS = """
INSERT INTO router.plan (id, workspace_id, at, what, name, author, state) VALUES
    ('pln_0', 'w1', now() - interval '1 hour', '{}', 'a', 'key_1', 'done'),
    ('pln_1', 'w1', now() - interval '1 hour', '{}', 'b', 'key_1', 'upcoming'),
    ('pln_2', 'w1', now() + interval '1 hour', '{}', 'c', 'key_1', 'upcoming');
INSERT INTO router.timer (id, workspace_id, kind, subject, due_at)
SELECT 'tmr_' || id, 'w1', 'plan', id, at FROM router.plan
"""


async def broken(database: Database) -> dict[str, tuple[str, ...]]:
    """The checks that something breaks, each with what does."""
    found = {name: await checks.look(database, check, frozenset({"w1"})) for name, check in KNOWN.items()}
    return {name: breach.examples for name, breach in found.items() if breach}


async def test_a_database_that_is_well_breaks_nothing(database: Database):
    assert len(KNOWN) > 15
    assert await broken(database) == {}


@pytest.mark.parametrize(
    ("name", "statements", "example"),
    [
        ("ingest: deliveries are normalized", [_INBOX.format(state="pending"), _PENDING], "inb_1"),
        ("ingest: what is pending waits in the queue", [_CHANNEL, _INBOX.format(state="pending")], "inb_1"),
        ("ingest: what waits in the queue is pending", [_INBOX.format(state="normalized"), _PENDING], "inb_1"),
        (
            "notifier: a turn is answered by one reply at a time",
            [_TICKET.format(due="null"), _REPLY.format(n=1, state="sending"), _REPLY.format(n=2, state="sending")],
            "msg_1",
        ),
        ("notifier: a ticket is due when the first of its replies is", [_TICKET.format(due="now()")], "tkt_1"),
        (
            "notifier: no reply waits for nobody",
            [_TICKET.format(due="null"), _REPLY.format(n=1, state="sent"), _REPLY.format(n=2, state="waiting")],
            "rpl_2",
        ),
        ("notifier: due replies are looked at", [_TICKET.format(due="now() - interval '1 hour'")], "tkt_1"),
        ("notifier: the feed has no gaps", [_FEED], "w1"),
        ("notifier: endpoints answer", [_LANE], "end_1"),
        ("router: endpoints that rules tell exist", [_RULESET], "w1 end_1"),
        ("router: plans are carried out", [_PLANS], "pln_1"),
    ],
    ids=lambda value: value if isinstance(value, str) and ":" in value else "",
)
async def test_what_breaks_an_invariant_is_named(database: Database, name: str, statements: list[str], example: str):
    async with database.transaction(Owner()) as tx:
        await tx.execute("INSERT INTO platform.workspace (workspace_id, name) VALUES ('w1', 'n')")
        for statement in ";".join(statements).split(";"):
            await tx.execute(statement)
    assert (await broken(database))[name] == (example,)
