"""Routing one message by its rules: the index against a loop over the rules, and how both grow."""

import itertools
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.router.domain import compile as index
from services.router.domain import rules, text
from services.router.domain.facts import Facts
from tests.load import process
from tests.load.report import Check, Part, Row, percentile
from tests.load.stage import Stage

SIZES: Final = (10, 100, 1_000, 10_000)
WORDS: Final = 7_500
"""Distinct words that rules look for."""

SPARSE: Final = 0.05
DENSE: Final = 1.0
"""Share of a message's words that rules look for: of 10,000 rules, 4 and 60 hold for the average message."""

MESSAGES: Final = 2_000
COMPARED: Final = 300
"""Messages that the loop over 10,000 rules decides too: it needs milliseconds for each."""

NETWORKS: Final = ("facebook", "instagram", "x", "youtube", "whatsapp", "tiktok")
KINDS: Final = ("dm", "comment", "mention", "review")
SEED: Final = 20_261_122

_SYLLABLES: Final = [
    "ka",
    "lo",
    "mi",
    "ter",
    "ver",
    "sen",
    "dor",
    "pel",
    "gra",
    "un",
    "ris",
    "tol",
    "nem",
    "bor",
    "ash",
    "lin",
    "que",
    "stra",
    "phi",
    "mo",
]
_CYRILLIC: Final = [
    "за",
    "каз",
    "дос",
    "тав",
    "ка",
    "во",
    "зврат",
    "цен",
    "раз",
    "мер",
    "кур",
    "ьер",
    "опл",
    "ата",
    "ски",
    "дка",
]
_UMLAUT: Final = ["grö", "ße", "rück", "lie", "fer", "ung", "schä", "den", "müh", "kauf", "preis", "zahl"]
_HAN: Final = [chr(code) for code in range(0x4E00, 0x4E00 + 2_500)]
_KANA: Final = [chr(code) for code in range(0x30A2, 0x30F0)]
_HANGUL: Final = [chr(code) for code in range(0xAC00, 0xAC00 + 2_000)]
_EMOJI: Final = ("😡", "🙏", "❤️", "😂", "✨", "📦")


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A message as the router gets it: not normalized yet."""

    network: str
    channel: str
    kind: str
    body: str
    author_id: str
    handle: str

    def facts(self) -> Facts:
        """As the router makes them of the event."""
        return Facts(
            network=self.network,
            channel=self.channel,
            kind=self.kind,
            text=self.body,
            author_id=self.author_id,
            handle=self.handle,
        )


class World:
    """Words of seven scripts, rules about them and messages made of them; the same seed gives the same world.

    `told`: which share of a message's words some rule may look for. Few words are said often, in rules and messages.
    """

    def __init__(self, seed: int, *, told: float) -> None:
        self._chance = random.Random(seed)
        self._told = told
        words = sorted({self._word() for _ in range(30_000)})
        self._chance.shuffle(words)
        self._words, self._others = words[:WORDS], words[WORDS:]
        weights = [1 / (rank + 30) ** 0.7 for rank in range(WORDS)]
        self._weights = list(itertools.accumulate(weights))

    def document(self, size: int) -> dict[str, Any]:
        """45 % any of some words, 20 % all, 15 % a phrase, the rest by author; half of them on some networks only."""
        return {"fallback": {"team": "community"}, "rules": [self._rule(number) for number in range(size)]}

    def messages(self, count: int) -> list[Incoming]:
        """Of about 90 characters, in mixed scripts."""
        return [self._message(number) for number in range(count)]

    def _rule(self, number: int) -> dict[str, Any]:
        chance = self._chance
        share = chance.random()
        when: dict[str, Any] = {}
        words: dict[str, list[str]] = {}
        if share < 0.5:
            words["any"] = self._pick(chance.randint(2, 8))
        elif share < 0.75:
            words["all"] = self._pick(chance.randint(2, 3))
        elif share < 0.9:
            words["phrase"] = [" ".join(self._pick(chance.randint(2, 3)))]
        else:
            when["author"] = {"ids": [f"{chance.randrange(50_000)}" for _ in range(3)]}
        if words:
            none = {"none": self._pick(1)} if chance.random() < 0.15 else {}
            when["keywords"] = words | none
        if chance.random() < 0.5:
            when["network"] = chance.sample(NETWORKS, chance.randint(1, 2))
        if chance.random() < 0.3:
            when["kind"] = chance.sample(KINDS, chance.randint(1, 2))
        team = chance.choice(("care", "product", "community"))
        return {"name": f"rule {number}", "when": when, "then": {"team": team}}

    def _message(self, number: int) -> Incoming:
        chance = self._chance
        words: list[str] = []
        length = chance.randint(30, 140)
        while sum(map(len, words)) + len(words) < length:
            words.append(self._said())
        if chance.random() < 0.5:
            words[0] = f"#{words[0]}"
        return Incoming(
            network=chance.choice(NETWORKS),
            channel=f"chn_{number % 20}",
            kind=chance.choice(KINDS),
            body=" ".join(words),
            author_id=f"{chance.randrange(50_000)}",
            handle=f"@user{number}",
        )

    def _said(self) -> str:
        chance = self._chance.random()
        if chance < self._told:
            return self._pick(1)[0]
        return self._chance.choice(_EMOJI if chance > 0.95 else self._others)

    def _pick(self, count: int) -> list[str]:
        return self._chance.choices(self._words, cum_weights=self._weights, k=count)

    def _word(self) -> str:
        chance = self._chance
        script = chance.random()
        if script < 0.55:
            return "".join(chance.choices(_SYLLABLES, k=chance.randint(2, 3)))
        if script < 0.70:
            return "".join(chance.choices(_CYRILLIC, k=chance.randint(2, 3)))
        if script < 0.80:
            return "".join(chance.choices(_UMLAUT, k=2)).title()
        letters = _HAN if script < 0.88 else _KANA if script < 0.94 else _HANGUL
        return "".join(chance.choices(letters, k=chance.randint(2, 5)))


class Loop:
    """The usual way: every rule in turn, every keyword by search; normalized once, like ours."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._rules = [(rule["name"], rule["when"], _Words(rule["when"])) for rule in document["rules"]]

    def decide(self, facts: Facts) -> str:
        """The name of the first rule that holds."""
        body = text.normalize(facts.text or "")
        for name, when, words in self._rules:
            if (
                ("network" not in when or facts.network in when["network"])
                and ("kind" not in when or facts.kind in when["kind"])
                and ("author" not in when or facts.author_id in when["author"]["ids"])
                and words.hold(body)
            ):
                return name
        return index.FALLBACK


