"""How Meta's networks call: a challenge first, then bodies signed with the app's secret."""

import hashlib
import hmac
import json
import time
from typing import Any, ClassVar, Final

from services.cli.demo.networks.simulated import Simulated

VERIFY_TOKEN: Final = "demo"
CHALLENGE: Final = "1158201444"


class Meta(Simulated):
    """What Facebook, Instagram and WhatsApp have in common."""

    product: ClassVar[str]
    """What its webhooks call the kind of account."""

    @property
    def credentials(self) -> dict[str, str]:
        """The app's secret, the subscription's token and the account's."""
        return {"app_secret": self.secret, "verify_token": VERIFY_TOKEN, "access_token": "demo"}

    async def greet(self) -> None:
        """The challenge of a subscription."""
        query = {"hub.mode": "subscribe", "hub.verify_token": VERIFY_TOKEN, "hub.challenge": CHALLENGE}
        await self.challenge(query, CHALLENGE.__eq__)

    def sign(self, body: bytes) -> dict[str, str]:
        """HMAC of the raw bytes, in hexadecimal."""
        return {"X-Hub-Signature-256": f"sha256={hmac.digest(self.secret.encode(), body, hashlib.sha256).hex()}"}

    def encode(self, payload: Any) -> bytes:
        """ASCII, with escaped slashes, as PHP writes it."""
        return json.dumps(payload, ensure_ascii=True).replace("/", "\\/").encode()

    def body(self, **content: Any) -> dict[str, Any]:
        """A webhook with one entry of the account."""
        return {"object": self.product, "entry": [{"id": self.account, "time": int(time.time()), **content}]}

    def messaging(self, sender: str, recipient: str, message: dict[str, Any], *, ago: float = 0.0) -> dict[str, Any]:
        """The webhook of a direct message, which was written so many seconds ago."""
        at = int((time.time() - ago) * 1000)
        event = {"sender": {"id": sender}, "recipient": {"id": recipient}, "timestamp": at, "message": message}
        return self.body(messaging=[event])
