"""What the cluster must have before anybody reads or writes: topics, their partitions, how long they keep records."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from shared.errors import Retryable
from shared.log.kafka.cluster import Cluster, reaching
from shared.log.kafka.owner import check_owner, mark

LARGEST_EVENT: Final = 4 * 1024 * 1024
"""Bytes; a delivery of the largest accepted body becomes events far smaller than this."""

_SAFE_COPIES: Final = 3
_LOOK_AGAIN: Final = 0.05
_SET_BY_US: Final = 1
"""`config_source` of a topic's own settings, which altering one of them would otherwise reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """What a topic should be like."""

    partitions: int
    retention_ms: int


_MARK: Final = Topic(partitions=1, retention_ms=86_400_000)


async def ensure_topics(cluster: Cluster, topics: Mapping[str, Topic], *, copies: int | None = None) -> list[str]:
    """Creates what is missing, adds partitions, sets retention; returns what changed. Never takes anything away.

    `copies`: replicas of a new topic; None: three, or as many as there are brokers. Misconfigured: the topics are
    another system's.
    """
    admin = AIOKafkaAdminClient(**cluster.options(), client_id="baton-migrate")
    try:
        with reaching("prepare topics"):
            await admin.start()
            brokers = len((await admin.describe_cluster())["brokers"])
            copies = copies or min(_SAFE_COPIES, brokers)
            names = {cluster.name(topic): wanted for topic, wanted in topics.items()}
            there = set(await admin.list_topics())
            check_owner(cluster, there)
            marks = {mark(cluster): _MARK} if cluster.system else {}
            created = await _create(
                admin, {name: wanted for name, wanted in (names | marks).items() if name not in there}, copies
            )
            # Of two systems that begin at once, at least one sees the other's mark here.
            check_owner(cluster, await _seen(admin, {*names, *marks}, cluster.pace.request))
            # New ones are as they should be, and not every broker knows of them yet.
            old = {name: wanted for name, wanted in names.items() if name not in created}
            grown = await _grow(admin, old)
            kept = await _retain(admin, old)
    finally:
        with suppress(KafkaError, OSError):
            await admin.close()
    return [*(f"topic {name}" for name in created if name in names), *grown, *kept]


async def _create(admin: AIOKafkaAdminClient, topics: Mapping[str, Topic], copies: int) -> list[str]:
    if not topics:
        return []
    response = await admin.create_topics(
        [
            NewTopic(
                name,
                topics[name].partitions,
                copies,
                topic_configs={
                    "retention.ms": str(topics[name].retention_ms),
                    "max.message.bytes": str(LARGEST_EVENT),
                    # With one copy lost, an acknowledged event is still in two places.
                    "min.insync.replicas": str(max(1, copies - 1)),
                },
            )
            for name in sorted(topics)
        ]
    )
    for name, code, *_ in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise Retryable(f"Kafka did not create topic {name}: {error.__name__}")
    return sorted(topics)


async def _seen(admin: AIOKafkaAdminClient, names: set[str], within: timedelta) -> list[str]:
    """All topics, once a broker names these among them: it hears of new ones later than they are made."""
    async with asyncio.timeout(within.total_seconds()):
        while not names <= set(there := list(await admin.list_topics())):  # noqa: ASYNC110 - no broker tells
            await asyncio.sleep(_LOOK_AGAIN)
        return there


async def _grow(admin: AIOKafkaAdminClient, topics: Mapping[str, Topic]) -> list[str]:
    if not topics:
        return []
    grown = {
        topic["topic"]: topics[topic["topic"]].partitions
        for topic in await admin.describe_topics(list(topics))
        if 0 < len(topic["partitions"]) < topics[topic["topic"]].partitions
    }
    if not grown:
        return []
    response = await admin.create_partitions({name: NewPartitions(total_count=count) for name, count in grown.items()})
    for name, code, *_ in response.topic_errors:
        if code:
            raise Retryable(f"Kafka did not add partitions to {name}: {for_code(code).__name__}")
    return [f"{count} partitions of {name}" for name, count in sorted(grown.items())]


async def _retain(admin: AIOKafkaAdminClient, topics: Mapping[str, Topic]) -> list[str]:
    if not topics:
        return []
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in topics]
    (described,) = await admin.describe_configs(resources)
    changed = []
    for resource in described.to_object()["resources"]:
        name = resource["resource_name"]
        wanted = str(topics[name].retention_ms)
        configs = {entry["config_names"]: entry for entry in resource["config_entries"]}
        if not configs:
            raise Retryable(f"Kafka does not say how {name} is set: error {resource['error_code']}")
        if configs["retention.ms"]["config_value"] == wanted:
            continue
        own = {key: entry["config_value"] for key, entry in configs.items() if _is_own(entry)}
        await admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name, configs={**own, "retention.ms": wanted})]
        )
        changed.append(f"retention of {name}")
    return changed


def _is_own(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("config_source") == _SET_BY_US)
