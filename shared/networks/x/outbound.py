"""To X: the requests that send a reply and moderate a post, and what the answers to them mean."""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from shared.errors import Rejected
from shared.events.messages import Operation
from shared.networks import bodies, responses
from shared.networks.port import (
    NOT_THERE,
    Account,
    Failed,
    HttpRequest,
    HttpResponse,
    OutboundModeration,
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
_EFFECTS: Final[Mapping[Operation, tuple[str, bool]]] = {
    "hide": ("hidden", True),
    "unhide": ("hidden", False),
    "delete": ("deleted", True),
    "like": ("liked", True),
}
"""What the answer says of a post once it is done."""

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
    return _call(account, "POST", "tweets", {"text": reply.text, "reply": {"in_reply_to_tweet_id": answered}})


def moderate(account: Account, moderation: OutboundModeration) -> HttpRequest:
    """The request that does this to a post."""
    post = number(moderation.external_id, "the post")
    match moderation.operation:
        case "delete":
            return _call(account, "DELETE", f"tweets/{post}")
        case "like":
            return _call(
                account, "POST", f"users/{number(account.external_id, 'the account')}/likes", {"tweet_id": post}
            )
        case operation:
            return _call(account, "PUT", f"tweets/{post}/hidden", {"hidden": operation == "hide"})


def _message(account: Account, reply: OutboundReply) -> HttpRequest:
    if len(reply.text) > MESSAGE_LIMIT:
        raise Rejected(f"text has {len(reply.text)} characters, a direct message takes {MESSAGE_LIMIT}")
    recipient = number(reply.recipient_external_id or "", "the recipient")
    return _call(account, "POST", f"dm_conversations/with/{recipient}/messages", {"text": reply.text})


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


def interpret_moderation(response: HttpResponse, moderation: OutboundModeration) -> Outcome:
    """What the answer to an operation means: a success says how the post is now."""
    if not 200 <= response.status < 300:
        outcome = interpret(response)
        if isinstance(outcome, Failed) and response.status == 404:
            return Failed(code=NOT_THERE, reason=outcome.reason)
        return outcome
    name, wanted = _EFFECTS[moderation.operation]
    match bodies.mapping(body_of(response).get("data")).get(name):
        case bool(is_so) if is_so is wanted:
            return Sent(external_id=None)
        case bool():
            return Failed(code="refused", reason=f"HTTP {response.status}: X says that it did not do it")
        case _:
            return Unknown(reason="a success that does not say what was done")


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


def _call(
    account: Account, method: Literal["POST", "PUT", "DELETE"], path: str, body: Mapping[str, Any] | None = None
) -> HttpRequest:
    url, headers = f"{base(account)}/2/{path}", authorization(account)
    if body is None:
        return HttpRequest(method=method, url=url, headers=headers)
    headers["content-type"] = "application/json"
    return HttpRequest(method=method, url=url, headers=headers, body=msgspec.json.encode(body))


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
