"""What the router does: decides about every new message of a batch, and explains or rehearses a decision."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import msgspec

from services.router.domain import compile as index
from services.router.domain import rules
from services.router.domain.analysis import Analysis, analyse
from services.router.domain.diff import diff as differences
from services.router.domain.explain import explain as why
from services.router.domain.facts import Facts, as_kept
from services.router.domain.patterns import Unreadable
from services.router.domain.speaking import replies
from services.router.domain.triggers import answer
from services.router.domain.vocabulary import RECEIVED, Trigger
from services.router.handlers import compiling, duplicates
from services.router.handlers.besides import SURGE
from services.router.handlers.classifying import Classifier
from services.router.handlers.gathering import gather, message_of
from services.router.handlers.remembered import Versions
from services.router.handlers.shadows import Shadows, Trial
from services.router.handlers.surging import counted
from services.router.store import decisions, rule_counts, rulesets, silences, surge_counts, surge_policies
from services.router.store.decisions import Decided
from services.router.store.rulesets import Reason
from services.router.store.shadows import Candidate
from shared import ids
from shared.db.transaction import Transaction
from shared.errors import Invalid, NotFound
from shared.events.catalogue import EVENT_TYPES
from shared.events.envelope import Event
from shared.events.messages import (
    ChannelChanged,
    MessageEvent,
    MessageReacted,
    MessageReceived,
    MessageUndelivered,
)
from shared.events.routing import Decision, MessageRouted, Moderation, RuleReply
from shared.platform.store import agents, endpoints, teams


class Router:
    """Decides by the versions in force; remembers compiled versions, which never change."""

    def __init__(
        self,
        shadows: Shadows | None = None,
        *,
        classifier: Classifier | None = None,
        versions: Versions | None = None,
    ) -> None:
        self._shadows = shadows or Shadows()
        self._classifier = classifier
        self._versions = Versions() if versions is None else versions

    async def on_messages(self, tx: Transaction, events: Sequence[Event]) -> None:
        """Decides and passes on a batch of message events: one read of versions decides all of it."""
        passing = [event for event in events if not isinstance(event.data, ChannelChanged)]
        due = {_decision_id(event): event for event in passing if _is_due(event)}
        standing = await rulesets.standing(tx, {event.workspace_id for event in due.values()}, list(due))
        versions = standing.versions
        compiled = await self._versions.rulesets(tx, versions)
        fresh = {id_: event for id_, event in due.items() if id_ not in standing.decisions}
        trial = await self._shadows.beside(tx, _of_these(standing.candidates, fresh))
        asking = _asking(compiled, trial)
        facts = await gather(tx, fresh, asking, classifier=self._classifier, watched=standing.watched)
        verdicts = {id_: compiled[event.workspace_id].decide(facts[id_]) for id_, event in fresh.items()}
        for id_, seen in (await duplicates.found(tx, fresh, facts, verdicts)).items():
            facts[id_], verdicts[id_] = seen, compiled[fresh[id_].workspace_id].decide(seen)
        decided = {
            id_: _decided(event, versions[event.workspace_id], verdicts[id_], facts[id_])
            for id_, event in fresh.items()
        }
        self._shadows.compare(tx, decided.values(), trial)
        decisions.keep(tx, list(decided.values()))
        rule_counts.add(tx, decided.values(), writer=self._shadows.writer)
        surge_counts.add(tx, counted(fresh, decided, standing.watched), writer=self._shadows.writer)
        for event in passing:
            id_ = _decision_id(event)
            made = decided.pop(id_, None)
            # An event that was decided before was also passed on before, in the same transaction.
            if made is None and _is_due(event):
                continue
            decision = None
            if made is not None:
                moderation = compiled[event.workspace_id].moderation(made.matched)
                decision = _decision(made, replies(verdicts[id_], facts[id_]), moderation)
            tx.traceparent = event.traceparent
            tx.emit(_routed(event, decision), key=event.key, event_id=ids.digest("evt", "routed", event.id))


async def create(
    tx: Transaction,
    workspace_id: str,
    *,
    document: dict[str, Any],
    note: str | None,
    author: str,
    untold: Collection[str] = (),
) -> tuple[rulesets.Ruleset, Analysis]:
    """A new version, and what is doubtful in it; Invalid says what is wrong for certain."""
    untold = {*untold, *(SURGE if await surge_policies.load(tx, workspace_id) is None else ())}
    found = await analysed(tx, workspace_id, document, untold=untold)
    return await rulesets.create(tx, workspace_id, document=document, note=note, author=author), found


async def activate(
    tx: Transaction,
    workspace_id: str,
    version: int,
    *,
    author: str,
    reason: Reason = "activate",
    after: int | None = None,
) -> rulesets.Ruleset:
    """Puts a version in force; Conflict when it was made from the one `after`, and another one is in force."""
    found = await checked(tx, workspace_id, version)
    if not found.active:
        await _put_in_force(tx, workspace_id, version, author=author, reason=reason, after=after)
    return await load(tx, workspace_id, version)


async def checked(tx: Transaction, workspace_id: str, version: int) -> rulesets.Ruleset:
    """A version that may be put in force; its teams are looked at again, because teams come and go."""
    found = await load(tx, workspace_id, version)
    await analysed(tx, workspace_id, found.document or {})
    return found


async def rollback(tx: Transaction, workspace_id: str, *, author: str) -> rulesets.Ruleset:
    """Back to the version that was in force before."""
    version = await rulesets.previous_version(tx, workspace_id)
    if version is None:
        raise NotFound("no other version was in force before this one")
    await _put_in_force(tx, workspace_id, version, author=author, reason="rollback")
    return await load(tx, workspace_id, version)


async def _put_in_force(
    tx: Transaction, workspace_id: str, version: int, *, author: str, reason: Reason, after: int | None = None
) -> None:
    await rulesets.activate(tx, workspace_id, version, author=author, reason=reason, after=after)
    # Who has waited since before may have waited long enough for this version.
    await silences.look(tx, {workspace_id: await tx.now()})


async def diff(tx: Transaction, workspace_id: str, version: int, *, against: int | None) -> dict[str, Any]:
    """What a version changes against another one; without one, against the version before it."""
    after = await load(tx, workspace_id, version)
    before = await load(tx, workspace_id, against if against is not None else max(version - 1, 1))
    return {
        "version": after.version,
        "against": before.version,
        **differences(before.document or {}, after.document or {}),
    }


async def rehearse(
    tx: Transaction,
    workspace_id: str,
    version: int,
    asked: Facts | str,
    *,
    on: Trigger = RECEIVED,
    after: int | None = None,
) -> dict[str, Any]:
    """What a version would decide about a message that came (by its id) or never came; changes nothing."""
    found = await load(tx, workspace_id, version)
    ruleset = (await compiling.compiled(found.document)).about(on, after)
    if isinstance(asked, str):
        facts = as_kept((await _decisions(tx, asked))[-1].facts)
    else:
        facts = asked if asked.at is not None else msgspec.structs.replace(asked, at=await tx.now())
    verdict = ruleset.decide(facts) if on == RECEIVED else answer(ruleset, facts)
    return {
        "on": on,
        "rule": verdict.rule if verdict else None,
        "outcome": _outcome(verdict.action) if verdict else None,
        "action": msgspec.to_builtins(verdict.action) if verdict else None,
        "ruleset_version": version,
        **why(ruleset, facts),
    }


async def explain(tx: Transaction, workspace_id: str, message_id: str) -> list[dict[str, Any]]:
    """Why a message went where it went, and why not elsewhere: replayed from the facts and the version kept."""
    explained = []
    for decision in await _decisions(tx, message_id):
        found = await load(tx, workspace_id, decision.ruleset_version)
        told = why(await compiling.compiled(found.document), as_kept(decision.facts))
        explained.append({**msgspec.to_builtins(decision), **told})
    return explained


async def _decisions(tx: Transaction, message_id: str) -> list[Decided]:
    kept = await decisions.of_message(tx, message_id)
    if not kept:
        raise NotFound(f"there is no decision about message {message_id}")
    return kept


async def load(tx: Transaction, workspace_id: str, version: int) -> rulesets.Ruleset:
    """One version; NotFound."""
    found = await rulesets.load(tx, workspace_id, version)
    if found is None:
        raise NotFound(f"there is no ruleset version {version}")
    return found


async def analysed(
    tx: Transaction, workspace_id: str, document: dict[str, Any], *, untold: Collection[str] = ()
) -> Analysis:
    """What is doubtful in a document; Invalid says what is wrong for certain."""
    parsed = await compiling.aside(document, lambda: rules.parse(document))
    on_shift = {name for _, name in rules.on_shift(parsed)}
    existing = await teams.existing(tx, workspace_id, rules.teams(parsed) | on_shift)
    named = await agents.load_many(tx, workspace_id, rules.agents(parsed) | rules.told(parsed) | on_shift)
    reached = await endpoints.existing(tx, workspace_id, rules.endpoints(parsed))
    try:
        found = await compiling.aside(
            document,
            lambda: analyse(
                index.compile_rules(parsed), teams=existing, agents=named, endpoints=reached, untold=untold
            ),
        )
    except Unreadable as error:
        raise Invalid("the ruleset is too large", errors=[{"pointer": "/rules", "detail": str(error)}]) from error
    if found.errors:
        raise Invalid("the ruleset cannot work as it is", errors=found.errors)
    return found


def _is_due(event: Event) -> bool:
    return isinstance(event.data, MessageReceived) and event.data.message.direction == "in"


def _decision_id(event: Event) -> str:
    return ids.digest("dec", event.id)


def _of_these(candidates: Mapping[str, Candidate], fresh: Mapping[str, Event]) -> dict[str, Candidate]:
    """Candidates that have something to decide."""
    workspaces = {event.workspace_id for event in fresh.values()}
    return {workspace: one for workspace, one in candidates.items() if workspace in workspaces}


def _asking(compiled: Mapping[str, index.Ruleset], trial: Trial) -> dict[str, list[index.Ruleset]]:
    """By workspace: what is in force, and the candidate beside it, which is shown the same facts."""
    asking = {workspace: [ruleset] for workspace, ruleset in compiled.items()}
    for candidate, ruleset in trial.ready.items():
        asking[candidate.workspace_id].append(ruleset)
    return asking


def _decided(event: Event, version: int, verdict: index.Verdict, facts: Facts) -> Decided:
    return Decided(
        id=_decision_id(event),
        workspace_id=event.workspace_id,
        event_id=event.id,
        message_id=message_of(event).id,
        ruleset_version=version,
        rule=verdict.rule,
        outcome=_outcome(verdict.action),
        action=verdict.action,
        matched=verdict.matched,
        facts=facts,
    )


def _routed(event: Event, decision: Decision | None) -> MessageRouted:
    data = event.data
    assert isinstance(data, MessageEvent)  # noqa: S101 - the topic holds nothing else; channel events were taken out
    return MessageRouted(
        workspace_id=event.workspace_id,
        verb=EVENT_TYPES[event.type].name.split(".")[1],  # type: ignore[arg-type]  # the type's own verb
        event_id=event.id,
        message=data.message,
        provider_version=data.provider_version,
        reaction=data.reaction if isinstance(data, MessageReacted) else None,
        decision=decision,
        reason=data.reason if isinstance(data, MessageUndelivered) else None,
    )


def _decision(decided: Decided, said: tuple[RuleReply, ...], moderation: tuple[Moderation, ...]) -> Decision:
    action = decided.action
    return Decision(
        id=decided.id,
        outcome=_outcome(action),
        rule=decided.rule,
        ruleset_version=decided.ruleset_version,
        team=action.team,
        priority=action.priority or "normal",
        tags=action.tags,
        agent=action.agent,
        lane=action.lane,
        reason=action.reason,
        replies=said,
        flags=action.flags,
        moderation=moderation,
    )


def _outcome(action: rules.Action) -> Literal["route", "ignore"]:
    return "ignore" if action.ignore else "route"
