"""Rules and messages out of words of seven scripts, for measuring."""

import itertools
import random
from dataclasses import dataclass
from typing import Any, Final

from services.router.domain import text
from services.router.domain.facts import Facts

WORDS: Final = 7_500
"""Distinct words that rules look for."""

SPARSE: Final = 0.05
DENSE: Final = 1.0
"""Share of a message's words that rules look for: of 10,000 rules, 4 and 60 hold for the average message."""

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
    followers: int

    def facts(self) -> Facts:
        """As the router makes them of the event."""
        return Facts(
            network=self.network,
            channel=self.channel,
            kind=self.kind,
            text=self.body,
            author_id=self.author_id,
            handle=self.handle,
            followers=self.followers,
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
        """45 % any of some words, 20 % all, 15 % a phrase, 10 % a pattern, 10 % by author; half on some networks only."""
        return {"fallback": {"team": "community"}, "rules": [self._rule(number) for number in range(size)]}

    def messages(self, count: int) -> list[Incoming]:
        """Of about 90 characters, in mixed scripts."""
        return [self._message(number) for number in range(count)]

    def _rule(self, number: int) -> dict[str, Any]:
        chance = self._chance
        share = chance.random()
        when: dict[str, Any] = {}
        words: dict[str, list[str]] = {}
        if share < 0.45:
            words["any"] = self._pick(chance.randint(2, 8))
        elif share < 0.65:
            words["all"] = self._pick(chance.randint(2, 3))
        elif share < 0.80:
            words["phrase"] = [" ".join(self._pick(chance.randint(2, 3)))]
        elif share < 0.90:
            first, second = map(text.normalize, self._pick(2))
            when["text"] = {"regex": f"{first}[^ ]* {second}"}
        else:
            when["author"] = {"ids": [f"{chance.randrange(50_000)}" for _ in range(3)]}
        if words:
            none = {"none": self._pick(1)} if chance.random() < 0.15 else {}
            when["keywords"] = words | none
        if chance.random() < 0.2:
            when["author.followers"] = {"gte": chance.choice((100, 1_000, 10_000))}
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
            followers=int(10 ** chance.uniform(0, 6)),
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
