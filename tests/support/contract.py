"""The OpenAPI document as a promise: what every route takes, what it may answer, and nothing undeclared."""

import copy
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx
from jsonschema import Draft202012Validator

from tests.support.callers import connected
from tests.support.system import System

_SAMPLES: Final = {"date-time": "2030-01-01T00:00:00Z", "date": "2030-01-01", "uri": "https://example.com/"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One route."""

    method: str
    path: str
    spec: dict[str, Any]

    @property
    def name(self) -> str:
        """As the document calls it."""
        return f"{self.method} {self.path}"

    @property
    def is_public(self) -> bool:
        """Whether it needs no key."""
        return not self.spec.get("security")

    @property
    def placeholders(self) -> tuple[str, ...]:
        """What has to be put into its path."""
        return tuple(re.findall(r"{(\w+)}", self.path))

    def wants(self, parameter: str) -> bool:
        """Whether it declares a header or query parameter."""
        return any(declared["name"].lower() == parameter.lower() for declared in self.spec.get("parameters", ()))

    def at(self, values: Mapping[str, str]) -> str:
        """Its path with everything put in."""
        return re.sub(r"{(\w+)}", lambda match: values[match[1]], self.path)


class Contract:
    """A whole document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._components = document["components"]
        self._strict = _closed(document["components"])
        self.operations = [
            Operation(method=method.upper(), path=path, spec=spec)
            for path, item in document["paths"].items()
            for method, spec in item.items()
            if method != "parameters"
        ]
        self._patterns = [
            (re.compile(re.sub(r"{\w+}", "[^/]+", operation.path) + r"\Z"), operation) for operation in self.operations
        ]

    def operation_of(self, method: str, path: str) -> Operation | None:
        """The route that a request went to; literal paths win over those with placeholders."""
        found = [
            operation for pattern, operation in self._patterns if operation.method == method and pattern.fullmatch(path)
        ]
        return min(found, key=lambda operation: len(operation.placeholders), default=None)

    def body(self, operation: Operation, *, whole: bool = False) -> Any:
        """The smallest body that a route declares to take, or one with all that it knows; None where it takes none."""
        content = operation.spec.get("requestBody", {}).get("content", {}).get("application/json")
        return self._sample(content["schema"], whole=whole) if content else None

    def check(self, response: httpx.Response) -> None:
        """Fails unless the document says that this may be the answer."""
        request = response.request
        operation = self.operation_of(request.method, request.url.path)
        if operation is None:
            is_about_itself = request.url.path == "/openapi.json" or request.url.path.startswith("/problems")
            assert is_about_itself or response.status_code in {401, 404, 405}, f"{request.url.path} is not declared"
            return
        declared = operation.spec["responses"].get(str(response.status_code))
        assert declared is not None, f"{operation.name} does not declare {response.status_code}: {response.text}"
        kind = response.headers.get("content-type", "").partition(";")[0]
        schema = declared.get("content", {}).get(kind, {}).get("schema")
        if schema is None or not kind.endswith(("/json", "+json")):
            return
        components = self._strict if response.is_success else self._components
        validator = Draft202012Validator({**_closed(schema), "components": components})
        problems = [
            f"{problem.json_path}: {problem.message[:300]}" for problem in validator.iter_errors(response.json())
        ]
        assert not problems, f"{operation.name} {response.status_code} is not what it declares: {problems[:5]}"

    def _sample(self, schema: Mapping[str, Any], *, whole: bool) -> Any:
        if "$ref" in schema:
            schema = self._components["schemas"][schema["$ref"].rpartition("/")[2]]
        for choice in ("anyOf", "oneOf"):
            if choice in schema:
                return self._sample(schema[choice][0], whole=whole)
        if "const" in schema or "enum" in schema:
            return schema.get("const", schema.get("enum", [None])[0])
        if schema.get("type") == "object":
            names = schema.get("properties", {}) if whole else schema.get("required", ())
            return {name: self._sample(schema["properties"][name], whole=whole) for name in names}
        if schema.get("type") == "array":
            return [self._sample(schema["items"], whole=whole)] * schema.get("minItems", 0)
        return _simple(schema)


def _simple(schema: Mapping[str, Any]) -> Any:
    match schema.get("type"):
        case "string":
            return _SAMPLES.get(schema.get("format", ""), schema.get("examples", ["sample"])[0])
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
        case "boolean":
            return False
    return {}


def _closed(schema: Any) -> Any:
    """A copy in which objects have no properties but those that are declared."""
    return _close(copy.deepcopy(schema))


def _close(schema: Any) -> Any:
    for part in _parts(schema):
        _close(part)
    if isinstance(schema, dict) and isinstance(schema.get("properties"), dict):
        schema.setdefault("additionalProperties", False)
    return schema


def _parts(schema: Any) -> Iterator[Any]:
    if isinstance(schema, dict):
        yield from schema.values()
    elif isinstance(schema, list):
        yield from schema


@asynccontextmanager
async def declared(system: System) -> AsyncIterator[httpx.AsyncClient]:
    """Connections on which every answer must be one that the document declares."""
    async with connected(system) as http:
        contract = Contract((await http.get("/openapi.json")).json())

        async def check(response: httpx.Response) -> None:
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                await response.aread()
                contract.check(response)

        http.event_hooks = {"response": [check]}
        yield http
