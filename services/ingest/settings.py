"""Settings of ingest: how much may wait at the door, and how the inbox is worked off."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from shared.settings import Settings

Milliseconds = Annotated[int, Field(gt=0)]


class IngestSettings(Settings):
    """What ingest reads. Durations are milliseconds unless their name says otherwise."""

    intake_batch: int = Field(500, ge=1, le=5_000, description="Deliveries that are stored in one transaction at most.")
    intake_queue: int = Field(
        5_000, ge=1, description="Webhook requests that may wait to be stored; more are answered 503."
    )
    intake_queue_bytes: int = Field(
        64 * 1024 * 1024, ge=1, description="Bytes of bodies that may wait to be stored; more are answered 503."
    )
    normalizer_batch: int = Field(
        300, ge=1, le=5_000, description="Deliveries that are normalized in one transaction at most."
    )
    normalizer_batch_bytes: int = Field(
        2 * 1024 * 1024, ge=1, description="Bytes of bodies after which such a transaction takes no more deliveries."
    )
    normalizer_poll_ms: Milliseconds = Field(
        200, description="How often the inbox is looked at for what other processes stored."
    )
    normalizer_ttl_ms: Milliseconds = Field(
        6_000, description="How long a process that has died keeps its channels from being normalized by others."
    )
    normalizer_heartbeat_ms: Milliseconds = Field(
        2_000, description="How often a process says that it lives, and takes its share of the channels."
    )
    item_retention_days: Annotated[int, Field(gt=0)] = Field(
        730, description="How long an item of a network is known after it last changed, so that edits find it."
    )

    @model_validator(mode="after")
    def _in_time(self) -> Self:
        if self.normalizer_heartbeat_ms * 2 >= self.normalizer_ttl_ms:
            raise ValueError("normalizer_ttl_ms must be longer than two times normalizer_heartbeat_ms")
        return self
