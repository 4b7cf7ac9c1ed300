"""A simulated Telegram bot: updates beside a secret, messages through the Bot API, and no word of what it sent."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from services.cli.demo.networks.simulated import Opening, Operated, Received, Simulated


@dataclass(kw_only=True)
class Telegram(Simulated):
    """One bot."""

    network: ClassVar[str] = "telegram"
    account: str = "110201543"

    @property
    def credentials(self) -> dict[str, str]:
        """What it says with each update, and the bot's token."""
        return {"secret_token": self.secret, "bot_token": f"{self.account}:demo"}

    def sign(self, body: bytes) -> dict[str, str]:
        """A secret that vouches for the caller; nothing vouches for the body."""
        del body
        return {"X-Telegram-Bot-Api-Secret-Token": self.secret}

    def openings(self) -> Iterator[Opening]:
        """A message in a private chat with the bot."""
        chat, message, text = self.number(), self.number() % 10**6, "Wo ist meine Bestellung?"
        payload = {
            "update_id": self.number(),
            "message": {
                "message_id": message,
                "from": {"id": chat, "is_bot": False, "first_name": "Emil", "username": "emil"},
                "chat": {"id": chat, "first_name": "Emil", "type": "private"},
                "date": int(time.time()),
                "text": text,
            },
        }
        item = f"{chat}:{message}"
        yield Opening(what="a message", customer="Emil", text=text, item=item, target=str(chat), payload=payload)

    def operates(self, method: str, path: str, payload: Any) -> tuple[Operated, dict[str, Any]] | None:
        """`/bot{token}/deleteMessage` and `/bot{token}/setMessageReaction`."""
        del method
        called = path.rpartition("/")[2]
        if called not in {"deleteMessage", "setMessageReaction"}:
            return None
        item = f"{payload['chat_id']}:{payload['message_id']}"
        return Operated(operation="delete" if called == "deleteMessage" else "like", item=item), {
            "ok": True,
            "result": True,
        }

    def take(self, path: str, payload: Any) -> tuple[Received, dict[str, Any]]:
        """`/bot{token}/sendMessage`."""
        del path
        message, chat = self.number() % 10**6, payload["chat_id"]
        taken = Received(target=str(chat), text=payload["text"], external_id=f"{chat}:{message}")
        said = {"message_id": message, "chat": {"id": chat, "type": "private"}, "date": int(time.time())}
        return taken, {"ok": True, "result": said | {"text": taken.text}}
