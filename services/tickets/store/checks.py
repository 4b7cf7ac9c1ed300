"""What must hold in the `tickets` schema, as `baton doctor` asks it."""

from typing import Final

from shared.db.checks import Check
from shared.db.plans import punctual

CHECKS: Final = (
    Check(
        name="tickets: what is to be done to messages comes to an end",
        sql="SELECT id FROM tickets.moderation WHERE state = 'requested' AND created_at < now() - interval '1 hour'",
        meaning="somebody or a rule wanted a message hidden, deleted or liked, and nobody has told what came of it",
        fix="see that notifier and tickets run, and look for dead letters: `baton dlq list`",
    ),
    Check(
        name="tickets: load is what is owned",
        sql="""
            SELECT l.agent_id, l.load, count(t.id) AS owned FROM tickets.agent_load l
            LEFT JOIN tickets.assignment a ON a.workspace_id = l.workspace_id AND a.agent_id = l.agent_id
                AND a.ended_at IS NULL AND a.state IN ('offered', 'accepted')
            LEFT JOIN tickets.ticket t ON t.id = a.ticket_id AND t.state IN ('open', 'pending', 'snoozed')
            GROUP BY l.workspace_id, l.agent_id, l.load HAVING l.load <> count(t.id)
        """,
        meaning="an agent's reserved load differs from the tickets that the agent owns or was offered",
        fix="set the agent away and available again: the load is counted anew",
    ),
    Check(
        name="tickets: the owner is who accepted",
        sql="""
            SELECT t.id FROM tickets.ticket t
            LEFT JOIN tickets.assignment a ON a.ticket_id = t.id AND a.ended_at IS NULL AND a.state = 'accepted'
            WHERE t.state IN ('open', 'pending', 'snoozed') AND t.owner_id IS DISTINCT FROM a.agent_id
        """,
        meaning="a ticket's owner is not the agent whose assignment is in force",
        fix="transfer the ticket to the right agent: a new assignment replaces the old one",
    ),
    Check(
        name="tickets: every ticket has a team that exists",
        sql="""
            SELECT t.id, t.team_id FROM tickets.ticket t
            LEFT JOIN platform.team p ON p.workspace_id = t.workspace_id AND p.id = t.team_id
            WHERE t.state IN ('open', 'pending', 'snoozed') AND p.id IS NULL
        """,
        meaning="a ticket waits in the queue of a team that was deleted: nobody sees it",
        fix="transfer these tickets to another team",
    ),
    Check(
        name="tickets: every schedule is followed",
        sql="""
            SELECT s.team_id, d.due_at FROM platform.schedule s
            LEFT JOIN tickets.timer d ON d.workspace_id = s.workspace_id AND d.kind = 'duty' AND d.subject = s.team_id
            WHERE d.due_at IS NULL OR d.due_at < now() - interval '1 minute'
        """,
        meaning="a change of duty is overdue: work goes to those who were on duty before",
        fix="see that tickets runs (`baton run tickets`) and what it logs as `timer_failed`",
    ),
    Check(
        name="tickets: the timeline has no gaps",
        sql="""
            SELECT t.id, t.last_seq, count(e.seq) AS entries FROM tickets.ticket t
            JOIN tickets.entry e ON e.ticket_id = t.id
            GROUP BY t.id, t.last_seq HAVING t.last_seq <> max(e.seq) OR max(e.seq) <> count(e.seq)
        """,
        meaning="an entry of a ticket's timeline is missing: the traffic cop cannot be trusted for it",
        fix="report it with the ticket's timeline: no code path can do this",
    ),
    Check(
        name="tickets: unknown replies are settled",
        sql="SELECT id FROM tickets.reply WHERE state = 'unknown' AND ask_after < now() - interval '1 hour'",
        meaning="a reply of unknown fate holds its turn, and nobody has said what became of it",
        fix="look on the network, then POST /v1/replies/{id}/outcome",
    ),
    Check(
        name="tickets: replies do not wait for long",
        sql="""
            SELECT id FROM tickets.reply
            WHERE state IN ('queued', 'sending') AND created_at < now() - interval '10 minutes'
        """,
        meaning="a reply has waited for ten minutes: the notifier is not running, or the network throttles",
        fix="see that a notifier runs (`baton run notifier`) and look at the channel's health",
    ),
    punctual("tickets"),
)
