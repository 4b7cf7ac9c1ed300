"""Rule documents: what a community manager writes, as frozen values, and what makes one invalid."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec

from services.router.domain import answers, conditions, text
from services.router.domain.answers import Answer
from services.router.domain.conditions import Condition, Problem
from services.router.domain.vocabulary import BY_MESSAGES, FUTURE_ACTIONS, FUTURE_TRIGGERS, RECEIVED, TIMER, Trigger
from shared import calendars
from shared.calendars import Calendar
from shared.errors import Invalid
from shared.events.messages import Operation
from shared.events.routing import Lane, Priority

MAX_RULES: Final = 20_000
MAX_LANE_WORDS: Final = 2_000
MAX_PEOPLE: Final = 50_000
MAX_PROBLEMS: Final = 100
MAX_TOLD: Final = 50
"""Agents that one rule tells by name; of more it tells the team."""

OPERATIONS: Final[tuple[Operation, ...]] = ("like", "hide", "delete")
"""What rules do to messages on their networks, in this order: what is deleted can no longer be liked."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
TeamId = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]
PartName = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9_-]{0,62}$")]
Language = Annotated[str, msgspec.Meta(pattern="^[a-z]{2,3}$")]
Keyword = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


Minutes = Annotated[int, msgspec.Meta(ge=1, le=30 * 24 * 60)]


class Reroute(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where an open ticket moves: to a team, to an agent of that team if eligible, or to an agent of its own team."""

    team: TeamId | None = None
    agent: Name | None = None


class Snooze(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how long an open ticket waits, unless its customer writes."""

    minutes: Minutes


class Notify(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who is told, and what: a team, some agents, or both."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    team: TeamId | None = None
    agents: Annotated[tuple[Name, ...], msgspec.Meta(max_length=MAX_TOLD)] = ()


class Webhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which of the workspace's endpoints gets it, by its id, whatever it is subscribed to."""

    endpoint: Name


class Action(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What becomes of it. A rule with a team, `ignore` or `reroute` decides the owner; any other adds to that."""

    team: TeamId | None = None
    agent: str | None = None
    """An agent of that team to prefer, if eligible."""
    reroute: Reroute | None = None
    """Moves a ticket that is open; of triggers about tickets only."""
    snooze: Snooze | None = None
    """Lets a ticket that is open wait; of triggers about tickets only. The first of all rules that hold."""
    priority: Priority | None = None
    """The highest of all rules that hold; `normal` when none says anything."""
    tags: tuple[Name, ...] = ()
    lane: Lane | None = None
    ignore: bool = False
    reason: Name | None = None
    """Why it is ignored."""
    auto_reply: Answer | None = None
    """What is said to it in public; of all rules that hold the first that says something."""
    private_reply: Answer | None = None
    """What is said to it in private, likewise."""
    notify: Notify | None = None
    """Who is told of the ticket: by all rules that hold."""
    webhook: Webhook | None = None
    """An endpoint that is told of the ticket: by all rules that hold."""
    stop: bool = False
    """No rule after this one is asked."""
    like: bool = False
    """Likes the message on its network."""
    hide: bool = False
    """Hides it there from the public."""
    delete: bool = False
    """Deletes it there."""

    @property
    def operations(self) -> tuple[Operation, ...]:
        """What is done to the message on its network."""
        return tuple(name for name in OPERATIONS if getattr(self, name))

    @property
    def speaks(self) -> bool:
        """Whether it says something."""
        return self.auto_reply is not None or self.private_reply is not None

    @property
    def owns(self) -> bool:
        """Whether it decides the owner."""
        return self.team is not None or self.ignore or self.reroute is not None


class People(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A named list of authors: by id on the network, or by handle without case and `@`."""

    ids: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_PEOPLE)] = ()
    handles: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_PEOPLE)] = ()


Words = Annotated[tuple[Keyword, ...], msgspec.Meta(max_length=MAX_LANE_WORDS)]


