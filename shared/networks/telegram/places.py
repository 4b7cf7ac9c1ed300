"""Names on Telegram: its message ids are unique in one chat only, and a business account's chats are not the bot's."""

from dataclasses import dataclass
from typing import Self

from shared.networks import bodies
from shared.networks.telegram.payloads import Chat


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A chat, as the bot itself sees it or through the business account that it works for.

    A person's chat with the bot and with the business account have the same id, so the connection belongs to the name.
    """

    chat: str
    connection: str | None = None

    @classmethod
    def of(cls, chat: Chat, connection: object = None) -> Self | None:
        """The place of a message; None where its chat has no id."""
        found = bodies.identifier(chat.id)
        business = bodies.identifier(connection)
        return cls(chat=found, connection=business) if found and not (business and ":" in business) else None

    @classmethod
    def read(cls, external_id: str) -> tuple[Self, str] | None:
        """The place and the message that an external id names; None where it names none."""
        match external_id.split(":"):
            case [chat, message]:
                return cls(chat=chat), message
            case [connection, chat, message]:
                return cls(chat=chat, connection=connection), message
            case _:
                return None

    def __str__(self) -> str:
        return f"{self.connection}:{self.chat}" if self.connection else self.chat

    def message(self, message_id: str) -> str:
        """The external id of a message here."""
        return f"{self}:{message_id}"
