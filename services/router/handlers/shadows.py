"""Candidates that decide beside the version in force, in the same pass over the batch and without effect."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import structlog

from services.router.domain import compile as index
from services.router.domain.comparison import Difference, Tally
from services.router.domain.compile import Verdict
from services.router.handlers.compiling import compiled
from services.router.handlers.remembered import REMEMBER, Remembered
from services.router.store import rulesets, shadows
from services.router.store.decisions import Decided
from services.router.store.shadows import Candidate, Compared, Shadow
from shared.db.transaction import Transaction
from shared.errors import Conflict, NotFound
from shared.telemetry.metrics import Metrics

RING: Final = 20
"""Examples that each process keeps of a run."""

MOST_RINGS: Final = 10_000
"""Places in rings that are remembered; a ring whose place was forgotten begins again."""

_LONGEST_ERROR: Final = 500


class Trial(NamedTuple):
    """The candidates of one batch: those that can decide, and what became of the others."""

    ready: dict[Candidate, index.Ruleset]
    errors: dict[Candidate, str]


class Shadows:
    """What a process knows of candidates. `writer`: whose rows it counts in; best one that no other process has."""

    def __init__(self, writer: int = 0, metrics: Metrics | None = None) -> None:
        self.writer = writer
        self._metrics = metrics or Metrics()
        self._compiled = Remembered(REMEMBER // 4)
        self._kept: dict[Candidate, int] = {}

    async def beside(self, tx: Transaction, candidates: Mapping[str, Candidate]) -> Trial:
        """Candidates by workspace, ready to decide; what cannot be compiled is an error of its own."""
        trial = Trial({}, {})
        missing: dict[str, Candidate] = {}
        for workspace, candidate in candidates.items():
            if known := self._compiled.get(workspace, candidate.version):
                trial.ready[candidate] = known
            else:
                missing[workspace] = candidate
        if missing:
            versions = {workspace: candidate.version for workspace, candidate in missing.items()}
            documents = await rulesets.documents(tx, versions)
            for workspace, candidate in missing.items():
                try:
                    ruleset = await compiled(documents[workspace, candidate.version])
                except Exception as error:  # noqa: BLE001 - what is tried must not stop what is in force
                    trial.errors[candidate] = self._told(candidate, error)
                else:
                    self._compiled.keep(workspace, candidate.version, ruleset)
                    trial.ready[candidate] = ruleset
        return trial

    def compare(self, tx: Transaction, made: Iterable[Decided], trial: Trial) -> None:
        """Lets candidates decide what was decided just now. An error of theirs ends them, never the batch."""
        by_workspace: dict[str, list[Decided]] = {}
        for one in made:
            by_workspace.setdefault(one.workspace_id, []).append(one)
        found: list[Compared] = []
        errors = dict(trial.errors)
        for candidate, ruleset in trial.ready.items():
            try:
                found.append(self._compared(candidate, ruleset, by_workspace.get(candidate.workspace_id, ())))
            except Exception as error:  # noqa: BLE001 - as above
                errors[candidate] = self._told(candidate, error)
        shadows.add(tx, found, writer=self.writer)
        shadows.fail(tx, errors)

    def _compared(self, candidate: Candidate, ruleset: index.Ruleset, some: Sequence[Decided]) -> Compared:
        tally = Tally()
        differences: list[Difference] = []
        for one in some:
            before = Verdict(rule=one.rule, action=one.action, matched=one.matched)
            after = ruleset.decide(one.facts)
            if difference := tally.add(one.message_id, one.facts.at, one.facts, before, after):
                differences.append(difference)
        return Compared(
            candidate=candidate, counts=tally.sums(), examples=dict(self._slots(candidate, differences[-RING:]))
        )

    def _slots(self, candidate: Candidate, differences: Sequence[Difference]) -> list[tuple[int, Difference]]:
        if len(self._kept) > MOST_RINGS:
            self._kept.clear()
        kept = self._kept.get(candidate, 0)
        self._kept[candidate] = kept + len(differences)
        return [((kept + number) % RING, difference) for number, difference in enumerate(differences)]

    def _told(self, candidate: Candidate, error: Exception) -> str:
        self._metrics.counter("baton_shadow_failures_total").inc()
        facts = candidate._asdict()
        structlog.get_logger().warning("shadow_failed", **facts, exc_info=error)
        return f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]


async def start(tx: Transaction, workspace_id: str, version: int, *, author: str) -> Shadow:
    """Lets a version run beside the one in force, from the next batch on."""
    documents = await rulesets.documents(tx, {workspace_id: version})
    if (workspace_id, version) not in documents:
        raise NotFound(f"there is no ruleset version {version}")
    if (await rulesets.active_versions(tx, [workspace_id]))[workspace_id] == version:
        raise Conflict("this version is in force: a shadow is compared with what is")
    # What cannot decide is told now, not in the middle of a batch.
    await compiled(documents[workspace_id, version])
    await shadows.start(tx, workspace_id, version, author=author)
    return await report(tx, workspace_id, version)


async def stop(tx: Transaction, workspace_id: str, *, by: str) -> None:
    """Ends the candidate that runs; what it found stays to be read."""
    if not await shadows.end(tx, workspace_id, why="stopped", by=by):
        raise NotFound("no version runs as a shadow")


async def report(tx: Transaction, workspace_id: str, version: int) -> Shadow:
    """What the last run of a version found so far."""
    found = await shadows.find(tx, workspace_id, version)
    if found is None:
        raise NotFound(f"version {version} did not run as a shadow")
    return found
