"""A simulated Facebook Page: comments and Messenger, replies through the Graph API, echoes of both."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from services.cli.demo.networks.meta import Meta
from services.cli.demo.networks.simulated import Opening, Operated, Received
from shared.events.messages import Operation

_VERBS: Final[dict[Operation, str]] = {"hide": "hide", "unhide": "unhide", "delete": "remove"}
PAGE: Final = "1067280970047460"


@dataclass(kw_only=True)
class Facebook(Meta):
    """One Page."""

    network: ClassVar[str] = "facebook"
    product: ClassVar[str] = "page"
    account: str = PAGE

    def openings(self) -> Iterator[Opening]:
        """A comment, and a message."""
        author, item, text = str(self.number()), f"900_{self.number()}", "My parcel never arrived 😡"
        payload = self.comment(item, f"{self.account}_900", {"id": author, "name": "Ada"}, text)
        yield Opening(what="a comment", customer="Ada", text=text, item=item, target=item, payload=payload)
        author, item, text = str(self.number()), f"m_{self.number()}", "Do you ship to Norway?"
        payload = self.messaging(author, self.account, {"mid": item, "text": text})
        yield Opening(what="a message", customer="Somebody", text=text, item=item, target=author, payload=payload)

    def comment(self, item: str, parent: str, author: dict[str, str], text: str) -> dict[str, Any]:
        """The webhook of a comment."""
        value = {
            "item": "comment",
            "verb": "add",
            "comment_id": item,
            "parent_id": parent,
            "post_id": f"{self.account}_900",
            "from": author,
            "message": text,
            "created_time": int(time.time()),
        }
        return self.body(changes=[{"field": "feed", "value": value}])

    def take(self, path: str, payload: Any) -> tuple[Received, dict[str, Any]]:
        """`/{comment}/comments`, else the Send API."""
        target, _, edge = path.strip("/").rpartition("/")
        if edge == "comments":
            item = f"{target}_r{self.number()}"
            taken = Received(target=target, text=payload.get("message", ""), external_id=item, is_public=True)
            return taken, {"id": item}
        recipient, message = payload["recipient"], payload["message"]
        taken = Received(
            target=recipient.get("id") or recipient.get("comment_id") or recipient.get("post_id", ""),
            text=message.get("text", ""),
            external_id=f"m_r{self.number()}_{self.chance.getrandbits(48):x}",
            metadata=message.get("metadata"),
        )
        return taken, {"recipient_id": taken.target, "message_id": taken.external_id}

    def shows(self, taken: Received) -> Iterator[Any]:
        """A comment of the Page, or a message that says again what we sent along."""
        if taken.is_public:
            yield self.comment(taken.external_id, taken.target, {"id": self.account, "name": "The Page"}, taken.text)
            return
        message = {"mid": taken.external_id, "is_echo": True, "app_id": 1, "text": taken.text}
        known = {"metadata": taken.metadata} if taken.metadata else {}
        yield self.messaging(self.account, taken.target, message | known)

    def operates(self, method: str, path: str, payload: Any) -> tuple[Operated, dict[str, Any]] | None:
        """`/{comment}?is_hidden=`, `/{comment}/likes`, or DELETE."""
        del payload
        where, _, query = path.strip("/").partition("?")
        if method == "DELETE":
            done = Operated(operation="delete", item=where)
        elif where.endswith("/likes"):
            done = Operated(operation="like", item=where.removesuffix("/likes"))
        elif query:
            done = Operated(operation="hide" if query == "is_hidden=true" else "unhide", item=where)
        else:
            return None
        return done, {"success": True}

    def tells(self, done: Operated) -> Iterator[Any]:
        """Whatever changes a comment."""
        if verb := _VERBS.get(done.operation):
            value = {"item": "comment", "verb": verb, "comment_id": done.item, "post_id": f"{self.account}_900"}
            yield self.body(changes=[{"field": "feed", "value": value | {"created_time": int(time.time())}}])

    def asked(self, path: str) -> tuple[int, dict[str, Any]]:
        """What stands under a comment."""
        target = path.strip("/").rpartition("/")[0]
        listed = [
            {"id": one.external_id, "message": one.text, "from": {"id": self.account}}
            for one in self.received
            if one.target == target
        ]
        return 200, {"data": listed}
