"""A simulated Instagram account: comments and direct messages, replies to both, echoes without anything of ours."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from services.cli.demo.networks.meta import Meta
from services.cli.demo.networks.simulated import Opening, Operated, Received


@dataclass(kw_only=True)
class Instagram(Meta):
    """One professional account."""

    network: ClassVar[str] = "instagram"
    product: ClassVar[str] = "instagram"
    account: str = "17841405822304914"

    def openings(self) -> Iterator[Opening]:
        """A comment under a picture, and a direct message."""
        author, item, text = str(self.number()), str(self.number()), "How much is the blue backpack?"
        value = {"id": item, "from": {"id": author, "username": "bruno"}, "text": text, "media": {"id": "9"}}
        payload = self.body(changes=[{"field": "comments", "value": value}])
        yield Opening(what="a comment", customer="bruno", text=text, item=item, target=item, payload=payload)
        author, item, text = str(self.number()), f"aWd_{self.number()}", "注文した商品が壊れていました。"
        payload = self.messaging(author, self.account, {"mid": item, "text": text})
        yield Opening(
            what="a direct message", customer="Somebody", text=text, item=item, target=author, payload=payload
        )

    def take(self, path: str, payload: Any) -> tuple[Received, dict[str, Any]]:
        """`/{comment}/replies`, else the Send API."""
        item = str(self.number())
        if path.rpartition("/")[2] == "replies":
            taken = Received(target=path.split("/")[-2], text=payload["message"], external_id=item, is_public=True)
            return taken, {"id": item}
        target = next(iter(payload["recipient"].values()))
        return Received(target=target, text=payload["message"]["text"], external_id=item), {
            "recipient_id": target,
            "message_id": item,
        }

    def operates(self, method: str, path: str, payload: Any) -> tuple[Operated, dict[str, Any]] | None:
        """`/{comment}?hide=`, or DELETE; no webhook tells of either."""
        del payload
        where, _, query = path.strip("/").partition("?")
        if method == "DELETE":
            return Operated(operation="delete", item=where), {"success": True}
        if query:
            return Operated(operation="hide" if query == "hide=true" else "unhide", item=where), {"success": True}
        return None

    def shows(self, taken: Received) -> Iterator[Any]:
        """Both by the id alone that the request was answered with."""
        if not taken.is_public:
            message = {"mid": taken.external_id, "text": taken.text, "is_echo": True}
            yield self.messaging(self.account, taken.target, message)
            return
        writer = {"id": self.account, "username": "acme", "self_ig_scoped_id": "1"}
        value = {"id": taken.external_id, "parent_id": taken.target, "from": writer, "text": taken.text}
        yield self.body(changes=[{"field": "comments", "value": value}])
