"""How a request ends: with a response, refused by us, certainly not sent, or unknown.

The last two differ in what the caller may do: what was not sent can be sent again; what is unknown may have had its
effect, and sending it again could have it twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.errors import BatonError, Rejected, Retryable


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What came back. Header names are lower-case; `truncated` says that the body went on beyond the limit."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    truncated: bool = False


class EgressRefused(Rejected):
    """The policy forbids this request, whenever it is made. The reason says nothing about what a name resolves to."""


class NotSent(Retryable):
    """Certainly nothing of the request reached the other side."""


class OutcomeUnknown(BatonError):
    """The request may have arrived, whole or in part, and no full answer came back."""


@dataclass(slots=True)
class Attempt:
    """Where one request stands: until it is handed to a connection, nothing of it can have arrived."""

    handed_over: bool = False

    def failed(self, host: str, reason: str) -> NotSent | OutcomeUnknown:
        """The error for a failure at this point."""
        if self.handed_over:
            return OutcomeUnknown(f"{host}: {reason} after the request was handed over")
        return NotSent(f"{host}: {reason}")
