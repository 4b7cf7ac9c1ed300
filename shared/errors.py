"""Every failure Baton knows, as one tree.

    BatonError
    ├── Refusal              an expected "no" to a caller: status, code and fields, rendered as RFC 9457
    │   ├── BadRequest           400
    │   ├── Unauthorized         401
    │   ├── Forbidden            403
    │   ├── NotFound             404
    │   ├── Conflict             409
    │   ├── VersionStale         412
    │   ├── BodyTooLarge         413
    │   ├── Invalid              422
    │   ├── VersionRequired      428
    │   ├── RateLimited          429
    │   └── Unavailable          503
    ├── Retryable            a dependency is away or busy: the same call may succeed later
    ├── Rejected             this input can never succeed: dead-letter it, do not retry
    └── Misconfigured        the operator must change something; the message says what

Anything else that is raised is a bug.
"""

from typing import Any, ClassVar


class BatonError(Exception):
    """Root of all failures that Baton raises itself."""


class Refusal(BatonError):
    """An expected refusal; `fields` become members of the problem document, `headers` HTTP headers."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "refused"
    title: ClassVar[str] = "The request was refused"
    keeps_effects: ClassVar[bool] = False
    """Whether what the transaction wrote before the refusal (a draft, a ledger entry) is committed with it."""

    def __init__(self, detail: str, *, headers: dict[str, str] | None = None, **fields: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers or {}
        self.fields = fields


class BadRequest(Refusal):
    """The request is not well-formed."""

    status = 400
    code = "bad-request"
    title = "The request is not well-formed"


class Unauthorized(Refusal):
    """No valid credentials came with the request."""

    status = 401
    code = "unauthorized"
    title = "Valid credentials are required"


class Forbidden(Refusal):
    """The principal may not do this."""

    status = 403
    code = "forbidden"
    title = "The key may not do this"


class NotFound(Refusal):
    """There is no such thing in this workspace."""

    status = 404
    code = "not-found"
    title = "Not found"


class Conflict(Refusal):
    """The request contradicts the current state."""

    status = 409
    code = "conflict"
    title = "The request contradicts the current state"


class VersionStale(Refusal):
    """If-Match names another version than the current one."""

    status = 412
    code = "version-stale"
    title = "The object has changed since it was read"


class BodyTooLarge(Refusal):
    """The body exceeds the limit of this path."""

    status = 413
    code = "body-too-large"
    title = "The body is too large"


class Invalid(Refusal):
    """The payload is malformed, or no network would take it."""

    status = 422
    code = "invalid"
    title = "The payload is not valid"


class VersionRequired(Refusal):
    """This write wants If-Match."""

    status = 428
    code = "version-required"
    title = "If-Match is required"


class RateLimited(Refusal):
    """Too many requests; `Retry-After` says when."""

    status = 429
    code = "rate-limited"
    title = "Too many requests"


class Unavailable(Refusal):
    """A dependency is away; nothing was stored."""

    status = 503
    code = "unavailable"
    title = "Temporarily unavailable"


class Retryable(BatonError):
    """A dependency is away or busy: the same call may succeed later."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds that the other side asked us to wait, or None."""


class Rejected(BatonError):
    """This input can never succeed: dead-letter it, do not retry."""


class Misconfigured(BatonError):
    """The operator must change something; the message says what."""
