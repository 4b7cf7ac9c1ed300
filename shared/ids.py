"""Identifiers: prefixed UUIDv7 for new things, prefixed digests for things that the outside already named."""

import hashlib
from typing import Protocol

import uuid_utils


class Ids(Protocol):
    """A source of new identifiers."""

    def new(self, prefix: str) -> str:
        """A new identifier such as `tkt_0193…`; later ones sort after earlier ones."""
        ...


class TimeOrderedIds:
    """UUIDv7: unique across processes and ordered by time, so that indexes grow at one end."""

    def new(self, prefix: str) -> str:
        """A prefix, an underscore and the 32 hex digits of a UUIDv7."""
        return f"{prefix}_{uuid_utils.uuid7().hex}"


def digest(prefix: str, *parts: str) -> str:
    """The same identifier for the same parts, in every process: prefix, underscore, 32 hex digits of SHA-256."""
    joined = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return f"{prefix}_{hashlib.sha256(joined).hexdigest()[:32]}"
