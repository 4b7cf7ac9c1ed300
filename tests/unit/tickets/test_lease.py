"""Who gets the right to answer, decided from a lease's row and the database's time."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from services.tickets.domain import lease as leases
from services.tickets.domain.lease import Ask, Ended, Lease, Refuse, Renew, Revoked, Take, Timing
from shared.events.payload import Actor

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ANN = Actor(kind="agent", id="ann", name="Ann")
BEN = Actor(kind="agent", id="ben")
BOT = Actor(kind="bot", id="bot")
KEY = Actor(kind="key", id="key")
TIMING = Timing(ttl=30 * SECOND, idle=120 * SECOND, longest=900 * SECOND, free_after=60 * SECOND, request=15 * SECOND)


def lease(**changes: object) -> Lease:
    held = Lease(
        scope="cus",
        workspace_id="w",
        fence=7,
        holder=ANN,
        session="a",
        active_at=NOW,
        expires_at=NOW + 30 * SECOND,
        idle=120 * SECOND,
    )
    return msgspec.structs.replace(held, **changes)


FREE = lease(holder=None, expires_at=None, active_at=None)
OVER = lease(expires_at=NOW)
OF_BOT = lease(holder=BOT)


@pytest.mark.parametrize(
    ("given", "who", "session", "expected"),
    [
        (None, ANN, None, Take()),
        (FREE, ANN, None, Take()),
        (lease(), ANN, "a", Renew()),
        (lease(), ANN, None, Renew()),
        (lease(session=None), ANN, "b", Renew()),
        (lease(), ANN, "b", Take(keeps_request=True)),
        (lease(), BEN, None, Refuse()),
        (lease(), BOT, None, Refuse()),
        (lease(), KEY, None, Refuse()),
        (OVER, BEN, None, Take(before=Ended(reason="expired"))),
        (OVER, ANN, "a", Take(before=Ended(reason="expired"))),
        (OVER, BOT, None, Take(before=Ended(reason="expired"))),
        (lease(expires_at=NOW, active_at=NOW - 120 * SECOND), BEN, None, Take(before=Ended(reason="idle"))),
        (OF_BOT, ANN, None, Take(before=Revoked(reason="preempted"))),
        (OF_BOT, KEY, None, Refuse()),
        (lease(holder=KEY), ANN, None, Take(before=Revoked(reason="preempted"))),
    ],
)
def test_asking_for_the_lease(given: Lease | None, who: Actor, session: str | None, expected: object) -> None:
    assert leases.acquire(given, who, session=session, at=NOW) == expected


def asked(by: Actor, seconds: float) -> Lease:
    return lease(wanted_by=by, wanted_until=NOW + seconds * SECOND)


TAKEN = Take(before=Revoked(reason="takeover"))


@pytest.mark.parametrize(
    ("given", "who", "mode", "expected"),
    [
        (None, BEN, "auto", Take()),
        (FREE, BEN, "auto", Take()),
        (OVER, BEN, "auto", Take(before=Ended(reason="expired"))),
        (lease(), ANN, "auto", Renew()),
        (OF_BOT, BEN, "auto", Take(before=Revoked(reason="preempted"))),
        (lease(), BEN, "force", TAKEN),
        (lease(), BOT, "force", TAKEN),
        (lease(), BEN, "auto", Ask()),
        (lease(), BOT, "auto", Refuse()),
        (lease(active_at=NOW - 60 * SECOND), BEN, "auto", Ask()),
        (lease(active_at=NOW - 60.1 * SECOND), BEN, "auto", TAKEN),
        (lease(active_at=NOW - 90 * SECOND), BOT, "auto", Refuse()),
        (asked(BEN, 5), BEN, "auto", Ask()),
        (asked(BEN, 0), BEN, "auto", TAKEN),
        (asked(BEN, -15), BEN, "auto", TAKEN),
        (asked(BEN, -15.1), BEN, "auto", Ask()),
        (asked(KEY, 5), BEN, "auto", Refuse()),
        (asked(KEY, -15), BEN, "auto", Refuse()),
        (asked(KEY, -15.1), BEN, "auto", Ask()),
    ],
)
def test_taking_over(given: Lease | None, who: Actor, mode: leases.TakeoverMode, expected: object) -> None:
    assert leases.take_over(given, who, session="z" if who is not ANN else "a", at=NOW, timing=TIMING, mode=mode) == (
        expected
    )


@pytest.mark.parametrize(
    ("given", "who", "override", "expected"),
    [
        (None, ANN, False, Take()),
        (lease(), ANN, False, Renew()),
        (OVER, ANN, False, Take(before=Ended(reason="expired"))),
        (lease(), BEN, False, Refuse()),
        (lease(), BEN, True, Take(before=Revoked(reason="override"))),
        (OF_BOT, BEN, True, Take(before=Revoked(reason="preempted"))),
    ],
)
def test_what_a_reply_does_about_the_lease(
    *, given: Lease | None, who: Actor, override: bool, expected: object
) -> None:
    assert leases.for_reply(given, who, override=override, at=NOW) == expected


@pytest.mark.parametrize(
    ("given", "who", "fence", "expected"),
    [
        (lease(), ANN, 7, False),
        (OVER, ANN, 7, False),
        (lease(), ANN, 6, True),
        (lease(), BEN, 7, True),
        (FREE, ANN, 7, True),
        (None, ANN, 7, True),
    ],
)
def test_a_fence_counts_while_nobody_had_the_lease_since(
    *, given: Lease | None, who: Actor, fence: int, expected: bool
) -> None:
    assert leases.is_fenced_off(given, who, fence) is expected


def test_a_lease_ends_at_its_very_instant() -> None:
    assert lease().is_live(NOW + 30 * SECOND - timedelta(microseconds=1))
    assert not lease().is_live(NOW + 30 * SECOND)
    assert not FREE.is_live(NOW)


def test_the_refusal_names_the_holder_and_the_end() -> None:
    refusal = leases.held(lease(), draft_id="drf_1")
    assert refusal.fields == {
        "holder": {"kind": "agent", "id": "ann", "name": "Ann"},
        "expires_at": (NOW + 30 * SECOND).isoformat(),
        "fence": 7,
        "draft_id": "drf_1",
    }


def test_a_lease_without_holder_is_not_shown() -> None:
    with pytest.raises(ValueError, match="nobody"):
        leases.view(FREE)
