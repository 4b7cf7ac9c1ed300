"""Surges begin and end here: counted with each batch, looked at by a timer per workspace, ended by a person."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from services.router.domain import surge, usual
from services.router.domain.facts import SurgeChange
from services.router.domain.rounds import of_surge
from services.router.domain.surge import Followed, Policy, Reading, Step, Watched
from services.router.domain.usual import ENOUGH_WEEKS, HOUR, Span
from services.router.domain.vocabulary import Change
from services.router.handlers.gathering import message_of
from services.router.store import rounds, surge_counts, surge_policies, surges
from services.router.store.decisions import Decided
from services.router.store.rounds import Leg
from services.router.store.surge_counts import Place
from services.router.store.surge_policies import Kept
from services.router.store.surges import Ended, Noticed, Surge
from shared.db.timers import Timer, set_timer
from shared.db.transaction import Transaction
from shared.errors import Conflict, NotFound
from shared.events.envelope import Event
from shared.events.payload import SYSTEM, Actor
from shared.events.surges import SurgeBegan, SurgeEnded, Volume
from shared.ids import Ids
from shared.telemetry.metrics import Metrics

LOOK_TIMER: Final = "surge-look"
LOOK_EVERY: Final = timedelta(seconds=15)


def counted(
    fresh: Mapping[str, Event], decided: Mapping[str, Decided], watched: Mapping[str, Watched]
) -> Counter[Place]:
    """What a batch adds to each subject: by the minutes in which messages came, also where they waited since.

    What a rule ignores nobody works on, and what was understood only afterwards came at another time.
    """
    counts: Counter[Place] = Counter()
    if not watched:
        return counts
    for id_, one in decided.items():
        policy = watched[one.workspace_id].policy if one.workspace_id in watched else None
        message = message_of(fresh[id_])
        if policy is None or one.outcome == "ignore" or message.replayed:
            continue
        minute = message.received_at.replace(second=0, microsecond=0)
        lane = one.action.lane or one.facts.told_lane
        for subject in surge.subjects(policy, channel=message.channel_id, lane=lane, tags=one.action.tags):
            counts[Place(one.workspace_id, minute, subject)] += 1
    return counts


class Surges:
    """Looks at workspaces when it is time, and ends surges for whoever may. One per process."""

    def __init__(self, ids: Ids, metrics: Metrics) -> None:
        self._ids = ids
        self._metrics = metrics

    async def lock(self, tx: Transaction, timer: Timer) -> None:
        """Of several processes one looks at a time."""
        if timer.kind == LOOK_TIMER:
            await surge_policies.load(tx, timer.workspace_id, lock=True)

    async def on_timer(self, tx: Transaction, timer: Timer) -> None:
        """One look; sets the timer for the next one."""
        kept = await surge_policies.load(tx, timer.workspace_id, lock=True)
        if kept is not None:
            await self.look(tx, kept)
            await self.plan(tx, timer.workspace_id, within=LOOK_EVERY)

    async def plan(self, tx: Transaction, workspace_id: str, *, within: timedelta = timedelta()) -> None:
        """When to look next; the policy's lock is held."""
        await set_timer(tx, self._ids, workspace_id=workspace_id, kind=LOOK_TIMER, subject=workspace_id, due=within)

    async def look(self, tx: Transaction, kept: Kept) -> None:
        """Begins and ends what is due, under the policy's lock."""
        workspace, policy, now = kept.workspace_id, kept.document, await tx.now()
        await surge_counts.fold(tx, workspace)
        followed = {one.subject: one for one in await surges.followed(tx, workspace)}
        readings = await _read(tx, kept, followed, now=now)
        steps = {
            subject: surge.step(policy, _followed(followed.get(subject)), reading, now=now)
            for subject, reading in readings.items()
        }
        noticed = {
            subject: _noticed(followed[subject].id if subject in followed else self._ids.new("srg"), subject, reading)
            for subject, reading in readings.items()
        }
        await _follow(tx, noticed, steps, followed)
        if beginning := [noticed[subject] for subject, one in steps.items() if one == "start"]:
            begun = await surges.begin(
                tx, workspace, beginning, version=kept.version, policy=policy, author=kept.author
            )
            self._tell_begun(tx, begun)
            await _ask(tx, begun, "began")
        for step, why in _ENDS.items():
            await self._end(tx, [noticed[subject] for subject, one in steps.items() if one == step], why=why)
        if any(one in _CHANGES for one in steps.values()):
            await _mark(tx, kept)

    async def end(self, tx: Transaction, workspace_id: str, surge_id: str, *, by: Actor) -> Surge:
        """A person ends one: nothing of its subject begins again before that was calm once."""
        kept = await surge_policies.load(tx, workspace_id, lock=True)
        found = await surges.load(tx, workspace_id, surge_id)
        if found is None:
            raise NotFound(f"there is no surge {surge_id}")
        if kept is None or found.ended_at is not None:
            raise Conflict("this surge is over already")
        reading = (await _read(tx, kept, {found.subject: found}, now=await tx.now()))[found.subject]
        [ended] = await self._end(tx, [_noticed(found.id, found.subject, reading)], why="person", by=by)
        await _mark(tx, kept)
        return ended

    async def end_all(self, tx: Transaction, kept: Kept, *, by: Actor) -> None:
        """With its policy every surge ends; the policy's lock is held."""
        followed = [one for one in await surges.followed(tx, kept.workspace_id) if one.ended_at is None]
        if not followed:
            return
        last = await _read(tx, kept, {one.subject: one for one in followed}, now=await tx.now())
        noticed = [_noticed(one.id, one.subject, last[one.subject]) for one in followed]
        await self._end(tx, noticed, why="policy", by=by)

    async def _end(
        self, tx: Transaction, some: Sequence[Noticed], *, why: Ended, by: Actor = SYSTEM
    ) -> Sequence[Surge]:
        if not some:
            return ()
        ended = await surges.end(tx, some, why=why, by=by.id)
        for one in ended:
            assert one.ended_at is not None  # noqa: S101 - it was ended just now
            tx.emit(
                SurgeEnded(
                    workspace_id=one.workspace_id,
                    surge_id=one.id,
                    subject=one.subject,
                    at=one.ended_at,
                    volume=Volume(messages=one.ended_messages or 0, minutes=one.minutes, usual=one.ended_usual),
                    actor=by,
                    policy_version=one.policy_version,
                    reason=why,
                    began_at=one.began_at,
                    peak=one.peak_messages,
                ),
                key=one.workspace_id,
            )
        await _ask(tx, ended, "ended")
        self._count(tx, why, len(ended))
        return ended

    def _tell_begun(self, tx: Transaction, begun: Sequence[Surge]) -> None:
        for one in begun:
            during = one.policy.during
            tx.emit(
                SurgeBegan(
                    workspace_id=one.workspace_id,
                    surge_id=one.id,
                    subject=one.subject,
                    at=one.began_at,
                    volume=Volume(messages=one.messages, minutes=one.minutes, usual=one.usual),
                    actor=SYSTEM,
                    policy_version=one.policy_version,
                    policy_author=one.policy_author,
                    tags=during.tags,
                    priority=during.priority,
                    team=during.team,
                    pause_bots=during.pause_bots,
                ),
                key=one.workspace_id,
            )
        self._count(tx, "began", len(begun))

    def _count(self, tx: Transaction, change: str, number: int) -> None:
        tx.after_commit(lambda: self._metrics.counter("baton_surges_total", change=change).inc(number))


