"""A Kafka cluster as settings name it: where it is, how to speak to it, how our topics are called there."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self

from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedSaslMechanismError,
)

from shared.errors import Misconfigured, Retryable
from shared.settings import KernelSettings

REFUSED: Final = (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)
"""Who we are, or what we may do, is not enough: waiting does not help."""

_HEARTBEAT: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How patient clients are; defaults are for production."""

    session: timedelta = timedelta(seconds=6)
    """After this long without a heartbeat a member's partitions move."""
    heartbeat: timedelta = _HEARTBEAT
    hold: timedelta = timedelta(seconds=5)
    """How long a rebalance waits for the batch in hand, so that it need not be handled twice."""
    request: timedelta = timedelta(seconds=10)
    join: timedelta = timedelta(seconds=60)
    """How long a member waits for its first partitions."""
    delivery: timedelta = timedelta(seconds=30)
    """After this long without an acknowledgment it is unknown what arrived, and another producer takes over."""
    stall: timedelta = timedelta(seconds=30)
    """A member that gets nothing for so long although there is something is replaced."""
    metadata: timedelta = timedelta(seconds=20)
    """How soon new partitions are seen."""
    retry: timedelta = timedelta(milliseconds=250)
    """Between two tries to reach a broker that is away."""

    @classmethod
    def of(cls, session: timedelta) -> Self:
        """With heartbeats that a short session survives, too."""
        return cls(session=session, heartbeat=min(_HEARTBEAT, session / 4))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One cluster."""

    servers: tuple[str, ...]
    prefix: str = ""
    """In front of every topic and group: several systems may share a cluster."""
    system: str = ""
    """Which system this is, by its database; empty: nobody asks whose the topics are."""
    member: str | None = None
    """Static membership: the name of this process among its replicas, the same after a restart."""
    security: dict[str, Any] = field(default_factory=dict, repr=False)
    pace: Pace = Pace()

    def name(self, topic: str) -> str:
        """A topic's or a group's name on the cluster."""
        return f"{self.prefix}{topic}"

    def topic(self, name: str) -> str:
        """The inverse of `name`."""
        return name.removeprefix(self.prefix)

    def options(self) -> dict[str, Any]:
        """What every client is built with."""
        return {
            "bootstrap_servers": list(self.servers),
            "request_timeout_ms": _ms(self.pace.request),
            "retry_backoff_ms": _ms(self.pace.retry),
            "metadata_max_age_ms": _ms(self.pace.metadata),
            **self.security,
        }


def from_settings(settings: KernelSettings) -> Cluster:
    """The cluster of BATON_EVENT_LOG; Misconfigured where its security does not fit together."""
    protocol = settings.kafka_security.upper()
    security: dict[str, Any] = {"security_protocol": protocol}
    if protocol.endswith("SSL"):
        security["ssl_context"] = _ssl_context(settings)
    if protocol.startswith("SASL"):
        if not settings.kafka_username or settings.kafka_password is None:
            raise Misconfigured(
                f"BATON_KAFKA_SECURITY={settings.kafka_security} needs BATON_KAFKA_USERNAME and BATON_KAFKA_PASSWORD"
            )
        security |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism.upper(),
            "sasl_plain_username": settings.kafka_username,
            "sasl_plain_password": settings.kafka_password.get_secret_value(),
        }
    return Cluster(
        servers=settings.kafka_servers,
        prefix=settings.kafka_prefix,
        member=settings.kafka_member,
        security=security,
        pace=Pace.of(timedelta(milliseconds=settings.kafka_session_ms)),
    )


def _ssl_context(settings: KernelSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ca_file)
        if settings.kafka_cert_file is not None:
            context.load_cert_chain(settings.kafka_cert_file, settings.kafka_key_file)
    except (OSError, ssl.SSLError) as error:
        files = (settings.kafka_ca_file, settings.kafka_cert_file, settings.kafka_key_file)
        names = ", ".join(str(path) for path in files if isinstance(path, Path))
        raise Misconfigured(f"the TLS files for Kafka cannot be used ({names}): {error}") from error
    return context


@contextmanager
def reaching(what: str) -> Iterator[None]:
    """Errors of the client in our own words."""
    try:
        yield
    except UnknownTopicOrPartitionError as error:
        # No misconfiguration that ends a process: a broker that has just started does not know all its topics yet.
        raise Retryable("a topic is missing on Kafka: run `baton migrate`") from error
    except REFUSED as error:
        raise Misconfigured(
            f"Kafka refuses us ({type(error).__name__}): see BATON_KAFKA_USERNAME, BATON_KAFKA_PASSWORD and its ACLs"
        ) from error
    except (KafkaError, OSError, TimeoutError) as error:
        raise Retryable(f"Kafka is away: cannot {what}: {type(error).__name__}: {error}") from error


def _ms(duration: timedelta) -> int:
    return round(duration.total_seconds() * 1000)
