"""The event catalogue as documents: a JSON Schema per type, AsyncAPI 3 for all, and what may change within a major."""

import inspect
from typing import Any, Final

import msgspec

from shared.events.catalogue import EVENT_TYPES, TOPICS, EventType

REF_TEMPLATE: Final = "#/$defs/{name}"


def schema(entry: EventType) -> dict[str, Any]:
    """The JSON Schema (2020-12) of one type's value."""
    (top,), components = msgspec.json.schema_components([entry.payload], ref_template=REF_TEMPLATE)
    name = top["$ref"].rsplit("/", 1)[1]
    root = components.pop(name)
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"/schemas/{entry.name}.json",
        "title": entry.name,
        "description": describe(entry),
        **{key: value for key, value in root.items() if key not in {"title", "description"}},
    }
    if components:
        document["$defs"] = dict(sorted(components.items()))
    return document


def schemas() -> dict[str, dict[str, Any]]:
    """Every type's schema, by type name."""
    return {name: schema(entry) for name, entry in sorted(EVENT_TYPES.items())}


def describe(entry: EventType) -> str:
    """What the type means, from its class."""
    return inspect.cleandoc(entry.payload.__doc__ or "").split("\n\n")[0].replace("\n", " ")


def asyncapi(version: str) -> dict[str, Any]:
    """The AsyncAPI 3.0 document of all topics."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    payloads, components = msgspec.json.schema_components(
        [entry.payload for entry in EVENT_TYPES.values()], ref_template="#/components/schemas/{name}"
    )
    references = dict(zip(EVENT_TYPES, payloads, strict=True))
    for topic, key in TOPICS.items():
        entries = [entry for entry in EVENT_TYPES.values() if entry.topic == topic]
        name = _identifier(topic)
        channels[name] = {
            "address": topic,
            "title": topic,
            "description": f"Key: {key}. Written by {entries[0].owner}.",
            "messages": {
                _identifier(entry.name): {"$ref": f"#/components/messages/{_identifier(entry.name)}"}
                for entry in entries
            },
        }
        operations[f"send_{name}"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{name}"},
            "summary": f"{entries[0].owner} publishes",
        }
    for entry in EVENT_TYPES.values():
        messages[_identifier(entry.name)] = {
            "name": entry.name,
            "title": entry.name,
            "summary": describe(entry),
            "contentType": "application/json",
            "headers": _headers(entry),
            "payload": references[entry.name],
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Baton events",
            "version": version,
            "description": "CloudEvents 1.0 in binary mode: headers `ce_*`, a JSON value, and a W3C `traceparent`.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": dict(sorted(components.items()))},
    }


def _headers(entry: EventType) -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "required": ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "ce_partitionkey"],
        "properties": {
            "ce_specversion": {"const": "1.0"},
            "ce_id": text,
            "ce_type": {"const": entry.name},
            "ce_source": {"const": f"/baton/{entry.owner}"},
            "ce_time": {"type": "string", "format": "date-time"},
            "ce_dataschema": text,
            "ce_workspaceid": text,
            "ce_partitionkey": text,
            "traceparent": text,
        },
    }


def _identifier(name: str) -> str:
    return name.replace(".", "_").replace("-", "_")


def breaking_changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What a consumer of `old` would trip over in `new`; empty when only optional things were added."""
    found = _compare(old, new, "")
    for name, definition in old.get("$defs", {}).items():
        if name in new.get("$defs", {}):
            found += _compare(definition, new["$defs"][name], f"/$defs/{name}")
        else:
            found.append(f"/$defs/{name}: removed")
    return found


def _compare(old: dict[str, Any], new: dict[str, Any], path: str) -> list[str]:
    found = [
        f"{path or '/'}: {key} was {old.get(key)!r}, is {new.get(key)!r}"
        for key in ("$ref", "type", "const", "format")
        if old.get(key) != new.get(key)
    ]
    if gone := [value for value in old.get("enum", []) if value not in new.get("enum", [])]:
        found.append(f"{path or '/'}: enum lost {gone}")
    if changed := sorted(set(old.get("required", [])) ^ set(new.get("required", []))):
        found.append(f"{path or '/'}: required changed by {changed}")
    properties = new.get("properties", {})
    for name, value in old.get("properties", {}).items():
        found += (
            _compare(value, properties[name], f"{path}/{name}") if name in properties else [f"{path}/{name}: removed"]
        )
    if isinstance(old.get("items"), dict) and isinstance(new.get("items"), dict):
        found += _compare(old["items"], new["items"], f"{path}/items")
    return found
