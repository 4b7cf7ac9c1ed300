"""The Kafka adapter of the event log."""

from shared.log.kafka.admin import Topic, ensure_topics
from shared.log.kafka.cluster import Cluster, Pace, from_settings
from shared.log.kafka.log import KafkaLog

__all__ = ["Cluster", "KafkaLog", "Pace", "Topic", "ensure_topics", "from_settings"]
