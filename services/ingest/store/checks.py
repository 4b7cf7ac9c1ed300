"""What must hold in the `ingest` schema, as `baton doctor` asks it."""

from typing import Final

from shared.db.checks import Check

CHECKS: Final = (
    Check(
        name="ingest: deliveries are normalized",
        sql="""
            SELECT i.id FROM ingest.pending p JOIN ingest.inbox i ON i.id = p.inbox_id
            WHERE i.replays = 0 AND i.received_at < now() - interval '5 minutes'
        """,
        meaning="a delivery has waited for minutes: no normalizer runs, or it cannot keep up",
        fix="see that an ingest runs (`baton run ingest`) and what its log says",
    ),
    Check(
        name="ingest: what is pending waits in the queue",
        sql="""
            SELECT i.id FROM platform.channel c
            JOIN ingest.inbox i ON i.channel_id = c.id AND i.state = 'pending'
            LEFT JOIN ingest.pending p ON p.inbox_id = i.id WHERE p.inbox_id IS NULL
        """,
        meaning="a delivery is pending and nobody will ever look at it",
        fix="report it with the delivery's id: no code path can do this",
    ),
    Check(
        name="ingest: what waits in the queue is pending",
        sql="""
            SELECT p.inbox_id FROM ingest.pending p LEFT JOIN ingest.inbox i ON i.id = p.inbox_id
            WHERE i.state IS DISTINCT FROM 'pending'
        """,
        meaning="the queue names a delivery that is settled or gone",
        fix="report it with the delivery's id: no code path can do this",
    ),
)
