"""An endpoint: where events are pushed to, which of them, and whether it still wants them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

EndpointState = Literal["active", "paused", "disabled"]
EndpointKind = Literal["webhook", "hook"]
DeliveryState = Literal["waiting", "delivered", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A subscription. Secrets are sealed; the previous one signs too until the overlap ends."""

    id: str
    workspace_id: str
    kind: EndpointKind
    url: str
    description: str
    event_types: tuple[str, ...]
    teams: tuple[str, ...] | None
    state: EndpointState
    state_reason: str | None
    secret: bytes
    previous_secret: bytes | None
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How an endpoint does. `behind`: events that it has not been offered yet."""

    behind: int
    failures: int
    failing_since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event for one endpoint, with every attempt."""

    endpoint_id: str
    number: int
    event_id: str
    type: str
    state: DeliveryState
    attempts: int
    log: tuple[dict[str, object], ...]
    due_at: datetime | None
    created_at: datetime
    settled_at: datetime | None


def secret_context(endpoint_id: str) -> str:
    """Where a signing secret belongs: no other row can use its sealed form."""
    return f"endpoint:{endpoint_id}:secret"
