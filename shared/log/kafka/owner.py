"""Whose topics these are: two systems on one prefix would take each other's events, without a word."""

from collections.abc import Iterable
from typing import Final

from shared.errors import Misconfigured
from shared.log.kafka.cluster import Cluster

MARK: Final = "baton.system."
"""A topic without records, named after the system that made it; it lasts as long as the others, and can be seen."""


def mark(cluster: Cluster) -> str:
    """The topic that says that the prefix is this system's."""
    return cluster.name(f"{MARK}{cluster.system}")


def check_owner(cluster: Cluster, topics: Iterable[str]) -> None:
    """Raises Misconfigured when another system's mark is among the cluster's topics."""
    others = sorted(name for name in topics if name.startswith(cluster.name(MARK)) and name != mark(cluster))
    if cluster.system and others:
        raise Misconfigured(
            f"the topics with prefix {cluster.prefix!r} belong to another system (there is a topic {others[0]}): set "
            "BATON_KAFKA_PREFIX, or delete that topic if the system is gone"
        )
