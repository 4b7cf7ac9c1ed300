"""Named places where a test may kill, stop or fail the process; nothing at all in production."""

import os
import signal
import time
from typing import Final

REGISTERED: Final[dict[str, str]] = {
    "inbox.stored": "after the inbox batch is committed, before the network is answered",
    "inbox.before_store": "before the inbox batch is written",
    "normalizer.before_commit": "normalized events are written but not committed",
    "normalizer.committed": "after the normalizer's commit",
    "sequencer.before_commit": "before the statement that assigns positions and commits them",
    "sequencer.committed": "after positions are committed, before readers wake",
    "relay.before_send": "events are read, before the broker gets them",
    "relay.sent": "the broker has acknowledged events, before they are deleted",
    "relay.deleted": "after acknowledged events are deleted",
    "consumer.before_commit": "a batch is handled but not committed",
    "consumer.committed": "after a batch is committed",
    "consumer.position_committed": "after a batch's position is committed, which on Kafka is a step of its own",
    "reply.claimed": "a reply is claimed and committed, before the request is sent",
    "reply.checked": "the claim was fresh at the last look, before the request is sent",
    "reply.sent": "the network has answered, before the outcome is recorded",
    "reply.recorded": "after the outcome of a reply is committed",
    "moderation.claimed": "an operation on an item is claimed and committed, before the request is sent",
    "moderation.sent": "the network has answered, before the outcome of an operation is recorded",
    "delivery.claimed": "a webhook delivery is claimed, before the request is sent",
    "delivery.sent": "the endpoint has answered, before the attempt is recorded",
}
"""Every failpoint and where it stands; a name that is not here cannot be hit."""


class InjectedFailure(Exception):
    """What a failpoint armed with `raise` raises."""


_ARMED: Final[dict[str, str]] = {}


def arm() -> None:
    """BATON_FAILPOINTS=name=action[,name=action]; actions: kill, stop (once), raise, sleep:<seconds>.

    Read once, when this is imported; a process that was forked later reads it again.
    """
    spec = os.environ.get("BATON_FAILPOINTS", "")
    _ARMED.clear()
    _ARMED.update(dict(part.split("=", 1) for part in spec.split(",") if "=" in part))


arm()


def hit(name: str) -> None:
    """Does what the environment armed this failpoint with, and says so; costs one look-up when nothing is armed."""
    if not _ARMED:
        return
    action = _ARMED.get(name)
    if action is None:
        return
    if name not in REGISTERED:
        raise KeyError(name)
    # Past all buffers: what follows may be the end.
    os.write(2, f"failpoint {name}: {action}\n".encode())
    match action.split(":", 1):
        case ["kill"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["stop"]:
            del _ARMED[name]
            os.kill(os.getpid(), signal.SIGSTOP)
        case ["sleep", seconds]:
            time.sleep(float(seconds))
        case _:
            raise InjectedFailure(name)