_ENDS: Final[Mapping[Step, Ended]] = {"end": "calm", "settle": "lasting"}
_CHANGES: Final = frozenset({"start", *_ENDS})


async def _ask(tx: Transaction, some: Sequence[Surge], change: Change) -> None:
    """Rules are asked about the open tickets that these concern."""
    asked = [(one, SurgeChange(change=change, subject=one.subject)) for one in some]
    await rounds.go_on(tx, [Leg(one.workspace_id, of_surge(one.id, surge)) for one, surge in asked])


def _noticed(surge_id: str, subject: str, reading: Reading) -> Noticed:
    return Noticed(id=surge_id, subject=subject, messages=reading.messages, usual=reading.expected)


async def _follow(
    tx: Transaction, noticed: Mapping[str, Noticed], steps: Mapping[str, Step], followed: Mapping[str, Surge]
) -> None:
    known = [subject for subject in noticed if subject in followed]
    is_calm = [
        steps[subject] == "calm" or (followed[subject].calm_since is not None and steps[subject] != "loud")
        for subject in known
    ]
    if known:
        await surges.follow(tx, [noticed[subject] for subject in known], is_calm)


async def _mark(tx: Transaction, kept: Kept) -> None:
    followed = await surges.followed(tx, kept.workspace_id)
    await surge_policies.mark(tx, kept.workspace_id, {one.subject: one.id for one in followed if one.ended_at is None})


async def _read(tx: Transaction, kept: Kept, followed: Collection[str], *, now: datetime) -> dict[str, Reading]:
    """What the window holds of every subject that may begin a surge, or is followed."""
    span = _span(kept.document, now)
    workspace = kept.workspace_id
    messages = await surge_counts.window(
        tx, workspace, since=span.start, at_least=kept.document.at_least, also=followed
    )
    if not messages:
        return {}
    # A channel that was connected yesterday has not been silent before.
    first = await surge_counts.first_hours(tx, workspace, [one for one in messages if one.startswith("channel:")])
    since = {
        subject: max(kept.counting_since, first.get(subject, now))
        if subject.startswith("channel:")
        else kept.counting_since
        for subject in messages
    }
    weeks = {subject: usual.weeks_counted(span, since[subject]) for subject in messages}
    old = [subject for subject in messages if weeks[subject] >= ENOUGH_WEEKS]
    young = [subject for subject in messages if weeks[subject] < ENOUGH_WEEKS]
    same = await surge_counts.hours(tx, workspace, old, span.hours()) if old else {}
    # The last hours are minutes still.
    until = now.replace(minute=0, second=0, microsecond=0) - HOUR
    begun = min((since[subject] for subject in young), default=until)
    hours = await surge_counts.all_hours(tx, workspace, young, since=begun, until=until) if young else {}
    expected = {subject: usual.by_week(span, same[subject], weeks=weeks[subject]) for subject in old} | {
        subject: usual.by_hour(span, hours[subject], hours=max(int((until - since[subject]) / HOUR), 0))
        for subject in young
    }
    return {subject: Reading(count, expected[subject]) for subject, count in messages.items()}


def _span(policy: Policy, now: datetime) -> Span:
    start = now.replace(second=0, microsecond=0) - timedelta(minutes=policy.window_minutes)
    return Span(start, now)


def _followed(one: Surge | None) -> Followed | None:
    if one is None:
        return None
    return Followed(began_at=one.began_at, is_open=one.ended_at is None, calm_since=one.calm_since)
