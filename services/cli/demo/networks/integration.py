"""A simulated integration behind the generic channel: Standard Webhooks both ways, and it says what it carried out."""

import base64
import hashlib
import hmac
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from services.cli.demo.networks.simulated import Opening, Operated, Received, Simulated
from shared.events.messages import Operation

_VERBS: Final[dict[Operation, str]] = {"hide": "hidden", "unhide": "unhidden", "delete": "deleted"}
KEY: Final = b"a demo needs no secrecy"


@dataclass(kw_only=True)
class Integration(Simulated):
    """A shop's own chat."""

    network: ClassVar[str] = "api"
    account: str = "shop"
    secret: str = "whsec_" + base64.b64encode(KEY).decode()
    _threads: dict[str, str] = field(default_factory=dict)
    """By message: Baton names the message that a reply answers."""

    @property
    def credentials(self) -> dict[str, str]:
        """One secret for both directions."""
        return {"secret": self.secret}

    def sign(self, body: bytes) -> dict[str, str]:
        """Id, time, and the HMAC of both with the body."""
        delivery, at = f"msg_{self.number()}", str(int(time.time()))
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        mac = base64.b64encode(hmac.digest(key, f"{delivery}.{at}.".encode() + body, hashlib.sha256)).decode()
        return {"webhook-id": delivery, "webhook-timestamp": at, "webhook-signature": f"v1,{mac}"}

    def openings(self) -> Iterator[Opening]:
        """A message in the shop's chat."""
        thread, item, text = str(self.number()), str(self.number()), "Is the large back in stock?"
        self._threads[item] = thread
        payload = {"id": item, "thread": thread, "kind": "dm", "text": text, "author": {"id": thread, "name": "Farah"}}
        yield Opening(what="a message", customer="Farah", text=text, item=item, target=item, payload=payload)

    def take(self, path: str, payload: Any) -> tuple[Received, dict[str, Any]]:
        """A `reply.requested`, wherever it is posted to."""
        del path
        data = payload["data"]
        item = str(self.number())
        taken = Received(target=data["in_reply_to"], text=data["text"], external_id=item, metadata=data["id"])
        return taken, {"id": item}

    def operates(self, method: str, path: str, payload: Any) -> tuple[Operated, dict[str, Any]] | None:
        """A `moderation.requested`, wherever it is posted to."""
        del method, path
        if payload["type"] != "moderation.requested":
            return None
        data = payload["data"]
        return Operated(operation=data["operation"], item=data["message"]), {}

    def tells(self, done: Operated) -> Iterator[Any]:
        """That it was carried out."""
        if verb := _VERBS.get(done.operation):
            yield {"id": done.item, "verb": verb}

    def shows(self, taken: Received) -> Iterator[Any]:
        """What was carried out, under the name that it was asked for by."""
        yield {
            "id": taken.external_id,
            "thread": self._threads[taken.target],
            "direction": "out",
            "text": taken.text,
            "correlation_id": taken.metadata,
        }
