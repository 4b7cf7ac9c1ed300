"""Every decision with what it saw, one per message event, for as long as the workspace keeps its messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shared.db.together import Rows
from shared.db.transaction import Transaction
from shared.errors import Retryable
from shared.events.routing import Lane

_INSERT: Final = """
INSERT INTO router.decision
    (id, workspace_id, event_id, message_id, ruleset_version, rule, outcome, action, evidence, facts)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::text[], $7::text[], $8::jsonb[],
                     $9::jsonb[], $10::jsonb[])
ON CONFLICT DO NOTHING
"""


_LANES: Final = """
SELECT message_id, lane FROM router.decision
CROSS JOIN LATERAL (SELECT coalesce(action ->> 'lane', facts -> 'classified' ->> 'lane') AS lane) AS told
WHERE workspace_id = ANY($1::text[]) AND message_id = ANY($2::text[]) AND lane IS NOT NULL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """One decision as it is stored."""

    id: str
    workspace_id: str
    event_id: str
    message_id: str
    ruleset_version: int
    rule: str
    outcome: str
    action: Any
    matched: Any
    """Names of all rules that held, in order."""
    facts: Any
    created_at: datetime | None = None


def keep(tx: Transaction, decided: Sequence[Decided]) -> None:
    """Stores new decisions with the next statement; Retryable where somebody else has made one of them meanwhile."""
    if not decided:
        return

    tx.defer(
        _INSERT,
        [one.id for one in decided],
        [one.workspace_id for one in decided],
        [one.event_id for one in decided],
        [one.message_id for one in decided],
        [one.ruleset_version for one in decided],
        [one.rule for one in decided],
        [one.outcome for one in decided],
        [one.action for one in decided],
        [one.matched for one in decided],
        [one.facts for one in decided],
        rows=Rows(len(decided), lambda: Retryable("a message was decided about by somebody else at this moment")),
    )


async def lanes(tx: Transaction, messages: Mapping[str, str]) -> dict[str, Lane]:
    """The lane of each of these messages (by id, with its workspace) that has one."""
    if not messages:
        return {}
    rows = await tx.fetch(_LANES, sorted(set(messages.values())), list(messages))
    return {row["message_id"]: row["lane"] for row in rows}


async def of_message(tx: Transaction, message_id: str) -> list[Decided]:
    """The decisions about one message, oldest first."""
    rows = await tx.fetch(
        "SELECT id, workspace_id, event_id, message_id, ruleset_version, rule, outcome, action, evidence AS matched, "
        "facts, created_at FROM router.decision WHERE message_id = $1 ORDER BY created_at, id",
        message_id,
    )
    return [Decided(**dict(row)) for row in rows]
