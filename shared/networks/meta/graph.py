"""The Graph API: how it is asked, and what its answers mean."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlencode

import msgspec

from shared.errors import Rejected
from shared.events.messages import Attachment
from shared.networks import bodies, responses
from shared.networks.port import (
    NOT_THERE,
    Account,
    Failed,
    HttpRequest,
    HttpResponse,
    Outcome,
    Sent,
    Throttled,
    Unknown,
)

BASE_URL: Final = "https://graph.facebook.com/v24.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """What the API's error codes and subcodes mean; networks add their own."""

    rate_limits: frozenset[int] = frozenset({4, 17, 32, 341, 613, *range(80000, 80015)})
    unauthorized: frozenset[int] = frozenset({102, 190})
    transient: frozenset[int] = frozenset({1, 2, 1200})
    """They say "something went wrong" and leave open whether it went wrong before or after the effect."""
    outside_window: frozenset[int] = frozenset({2018065, 2018278})
    """The customer's last message is too long ago."""


CODES: Final = Codes()

_NO_SUCH_OBJECT: Final = 33
"""The subcode for what is not there, or not for us."""

_ID: Final = re.compile(r"[A-Za-z0-9_:\-]+")
_JSON: Final = msgspec.json.Decoder(dict[str, Any])


def post(account: Account, path: str, body: Mapping[str, Any], *, base_url: str = BASE_URL) -> HttpRequest:
    """A request that has an effect."""
    headers = {**_authorization(account), "content-type": "application/json"}
    url = f"{_base(account, base_url)}/{path}"
    return HttpRequest(method="POST", url=url, headers=headers, body=msgspec.json.encode(body))


def change(
    account: Account,
    method: Literal["POST", "DELETE"],
    path: str,
    fields: Mapping[str, str] | None = None,
    *,
    base_url: str = BASE_URL,
) -> HttpRequest:
    """A request that changes what is there; all that it says stands in its URL."""
    url = f"{_base(account, base_url)}/{path}{f'?{urlencode(fields)}' if fields else ''}"
    return HttpRequest(method=method, url=url, headers=_authorization(account))


def get(account: Account, path: str, fields: Mapping[str, str], *, base_url: str = BASE_URL) -> HttpRequest:
    """A request that only asks."""
    url = f"{_base(account, base_url)}/{path}?{urlencode(fields, safe=',(){}')}"
    return HttpRequest(method="GET", url=url, headers=_authorization(account))


def _base(account: Account, base_url: str) -> str:
    return (account.api_base_url or base_url).rstrip("/")


def _authorization(account: Account) -> dict[str, str]:
    """The token goes into a header: URLs end up in logs."""
    token = account.credentials.get("access_token")
    if not token:
        raise Rejected("the channel has no access_token")
    return {"authorization": f"Bearer {token}"}


def path_id(external_id: str) -> str:
    """An id that may stand in a path; a foreign id must not lead to another resource."""
    if not _ID.fullmatch(external_id):
        raise Rejected("the id cannot be part of a URL")
    return external_id


def link(attachment: Attachment) -> str:
    """Where Meta can fetch an attachment."""
    if not attachment.url:
        raise Rejected(f"the {attachment.kind} has no url")
    return attachment.url


def object_id(answer: Mapping[str, Any]) -> str | None:
    """The id of what a request made: a message's, else the object's own."""
    return bodies.identifier(answer.get("message_id")) or bodies.identifier(answer.get("id"))


def interpret(
    response: HttpResponse,
    *,
    codes: Codes = CODES,
    made: Callable[[Mapping[str, Any]], str | None] = object_id,
) -> Outcome:
    """What the answer to a reply means; whatever does not clearly say so is Unknown, never Failed."""
    body = read(response)
    error = bodies.mapping(body.get("error"))
    if 200 <= response.status < 300:
        external_id = made(body)
        return Sent(external_id=external_id) if external_id else Unknown(reason="a success without an id")
    code, subcode = _number(error.get("code")), _number(error.get("error_subcode"))
    reason = _reason(response.status, error)
    if response.status == 429 or code in codes.rate_limits:
        return Throttled(retry_after=_wait(response), reason=reason)
    refused = 400 <= response.status < 500 and response.status != 408
    if not refused or code in codes.transient or error.get("is_transient") is True:
        return Unknown(reason=reason)
    if response.status == 401 or code in codes.unauthorized:
        return Failed(code="unauthorized", reason=reason, unauthorized=True)
    if {code, subcode} & codes.outside_window:
        return Failed(code="window-closed", reason=reason)
    return Failed(code=str(code) if code is not None else f"http-{response.status}", reason=reason)


def interpret_change(response: HttpResponse, *, codes: Codes = CODES) -> Outcome:
    """What the answer to a change means; it makes nothing, so that a success has no id."""
    body = read(response)
    outcome = interpret(response, codes=codes, made=lambda answer: "done" if answer.get("success") is True else None)
    match outcome:
        case Sent():
            return Sent(external_id=None)
        case Unknown() if body.get("success") is False:
            return Failed(code="refused", reason=f"HTTP {response.status}: the network says that it did not do it")
        case Failed() if _number(bodies.mapping(body.get("error")).get("error_subcode")) == _NO_SUCH_OBJECT:
            return Failed(code=NOT_THERE, reason=outcome.reason)
        case _:
            return outcome


def read(response: HttpResponse) -> dict[str, Any]:
    """The JSON object that came back, empty where none did."""
    try:
        return bodies.decode(_JSON, response.body)
    except Rejected:
        return {}


def _number(value: object) -> int | None:
    found = bodies.identifier(value)
    return int(found) if found and found.isascii() and found.isdigit() else None


def _reason(status: int, error: Mapping[str, Any]) -> str:
    numbers = [str(error[name]) for name in ("code", "error_subcode") if _number(error.get(name)) is not None]
    where = f", code {'/'.join(numbers)}" if numbers else ""
    said = bodies.text(error.get("message")) or "no reason given"
    return f"HTTP {status}{where}: {said[: responses.LONGEST_REASON]}"


def _wait(response: HttpResponse) -> float:
    """The longest of what Meta estimates; its usage headers count in minutes."""
    waits = [wait] if (wait := responses.retry_after(response.headers)) is not None else []
    raw = responses.header(response.headers, "x-business-use-case-usage") or ""
    try:
        usage = bodies.decode(_JSON, raw.encode("utf-8", "replace"))
    except Rejected:
        usage = {}
    for uses in usage.values():
        for use in bodies.sequence(uses):
            minutes = bodies.mapping(use).get("estimated_time_to_regain_access")
            if isinstance(minutes, (int, float)) and minutes > 0:
                waits.append(responses.bounded(minutes * 60))
    return max(waits, default=responses.DEFAULT_WAIT)