class _Words:
    def __init__(self, when: dict[str, Any]) -> None:
        words = when.get("keywords", {})
        self._all = [_prepared(word) for word in words.get("all", ())]
        self._any = [_prepared(word) for word in (*words.get("any", ()), *words.get("phrase", ()))]
        self._none = [_prepared(word) for word in words.get("none", ())]

    def hold(self, body: str) -> bool:
        return (
            all(_stands_in(body, word) for word in self._all)
            and (not self._any or any(_stands_in(body, word) for word in self._any))
            and not any(_stands_in(body, word) for word in self._none)
        )


_Prepared = tuple[str, bool, bool]


def _prepared(word: str) -> _Prepared:
    pattern = text.normalize(word)
    return pattern, text.needs_left_boundary(pattern[0]), text.needs_right_boundary(pattern[-1])


def _stands_in(body: str, word: _Prepared) -> bool:
    pattern, left, right = word
    at = body.find(pattern)
    while at >= 0:
        end = at + len(pattern)
        if (not left or text.begins_word(body, at)) and (not right or text.ends_word(body, end)):
            return True
        at = body.find(pattern, at + 1)
    return False


async def run(lab: Stage) -> Part:
    """On one core; what a message costs includes its normalization."""
    part = Part(name="rules", title="Routing one message by its rules, one core")
    seconds = lab.seconds / len(SIZES)
    process.pin(process.SERVER_CORE)
    try:
        costs = {size: _measure(part, size, told=SPARSE, seconds=seconds) for size in SIZES}
        dense = _measure(part, SIZES[-1], told=DENSE, seconds=seconds)
    finally:
        process.unpin()
    ours, loop, _ = costs[10_000]
    part.checks += [
        Check(what="p50 with 10,000 rules", value=ours.p50, target=25, at_least=False, unit=" µs"),
        Check(what="p99 with 10,000 rules", value=ours.p99, target=60, at_least=False, unit=" µs"),
        Check(what="cost(10,000) / cost(100)", value=ours.mean / costs[100][0].mean, target=2, at_least=False),
        Check(what="times the loop over 10,000 rules", value=loop.mean / ours.mean, target=200),
        Check(what="mismatches", value=dense[2] + sum(cost[2] for cost in costs.values()), target=0, at_least=False),
        Check(what="p50 where dozens of rules match", value=dense[0].p50, target=None, unit=" µs"),
    ]
    part.notes.append(
        "the loop stops at the first rule that holds, like ours; both times are of the thread's own clock"
    )
    return part


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds a message."""

    p50: float
    p99: float
    mean: float


def _measure(part: Part, size: int, *, told: float, seconds: float) -> tuple[Cost, Cost, int]:
    world = World(SEED, told=told)
    document = world.document(size)
    messages = world.messages(MESSAGES)
    parsed = rules.parse(document)
    started = time.perf_counter()
    ruleset = index.compile_rules(parsed)
    built = time.perf_counter() - started
    loop = Loop(document)
    few = messages[: COMPARED if size >= 10_000 else MESSAGES // 4]
    decided = [ruleset.decide(message.facts()).rule for message in messages]
    mismatches = sum(loop.decide(message.facts()) != rule for message, rule in zip(few, decided, strict=False))
    ours = _time(lambda message: ruleset.decide(message.facts()), messages, seconds=seconds)
    usual = _time(lambda message: loop.decide(message.facts()), few, seconds=seconds / 2)
    facts = {
        "normalizing µs": _time(lambda message: text.normalize(message.body), messages, seconds=0.05).p50,
        "a rule matches": sum(rule != index.FALLBACK for rule in decided) / len(decided),
        "build s": built,
    }
    which = f"{size:,} rules" + (", dense" if told == DENSE else "")
    for name, kind, cost, more in (("loop", "alternative", usual, {}), ("index", "ours", ours, facts)):
        figures = {"p50 µs": cost.p50, "p99 µs": cost.p99, "mean µs": cost.mean, **more}
        part.rows.append(Row(name=f"{name}, {which}", kind=kind, figures=figures))
    return ours, usual, mismatches


def _time(work: Callable[[Incoming], Any], messages: Sequence[Incoming], *, seconds: float) -> Cost:
    # By the thread's own clock: nothing here waits, and neighbours' work is not ours.
    taken: list[float] = []
    clock = time.thread_time_ns
    until = time.perf_counter() + seconds
    while not taken or time.perf_counter() < until:
        for message in messages:
            started = clock()
            work(message)
            taken.append((clock() - started) / 1000)
    taken.sort()
    return Cost(percentile(taken, 0.50), percentile(taken, 0.99), statistics.fmean(taken))
