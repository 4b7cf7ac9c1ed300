"""To X: the request that sends a reply, and what the answer to it means."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from shared.errors import Rejected
from shared.networks import bodies, responses
from shared.networks.port import (
    Account,
    Failed,
    HttpRequest,
    HttpResponse,
    OutboundReply,
    Outcome,
    Sent,
    Throttled,
    Unknown,
)
from shared.networks.x import words

BASE_URL: Final = "https://api.x.com"
POST_LIMIT: Final = 280
"""As X counts: see `words.weight`."""

MESSAGE_LIMIT: Final = 10_000
DIRECT: Final = frozenset({"dm", "story_reply"})
DUPLICATE: Final = 187
"""The first API's code for a post whose words the account has just used; the second says it in a sentence."""

_JSON: Final = msgspec.json.Decoder(dict[str, Any])
_ID: Final = re.compile(r"[0-9]{1,20}")
_WINDOWS: Final = ("x-rate-limit", "x-user-limit-24hour", "x-app-limit-24hour")


def reply(account: Account, reply: OutboundReply) -> HttpRequest:
    """The request that sends this reply; Rejected when X takes no such reply."""
    if reply.attachments:
        raise Rejected("X takes files only after an upload of their own, not by their addresses")
    if not reply.text:
        raise Rejected("there is no text")
    if reply.kind == "private":
        return _message(account, reply)
    if reply.message_kind in DIRECT:
        raise Rejected(f"a {reply.message_kind} has no public answer")
    weight = words.weight(reply.text)
    if weight > POST_LIMIT:
        raise Rejected(f"as X counts, the text has {weight} characters; a post takes {POST_LIMIT}")
    answered = number(reply.in_reply_to_external_id, "the post")
    return _post(account, "tweets", {"text": reply.text, "reply": {"in_reply_to_tweet_id": answered}})


def _message(account: Account, reply: OutboundReply) -> HttpRequest:
    if len(reply.text) > MESSAGE_LIMIT:
        raise Rejected(f"text has {len(reply.text)} characters, a direct message takes {MESSAGE_LIMIT}")
    recipient = number(reply.recipient_external_id or "", "the recipient")
    return _post(account, f"dm_conversations/with/{recipient}/messages", {"text": reply.text})


def interpret(response: HttpResponse) -> Outcome:
    """What the answer to a reply means; whatever does not clearly say so is Unknown, never Failed."""
    body = body_of(response)
    if 200 <= response.status < 300:
        data = bodies.mapping(body.get("data"))
        external_id = bodies.identifier(data.get("id")) or bodies.identifier(data.get("dm_event_id"))
        return Sent(external_id=external_id) if external_id else Unknown(reason="a success without an id")
    errors = [bodies.mapping(error) for error in bodies.sequence(body.get("errors"))]
    code = next((error["code"] for error in errors if type(error.get("code")) is int), None)
    said = _said(body, errors)
    reason = f"HTTP {response.status}{f', code {code}' if code is not None else ''}: {said}"
    if response.status == 429:
        return Throttled(retry_after=_wait(response), reason=reason)
    if not 400 <= response.status < 500 or response.status == 408:
        return Unknown(reason=reason)
    if response.status == 401:
        return Failed(code="unauthorized", reason=reason, unauthorized=True)
    if code == DUPLICATE or (response.status == 403 and "duplicate content" in said.lower()):
        # No attempt of ours is ever repeated, so it is not this reply that is there already. It may be one before it
        # that somebody took for lost.
        hint = "the account has posted these words already; look for that answer before writing another one"
        return Failed(code="duplicate-content", reason=f"{reason} ({hint})")
    return Failed(code=str(code) if code is not None else f"http-{response.status}", reason=reason)


def body_of(response: HttpResponse) -> dict[str, Any]:
    """The answer as an object, empty where it is none."""
    try:
        return bodies.decode(_JSON, response.body)
    except Rejected:
        return {}


def _said(body: Mapping[str, Any], errors: list[dict[str, Any]]) -> str:
    found = [body.get("detail"), *(error.get("message") for error in errors), body.get("title")]
    return next((said[: responses.LONGEST_REASON] for said in map(bodies.text, found) if said), "no reason given")


def _wait(response: HttpResponse) -> float:
    """Until the last of the exhausted windows ends, by X's own clock."""
    waits = [wait] if (wait := responses.retry_after(response.headers)) is not None else []
    now = responses.date(response.headers)
    if now is None or now.tzinfo is None:
        return max(waits, default=responses.DEFAULT_WAIT)
    for window in _WINDOWS:
        reset = bodies.instant(responses.header(response.headers, f"{window}-reset"))
        left = responses.header(response.headers, f"{window}-remaining")
        if reset is not None and left in {None, "0"}:
            waits.append(responses.bounded((reset - now).total_seconds()))
    return max(waits, default=responses.DEFAULT_WAIT)


def _post(account: Account, path: str, body: Mapping[str, Any]) -> HttpRequest:
    headers = {**authorization(account), "content-type": "application/json"}
    return HttpRequest(method="POST", url=f"{base(account)}/2/{path}", headers=headers, body=msgspec.json.encode(body))


def base(account: Account) -> str:
    """Where the API is, without a slash at the end."""
    return (account.api_base_url or BASE_URL).rstrip("/")


def authorization(account: Account) -> dict[str, str]:
    """The account's own token, which may write for it; an app's token may not."""
    token = account.credentials.get("access_token")
    if not token:
        raise Rejected("the channel has no access_token")
    return {"authorization": f"Bearer {token}"}


def number(external_id: str, what: str) -> str:
    """An id that may stand in a path or name a post; a foreign id must not lead to another resource."""
    if not _ID.fullmatch(external_id):
        raise Rejected(f"{what} has no id of X")
    return external_id
