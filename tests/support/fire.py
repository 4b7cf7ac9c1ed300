"""Failpoints under fire: on which event logs each is reached, and so has to be died at, with deadlines to match."""

import ast
from collections import defaultdict
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]

BOTH: Final = frozenset({"postgres", "kafka"})
POSTGRES: Final = frozenset({"postgres"})
KAFKA: Final = frozenset({"kafka"})

CASES: Final = {
    "inbox.before_store": BOTH,
    "inbox.stored": BOTH,
    "normalizer.before_commit": BOTH,
    "normalizer.committed": BOTH,
    "sequencer.before_commit": POSTGRES,
    "sequencer.committed": POSTGRES,
    "relay.before_send": KAFKA,
    "relay.sent": KAFKA,
    "relay.deleted": KAFKA,
    "consumer.before_commit": BOTH,
    "consumer.committed": BOTH,
    "consumer.position_committed": BOTH,
    "reply.claimed": BOTH,
    "reply.checked": BOTH,
    "reply.sent": BOTH,
    "reply.recorded": BOTH,
    "moderation.claimed": BOTH,
    "moderation.sent": BOTH,
    "delivery.claimed": BOTH,
    "delivery.sent": BOTH,
}
"""Written by hand, and compared with the code: whoever adds a failpoint thinks of where it is reached."""

HASTE: Final = {
    "BATON_LOG_LEASE_MS": "1000",
    "BATON_RELAY_LEASE_MS": "1000",
    "BATON_KAFKA_SESSION_MS": "1500",
    "BATON_NORMALIZER_TTL_MS": "1000",
    "BATON_NORMALIZER_HEARTBEAT_MS": "250",
    "BATON_LANE_TTL_MS": "1000",
    "BATON_LANE_REFRESH_MS": "250",
    "BATON_REPLY_FRESH_MS": "700",
    "BATON_REPLY_TIMEOUT_MS": "1000",
    "BATON_REPLY_CLAIM_MS": "2000",
}
"""Short deadlines: whatever the dead held is soon free."""

_ONLY: Final = {"shared/log/postgres/": POSTGRES, "shared/log/relay.py": KAFKA, "shared/log/kafka/": KAFKA}


def hits() -> dict[str, list[str]]:
    """Every failpoint that the code hits, with the files in which it does."""
    found: dict[str, list[str]] = defaultdict(list)
    for package in ("services", "shared"):
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text("utf-8")
            for node in ast.walk(ast.parse(text)) if "failpoints.hit" in text else ():
                match node:
                    case ast.Call(func=ast.Attribute(value=ast.Name("failpoints"), attr="hit"), args=[name]):
                        found[ast.literal_eval(name)].append(str(path.relative_to(ROOT)))
    return dict(found)


def logs_of(place: str) -> frozenset[str]:
    """The event logs whose processes come by a file."""
    return next((logs for start, logs in _ONLY.items() if place.startswith(start)), BOTH)
