"""Requests that nobody means: routes, values and headers put together at random, always the same for one seed."""

import copy
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from tests.support.contract import Contract, Operation

VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, -1, 0, 1, 1.5, 1e308, 2**31, 2**63, -(2**63) - 1, 10**30),
    *("", " ", "a", "\0", "x\0y", "\ud800", "a" * 70_000, "😀" * 300, "*", "%", "'; DROP TABLE x;--", "../..", "me"),
    *("2026-13-40", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-01-01T00:00:00", "NaN", "null"),
    *("http://[::1", "http://127.0.0.1:9/", "ftp://x"),
    *([], {}, [None], ["a"] * 200, [[[]]], {"a": {"b": {}}}),
)
PLACES: Final = (
    *("x", "%00", "a%2Fb", "😀", "a" * 300, "..", "%2e%2e", "-1", "0", "9" * 20, "null", "'", "%", "~", "a b"),
    *("\ud7ff", "0x10", "1e5", "+1", " 1", "١"),
)
VERSIONS: Final = ('"1"', "*", '"x"', 'W/"1"', f'"{"9" * 23}"', '"1", "2"', "1", "", '"-1"')
KEYS: Final = ("a", "", "é", "x" * 300, "k1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One of them."""

    method: str
    url: str
    content: bytes | None
    headers: dict[str, str | bytes]


class Nonsense:
    """An endless source; `ids` are what placeholders may rightly hold."""

    def __init__(self, contract: Contract, ids: Mapping[str, str], seed: int) -> None:
        self._contract = contract
        self._ids = ids
        self._chance = random.Random(seed)

    def request(self) -> Request:
        """The next one."""
        operation = self._chance.choice(self._contract.operations)
        return Request(
            method=operation.method,
            url=self._url(operation),
            content=self._content(operation),
            headers=self._headers(operation),
        )

    def _url(self, operation: Operation) -> str:
        values = {
            name: quote(self._chance.choice(PLACES) if self._lucky(0.25) else self._ids.get(name, "x"), safe="%")
            for name in operation.placeholders
        }
        named = [one["name"] for one in operation.spec.get("parameters", ()) if one["in"] == "query"]
        query = "&".join(f"{name}={self._text()}" for name in named if self._lucky(0.4))
        return operation.at(values) + ("?" + query if query else "")

    def _headers(self, operation: Operation) -> dict[str, str | bytes]:
        headers: dict[str, str | bytes] = {"Content-Type": "text/plain" if self._lucky(0.1) else "application/json"}
        if operation.wants("If-Match"):
            headers["If-Match"] = self._chance.choice(VERSIONS)
        if self._lucky(0.1):
            headers["Idempotency-Key"] = self._chance.choice(KEYS).encode()
        return headers

    def _content(self, operation: Operation) -> bytes | None:
        body = self._contract.body(operation, whole=self._lucky(0.5))
        if body is None:
            return None
        if self._lucky(0.85):
            body = self._changed(body)
        raw = json.dumps(body).encode()
        return raw[: len(raw) // 2] if self._lucky(0.05) else raw

    def _changed(self, body: Any) -> Any:
        if not isinstance(body, dict) or self._lucky(0.1):
            return self._value()
        changed = copy.deepcopy(body)
        for _ in range(self._chance.randrange(1, 4)):
            target = changed
            while (inner := [part for part in target.values() if part and isinstance(part, dict)]) and self._lucky(0.5):
                target = self._chance.choice(inner)
            names = [*target, "extra"] if self._lucky(0.1) else [*target] or ["extra"]
            target[self._chance.choice(names)] = self._value()
        return changed

    def _text(self) -> str:
        value = self._value()
        text = value if isinstance(value, str) else json.dumps(value)
        return quote(text[:5000].encode("utf-8", "surrogatepass"))

    def _value(self) -> Any:
        return copy.deepcopy(self._chance.choice(VALUES))

    def _lucky(self, share: float) -> bool:
        return self._chance.random() < share
