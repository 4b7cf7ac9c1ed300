"""OpenAPI path items of the raw mounts, written by hand: FastAPI never sees these paths."""

from typing import Any, Final

from shared.web.problems import problems

_CHANNEL: Final = {"name": "channel_id", "in": "path", "required": True, "schema": {"type": "string"}}
_NETWORK: Final = {"name": "network", "in": "path", "required": True, "schema": {"type": "string"}}
_ANY_BODY: Final = {"required": True, "content": {"application/json": {"schema": {}}}}


def webhook_paths() -> dict[str, Any]:
    """What the mounts serve. They are public: the network's signature is the key."""
    return {
        "/webhooks/{network}/{channel_id}": {
            "parameters": [_NETWORK, _CHANNEL],
            "get": {
                "operationId": "greetWebhook",
                "tags": ["webhooks"],
                "summary": "Answers the network's handshake",
                "security": [],
                "responses": {
                    "200": {"description": "What the network wants to hear"},
                    "403": {"description": "It does not know the channel's verify token"},
                    **_problems(404, 405, 503),
                },
            },
            "post": {
                "operationId": "receiveWebhook",
                "tags": ["webhooks"],
                "summary": "Takes a delivery of a network, and answers once it is durable",
                "description": "The signature is checked over the raw bytes, with the channel's secret or the one "
                "before it. The same delivery, however often, is kept once.",
                "security": [],
                "requestBody": _ANY_BODY,
                "responses": {"200": {"description": "Kept, or kept before"}, **_problems(400, 401, 404, 413, 503)},
            },
        },
        "/v1/messages": {
            "post": {
                "operationId": "postMessages",
                "tags": ["webhooks"],
                "summary": "Takes messages of a channel of the generic network `api`",
                "description": "Signed as Standard Webhooks; `webhook-id` makes two deliveries the same one.",
                "security": [],
                "parameters": [
                    _header(
                        "baton-channel", "The channel's id; or give `channel_id` as query parameter", required=False
                    ),
                    {
                        "name": "channel_id",
                        "in": "query",
                        "required": False,
                        "description": "The channel's id, where a header cannot be set",
                        "schema": {"type": "string"},
                    },
                    _header("webhook-id", "Unique per delivery, the same when it is sent again"),
                    _header("webhook-timestamp", "Seconds since 1970, at most five minutes off"),
                    _header("webhook-signature", "`v1,` and the base64 HMAC-SHA256 of id, timestamp and body"),
                ],
                "requestBody": _ANY_BODY,
                "responses": {
                    "202": {"description": "Kept, or kept before"},
                    **_problems(400, 401, 404, 405, 413, 503),
                },
            },
        },
    }


def _header(name: str, description: str, *, required: bool = True) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": required,
        "description": description,
        "schema": {"type": "string"},
    }


def _problems(*statuses: int) -> dict[str, Any]:
    return {str(status): response for status, response in problems(*statuses).items()}
