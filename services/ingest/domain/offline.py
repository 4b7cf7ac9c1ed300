"""What a body would become, without a database: for `baton parse`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from services.ingest.domain.batch import Batch, Reading, locate
from services.ingest.domain.deliveries import Delivery
from shared.events.catalogue import TYPE_OF
from shared.events.messages import MessageEvent
from shared.networks import registry
from shared.networks.port import Parsed, Skipped

_NOBODY: Final = "offline"
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
"""Nothing was received: where a body tells no time, the same body must still give the same lines."""


def parse_offline(network: str, raw: bytes) -> list[dict[str, Any]]:
    """One dict a part, events first, then what is ignored or not understood; NotFound for a network that is none.

    Every account that the body names counts as one channel that is connected.
    """
    adapter = registry.get(network)
    parsed = adapter.parse(raw)
    delivery = Delivery(
        id=_NOBODY,
        workspace_id=_NOBODY,
        channel_id=_NOBODY,
        network=network,
        account=_NOBODY,
        received_at=_EPOCH,
        body=raw,
    )
    reading = Reading(delivery=delivery, parsed=parsed, capabilities=adapter.capabilities)
    named = {(_NOBODY, network, item.account_external_id): _NOBODY for item in parsed.items}
    batch = Batch({}, ())
    batch.settle(locate(reading, named))
    return [*(_event(emission.data) for _, _, emission in batch.emissions), *_rest(parsed)]


def _event(data: MessageEvent) -> dict[str, Any]:
    fields = {"event": TYPE_OF[type(data)].name, **msgspec.to_builtins(data)}
    return {name: value for name, value in fields.items() if name != "workspace_id"}


def _rest(parsed: Parsed) -> Iterator[dict[str, Any]]:
    for part in parsed.ignored:
        yield _skipped("ignored", part)
    for part in parsed.not_understood:
        yield _skipped("not-understood", part)


def _skipped(state: str, part: Skipped) -> dict[str, Any]:
    return {"state": state, "code": part.code, "detail": part.detail}
