"""Settings of the notifier: how replies are claimed, how streams are held, how endpoints are retried."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from shared.settings import Settings

Milliseconds = Annotated[int, Field(gt=0)]
Days = Annotated[int, Field(gt=0)]


class NotifierSettings(Settings):
    """What the notifier reads. Durations are milliseconds unless their name says otherwise."""

    reply_claim_ms: Milliseconds = Field(30_000, description="How long a claimed reply may take before it is unknown.")
    reply_fresh_ms: Milliseconds = Field(
        5_000, description="A reply is sent only if its claim is younger than this by the sender's own clock."
    )
    reply_timeout_ms: Milliseconds = Field(15_000, description="How long a network may take to answer a reply.")
    reply_attempts: int = Field(
        8, ge=1, description="Attempts at a reply that surely did not leave, before it is failed."
    )
    reply_backoff_ms: Milliseconds = Field(
        1_000, description="Wait before the second attempt at a reply; it doubles with each further one."
    )
    reply_poll_ms: Milliseconds = Field(250, description="How often due replies are looked for without a wake-up.")
    reply_concurrency: int = Field(64, ge=1, description="Replies that one process sends at the same time.")
    channel_concurrency: int = Field(4, ge=1, description="Replies that one process sends on one channel at once.")
    channel_rate: float = Field(20.0, gt=0, description="Replies per second that one process sends on one channel.")
    query_backoff_ms: Milliseconds = Field(
        30_000, description="Wait before asking a network again about an unknown reply; doubles up to an hour."
    )
    query_attempts: int = Field(
        40, ge=0, description="Questions about an unknown reply before it is left to a person; 0 asks no network."
    )
    feed_retention_days: Days = Field(
        14, description="How long the feed can be resumed and replayed; longer than the event log keeps its events."
    )
    feed_page: int = Field(500, ge=1, le=5_000, description="Feed rows read at once.")
    feed_poll_ms: Milliseconds = Field(50, description="How often the feed is read for what other processes added.")
    stream_heartbeat_ms: Milliseconds = Field(15_000, description="Silence after which a live stream gets a comment.")
    stream_retry_ms: Milliseconds = Field(1_000, description="How soon a client of the live stream should reconnect.")
    stream_buffer: int = Field(
        1_000, ge=1, description="Events that wait for a slow client of the live stream before it is disconnected."
    )
    stream_clients: int = Field(2_000, ge=1, description="Live streams that one process serves.")
    stream_send_ms: Milliseconds = Field(
        30_000, description="How long a client of the live stream may take to read before it is disconnected."
    )
    endpoint_concurrency: int = Field(32, ge=1, description="Deliveries to one endpoint at the same time.")
    endpoint_timeout_ms: Milliseconds = Field(15_000, description="How long an endpoint may take to answer.")
    endpoint_retries_ms: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 50_400_000, 72_000_000, 86_400_000),
        description="Waits between the attempts at one delivery, as a JSON list; each is varied by a fifth.",
    )
    endpoint_open_after: int = Field(
        5, ge=1, description="Failures in a row after which an endpoint is only probed until it answers."
    )
    endpoint_probe_ms: Milliseconds = Field(
        1_000, description="Wait before the first probe of a failing endpoint; doubles up to five minutes."
    )
    endpoint_disable_ms: Milliseconds = Field(
        432_000_000, description="An endpoint that only failed for so long is disabled."
    )
    endpoint_limit: int = Field(100, ge=1, description="Endpoints that one workspace may have.")
    secret_overlap_ms: Milliseconds = Field(
        86_400_000, description="How long deliveries are signed with the previous secret too, after a rotation."
    )
    lane_ttl_ms: Milliseconds = Field(
        10_000, description="How long a process that has died keeps its endpoints from the others."
    )
    lane_refresh_ms: Milliseconds = Field(
        1_000, description="How often a process renews its endpoints and looks for retries and changes."
    )

    @model_validator(mode="after")
    def _in_time(self) -> Self:
        if self.reply_fresh_ms + self.reply_timeout_ms >= self.reply_claim_ms:
            raise ValueError("reply_fresh_ms and reply_timeout_ms together must be shorter than reply_claim_ms")
        if self.lane_refresh_ms * 2 >= self.lane_ttl_ms:
            raise ValueError("lane_ttl_ms must be longer than two times lane_refresh_ms")
        return self
