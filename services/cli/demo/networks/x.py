"""A simulated X account: mentions and direct messages as the X Activity API tells of them, and our own posts too."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from services.cli.demo.networks.simulated import Opening, Operated, Received, Simulated


@dataclass(kw_only=True)
class X(Simulated):
    """One account, whose app has a webhook."""

    network: ClassVar[str] = "x"
    account: str = "2244994945"

    @property
    def credentials(self) -> dict[str, str]:
        """The app's secret, and the account's token."""
        return {"consumer_secret": self.secret, "access_token": "demo"}

    async def greet(self) -> None:
        """The challenge-response check: a token, to be answered under the secret."""
        token = f"token-{self.number()}"
        expected = {"response_token": self._mac(token.encode())}
        await self.challenge({"crc_token": token}, lambda text: bool(json.loads(text) == expected))

    def sign(self, body: bytes) -> dict[str, str]:
        """HMAC of the raw bytes, in base64."""
        return {"X-Twitter-Webhooks-Signature": self._mac(body)}

    def openings(self) -> Iterator[Opening]:
        """A post that mentions the account, and a direct message."""
        item, text = str(self.number()), "@acme the zip is broken after two days"
        payload = self.post_event("post.mention.create", item, str(self.number()), "dana", text)
        yield Opening(what="a mention", customer="dana", text=text, item=item, target=item, payload=payload)
        author, item, text = str(self.number()), str(self.number()), "Can you help me change my address?"
        payload = self.message_event("dm.received", item, author, self.account, text)
        yield Opening(
            what="a direct message", customer="Somebody", text=text, item=item, target=author, payload=payload
        )

    def event(self, name: str, payload: dict[str, Any], **more: Any) -> dict[str, Any]:
        """One event of the account."""
        named = {"event_uuid": str(self.number()), "filter": {"user_id": self.account}, "event_type": name}
        return {"data": {**named, "payload": payload, **more}}

    def post_event(
        self, name: str, item: str, author: str, handle: str, text: str, *, parent: str | None = None
    ) -> dict[str, Any]:
        """A post of somebody."""
        answers = {"referenced_tweets": [{"type": "replied_to", "id": parent}]} if parent else {}
        post = {
            "id": item,
            "text": text,
            "author_id": author,
            "created_at": _now(),
            "conversation_id": parent or item,
            "edit_history_tweet_ids": [item],
            **answers,
        }
        users = [{"data": {"id": author, "name": handle.title(), "username": handle}}]
        return self.event(name, post, includes={"users": users})

    def message_event(self, name: str, item: str, sender: str, recipient: str, text: str) -> dict[str, Any]:
        """A direct message of somebody."""
        message = {
            "type": "message_create",
            "id": item,
            "created_timestamp": str(int(time.time() * 1000)),
            "message_create": {
                "sender_id": sender,
                "target": {"recipient_id": recipient},
                "message_data": {"text": text},
            },
        }
        return self.event(name, {"direct_message_events": [message]})

    def take(self, path: str, payload: Any) -> tuple[Received, dict[str, Any]]:
        """`/2/tweets`, or `/2/dm_conversations/with/{person}/messages`."""
        item = str(self.number())
        if path.endswith("/tweets"):
            target = payload["reply"]["in_reply_to_tweet_id"]
            taken = Received(target=target, text=payload["text"], external_id=item, is_public=True)
            return taken, {"data": {"id": item, "text": payload["text"]}}
        target = path.split("/")[-2]
        answer = {"dm_conversation_id": f"{target}-{self.account}", "dm_event_id": item}
        return Received(target=target, text=payload["text"], external_id=item), {"data": answer}

    def operates(self, method: str, path: str, payload: Any) -> tuple[Operated, dict[str, Any]] | None:
        """`/2/tweets/{post}`, `/2/tweets/{post}/hidden` and `/2/users/{account}/likes`; of these nothing is told."""
        parts = path.strip("/").split("/")
        if method == "DELETE":
            return Operated(operation="delete", item=parts[-1]), {"data": {"deleted": True}}
        if parts[-1] == "hidden":
            is_hidden = payload["hidden"]
            return Operated(operation="hide" if is_hidden else "unhide", item=parts[-2]), {
                "data": {"hidden": is_hidden}
            }
        if parts[-1] == "likes":
            return Operated(operation="like", item=payload["tweet_id"]), {"data": {"liked": True}}
        return None

    def shows(self, taken: Received) -> Iterator[Any]:
        """The account's own post or message, like anybody's."""
        if taken.is_public:
            yield self.post_event(
                "post.create", taken.external_id, self.account, "acme", taken.text, parent=taken.target
            )
            return
        yield self.message_event("dm.sent", taken.external_id, self.account, taken.target, taken.text)

    def _mac(self, content: bytes) -> str:
        return "sha256=" + base64.b64encode(hmac.digest(self.secret.encode(), content, hashlib.sha256)).decode()


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