class _Written(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name
    when: Any
    then: Action
    on: Trigger = RECEIVED
    after_minutes: Minutes | None = None
    enabled: bool = True


class _Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    fallback: Action
    rules: Annotated[tuple[_Written, ...], msgspec.Meta(max_length=MAX_RULES)] = ()
    lists: dict[PartName, People] = {}
    lanes: dict[Lane, dict[Language, Words]] = {}
    calendars: dict[PartName, Calendar] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule; the first that owns decides the owner, the others add to it. `on`: what it is asked about.

    `after_minutes`: of a timer, how long nobody must have answered.
    """

    name: str
    when: Condition
    then: Action
    on: Trigger = RECEIVED
    after_minutes: int | None = None
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A whole ruleset. `fallback` owns every message that no rule matches, so nothing is ever unowned."""

    fallback: Action
    rules: tuple[Rule, ...]
    lists: Mapping[str, People]
    lanes: Mapping[Lane, Mapping[str, tuple[str, ...]]]
    calendars: Mapping[str, Calendar]


def parse(document: Any) -> Document:
    """The document as values; Invalid names every problem by its JSON pointer."""
    if problems := list(_unavailable(document)):
        raise Invalid("the ruleset asks for what is not available yet", errors=problems[:MAX_PROBLEMS])
    try:
        written = msgspec.convert(document, _Document)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise Invalid("the ruleset is not valid", errors=[{"pointer": _pointer(path), "detail": message}]) from error
    problems = [*_part_problems(written), *_rule_problems(written)]
    names: dict[str, Collection[str]] = {"lists": written.lists, "lanes": written.lanes, "calendars": written.calendars}
    rules = []
    for index, rule in enumerate(written.rules):
        when, found = conditions.parse(rule.when, at=f"/rules/{index}/when", names=names)
        problems += found
        rules.append(
            Rule(
                name=rule.name,
                when=when,
                then=rule.then,
                on=rule.on,
                after_minutes=rule.after_minutes,
                enabled=rule.enabled,
            )
        )
    if problems:
        raise Invalid("the ruleset is not valid", errors=problems[:MAX_PROBLEMS])
    return Document(
        fallback=written.fallback,
        rules=tuple(rules),
        lists=written.lists,
        lanes=written.lanes,
        calendars=written.calendars,
    )


def teams(document: Document) -> frozenset[str]:
    """Every team that some rule or the fallback sends to."""
    return frozenset(name for action in _actions(document) for _, name in named_teams(action))


def agents(document: Document) -> frozenset[str]:
    """Every agent that some rule or the fallback prefers."""
    return frozenset(name for action in _actions(document) for _, name in named_agents(action))


def endpoints(document: Document) -> frozenset[str]:
    """Every endpoint that some rule or the fallback tells."""
    return frozenset(action.webhook.endpoint for action in _actions(document) if action.webhook)


def told(document: Document) -> frozenset[str]:
    """Every agent that some rule or the fallback tells."""
    return frozenset(name for action in _actions(document) if action.notify for name in action.notify.agents)


def named_teams(action: Action) -> Iterable[tuple[str, str]]:
    """Where an action names a team, and which."""
    moves_to = action.reroute.team if action.reroute else None
    told_of = action.notify.team if action.notify else None
    places = (("team", action.team), ("reroute/team", moves_to), ("notify/team", told_of))
    return [(at, name) for at, name in places if name is not None]


def named_agents(action: Action) -> Iterable[tuple[str, str]]:
    """Where an action names an agent, and which."""
    moves_to = action.reroute.agent if action.reroute else None
    return [(at, name) for at, name in (("agent", action.agent), ("reroute/agent", moves_to)) if name is not None]


def on_shift(document: Document) -> Iterable[tuple[str, str]]:
    """Every team and agent that some rule asks for by its id, whether on duty; with its place."""
    for rule in document.rules:
        for one in conditions.criteria(rule.when):
            if one.fact == "shift" and one.operator in {"in", "all"}:
                yield from ((one.at, name) for name in one.values)


def _actions(document: Document) -> Iterable[Action]:
    return (document.fallback, *(rule.then for rule in document.rules))


def _unavailable(document: Any) -> Iterable[Problem]:
    """Triggers and actions that the language knows and Baton cannot do yet; conditions tell on their own."""
    rules = document.get("rules") if isinstance(document, dict) else None
    for index, rule in enumerate(rules if isinstance(rules, list) else []):
        on = rule.get("on") if isinstance(rule, dict) else None
        if isinstance(on, str) and on in FUTURE_TRIGGERS:
            yield conditions.unavailable(f"/rules/{index}/on", f"the trigger {on!r} ({FUTURE_TRIGGERS[on]})", on)
        then = rule.get("then") if isinstance(rule, dict) else None
        for name in then if isinstance(then, dict) else ():
            if name in FUTURE_ACTIONS:
                what = f"the action {name!r} ({FUTURE_ACTIONS[name]})"
                yield conditions.unavailable(f"/rules/{index}/then/{name}", what, name)


def _part_problems(document: _Document) -> Iterable[Problem]:
    fallback = document.fallback
    if fallback.ignore or fallback.team is None:
        yield {"pointer": "/fallback", "detail": "the fallback needs a team: it must always own"}
    elif fallback.operations:
        yield {"pointer": "/fallback", "detail": "what no rule asks for is not to be liked, hidden or deleted"}
    elif wrong := _action_problem(fallback) or _telling_problem(fallback) or _misplaced(fallback, RECEIVED):
        yield {"pointer": "/fallback", "detail": wrong}
    yield from _text_problems(fallback, "/fallback")
    for name, calendar in document.calendars.items():
        if wrong := calendars.problem(calendar):
            yield {"pointer": f"/calendars/{name}", "detail": wrong}
    for lane, languages in document.lanes.items():
        for language, words in languages.items():
            for index, word in enumerate(words):
                if not text.normalize(word).strip("* "):
                    at = f"/lanes/{lane}/{language}/{index}"
                    yield {"pointer": at, "detail": "nothing is left of this keyword once normalized"}


def _rule_problems(document: _Document) -> Iterable[Problem]:
    seen: dict[str, int] = {}
    for index, rule in enumerate(document.rules):
        if rule.name in seen:
            yield {"pointer": f"/rules/{index}/name", "detail": f"rule {seen[rule.name]} has the same name"}
        seen.setdefault(rule.name, index)
        if (rule.on == TIMER) != (rule.after_minutes is not None):
            yield {
                "pointer": f"/rules/{index}/after_minutes",
                "detail": "a timer, and nothing else, says after how long",
            }
        if wrong := _action_problem(rule.then) or _telling_problem(rule.then) or _misplaced(rule.then, rule.on):
            yield {"pointer": f"/rules/{index}/then", "detail": wrong}
        yield from _text_problems(rule.then, f"/rules/{index}/then")


def _text_problems(action: Action, at: str) -> Iterable[Problem]:
    for place, said in answers.texts({"auto_reply": action.auto_reply, "private_reply": action.private_reply}):
        if wrong := answers.problem(said):
            yield {"pointer": f"{at}/{place}", "detail": wrong}


def _action_problem(action: Action) -> str | None:
    if action.ignore and (action.team is not None or action.agent is not None):
        return "a rule either names a team or ignores"
    if action.agent is not None and action.team is None:
        return "an agent is preferred within a team: name the team too"
    if action.reason is not None and not action.ignore:
        return "a reason says why something is ignored"
    if action.reroute == Reroute():
        return "reroute names a team, an agent, or both"
    if action == Action():
        return (
            "a rule does something: it names a team, ignores, answers, tells, likes, hides, deletes, or adds tags, a "
            "priority or a lane"
        )
    return None


def _telling_problem(action: Action) -> str | None:
    if action.notify is not None and action.notify.team is None and not action.notify.agents:
        return "notify names a team, agents, or both"
    if action.ignore and (action.notify is not None or action.webhook is not None):
        return "what is ignored makes no ticket that anybody could be told of"
    return None


def _misplaced(action: Action, on: Trigger) -> str | None:
    """What cannot be done about what the rule is asked about."""
    if on == RECEIVED and (action.reroute is not None or action.snooze is not None):
        return "a message's decision names a team; a ticket that is there moves or waits by a rule on customer.replied"
    if on != RECEIVED and (action.team is not None or action.ignore or action.lane is not None):
        return "a ticket that is there is moved by reroute; it is neither ignored nor given a lane"
    if action.speaks and (on != RECEIVED or action.ignore):
        return "rules answer messages that come in and are not ignored; such a rule may ask for `ticket.open`"
    if on not in BY_MESSAGES and action.operations:
        return f"no message leads to {on}: there is nothing to {action.operations[0]}"
    return None


def _pointer(path: str) -> str:
    return "/" + path.rstrip("`").lstrip(".").replace("[", "/").replace("]", "").replace(".", "/") if path else ""
