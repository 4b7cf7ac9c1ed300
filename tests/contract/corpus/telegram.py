"""What each third-party Telegram body is worth, decided by reading the bodies, not by running the parser."""

from typing import Final

from tests.contract.corpus.row import Expected, ignored, item

_CHATWOOT: Final = (
    # The chat is a group, so whatever is said there is public.
    item(
        "chatwoot-doesnot-create-conversations-message-and-contacts.json",
        Expected("received", "comment", "in", "23:1", "test"),
    ),
    item("chatwoot-edited-message-caption.json", Expected("edited", "dm", "in", "789:49", "updated caption")),
    item("chatwoot-edited-message-text.json", Expected("edited", "dm", "in", "789:48", "updated message")),
)

_COURIER: Final = (
    item("courier-document-msg.json", Expected("received", "dm", "in", "3527065:92")),
    ignored("courier-empty-msg.json", "empty-update"),
    item("courier-hello-msg.json", Expected("received", "dm", "in", "3527065:41", "Hello World")),
    # A sticker each; the names say what asking for its file would answer.
    item("courier-invalid-file-i-d.json", Expected("received", "dm", "in", "3527065:44")),
    item("courier-no-file.json", Expected("received", "dm", "in", "3527065:44")),
    item("courier-not-ok-file.json", Expected("received", "dm", "in", "3527065:44")),
    # What the client sends when somebody opens the bot: a message like any other.
    item("courier-start-msg.json", Expected("received", "dm", "in", "3527065:41", "/start")),
    item("courier-voice-msg.json", Expected("received", "dm", "in", "3527065:91")),
    # A form that was filled in: what it says is its data.
    item(
        "courier-web-app-data-msg.json",
        Expected("received", "dm", "in", "3527065:97", '{"first_name": "Bob", "age": "32"}'),
    ),
)

ROWS: Final = (*_CHATWOOT, *_COURIER)
