"""What must hold in the `notifier` schema, as `baton doctor` asks it."""

from typing import Final

from shared.db.checks import Check

CHECKS: Final = (
    Check(
        name="notifier: a turn is answered by one reply at a time",
        sql="""
            SELECT t.message_id FROM notifier.reply_turn t JOIN notifier.reply r ON r.id = t.reply_id
            WHERE r.state = 'sending' GROUP BY t.message_id HAVING count(*) > 1
        """,
        meaning="two replies that are being sent answer the same message",
        fix="report it with both replies: no code path can do this",
    ),
    Check(
        name="notifier: a ticket is due when the first of its replies is",
        sql="""
            SELECT t.id FROM notifier.ticket t LEFT JOIN LATERAL (
                SELECT min(r.due_at) AS first FROM notifier.reply r
                WHERE r.ticket_id = t.id AND r.state IN ('waiting', 'sending', 'unknown')
            ) u ON true WHERE t.due_at IS DISTINCT FROM u.first
        """,
        meaning="a reply is due and no sender will look at its ticket in time",
        fix="report it with the ticket's replies: no code path can do this",
    ),
    Check(
        name="notifier: no reply waits for nobody",
        sql="""
            SELECT r.id FROM notifier.reply r WHERE r.state = 'waiting' AND r.due_at IS NULL AND NOT EXISTS (
                SELECT FROM notifier.reply_turn mine JOIN notifier.reply_turn theirs USING (message_id)
                JOIN notifier.reply o ON o.id = theirs.reply_id
                WHERE mine.reply_id = r.id AND o.id <> r.id AND o.state IN ('waiting', 'sending', 'unknown')
            )
        """,
        meaning="a reply waits behind another one that is finished",
        fix="cancel it and send its draft again: DELETE /v1/replies/{id}",
    ),
    Check(
        name="notifier: due replies are looked at",
        sql="SELECT id FROM notifier.ticket WHERE due_at < now() - interval '5 minutes'",
        meaning="a reply has been due for minutes and nobody has looked at it",
        fix="see that a notifier runs (`baton run notifier`) and what its log says",
    ),
    Check(
        name="notifier: an item is due when the first operation on it is",
        sql="""
            SELECT m.message_id FROM notifier.moderation m LEFT JOIN notifier.item i ON i.id = m.message_id
            WHERE m.state = 'waiting' AND i.due_at IS NULL
        """,
        meaning="something is to be done to a message on its network, and no sender will look at it",
        fix="report it with the message's id: no code path can do this",
    ),
    Check(
        name="notifier: the feed has no gaps",
        sql="""
            SELECT c.workspace_id FROM (
                SELECT workspace_id, first, notifier.last_number(workspace_id) AS last FROM notifier.feed_counter
            ) c WHERE least(10000, c.last - c.first + 1) <> (
                SELECT count(*) FROM notifier.feed f
                WHERE f.workspace_id = c.workspace_id AND f.number > c.last - 10000 AND f.number >= c.first
            )
        """,
        meaning="a number of the feed is missing: whoever resumes there misses an event",
        fix="report it with the workspace's id: no code path can do this",
    ),
    Check(
        name="notifier: endpoints answer",
        sql="""
            SELECT endpoint_id FROM notifier.lane WHERE is_open AND failing_since < now() - interval '1 day'
        """,
        meaning="an endpoint has only failed for a day, and will be disabled after some more",
        fix="look at GET /v1/endpoints/{id}/deliveries, and tell its owner or pause it",
    ),
)
