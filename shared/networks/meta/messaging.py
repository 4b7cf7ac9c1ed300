"""What Meta says happened in a conversation of a customer with an account, whoever owns the thread."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from shared.events.messages import Attachment, Author, Kind, Reaction
from shared.networks import bodies
from shared.networks.meta.envelope import KEYS
from shared.networks.meta.payloads import MESSAGING, Message, Messaging, Person
from shared.networks.port import Item, Skipped

EMOJI: Final = {
    "like": "👍",
    "love": "❤",
    "care": "🤗",
    "haha": "😆",
    "wow": "😮",
    "sad": "😢",
    "angry": "😡",
    "smile": "😆",
    "dislike": "👎",
}

FIELDS: Final = frozenset(
    {
        *("messages", "message_echoes", "message_edit", "message_edits", "message_reactions", "message_reads"),
        *("message_deliveries", "messaging_account_linking", "messaging_feedback", "messaging_handover"),
        *("messaging_handovers", "messaging_optins", "messaging_policy_enforcement", "messaging_postbacks"),
        *("messaging_referral", "messaging_referrals", "messaging_seen", "response_feedback", "standby"),
    }
)
"""Names of changes that hold such an event: the test console wraps them so."""

NOTICES: Final[Mapping[str, str]] = {
    "read": "read",
    "delivery": "delivery",
    "optin": "optin",
    "referral": "referral",
    "account_linking": "account-linking",
    "policy_enforcement": "policy-enforcement",
    "policy-enforcement": "policy-enforcement",
    "app_roles": "handover",
    "pass_thread_control": "handover",
    "take_thread_control": "handover",
    "request_thread_control": "handover",
    "pass_metadata": "handover",
    "payment": "commerce",
    "pre_checkout": "commerce",
    "checkout_update": "commerce",
    "game_play": "game-play",
    "messaging_feedback": "feedback",
    "response_feedback": "feedback",
}
"""Keys that are known and become no item, and the code under which they are ignored."""

IGNORED: Final = frozenset(NOTICES.values())

STORY_LIFE: Final = timedelta(hours=24)
"""How long a story can be seen; where it shows up in a message, its URL dies with it."""

_STORIES: Final = frozenset({"story", "story_mention"})
_ENVELOPE_KEYS: Final = frozenset({"sender", "recipient", "timestamp"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """Who stands where: `customer` names the conversation, `own` says that the account acted."""

    account: str
    customer: str | None
    own: bool

    @property
    def author(self) -> Author | None:
        """Whoever acted."""
        if self.own:
            return Author(external_id=self.account)
        return Author(external_id=self.customer) if self.customer else None


def read(raw: msgspec.Raw, *, account: str) -> Item | Skipped:
    """The one thing that this event says; Rejected where it does not have the shape that its key promises."""
    keys: dict[str, msgspec.Raw] = bodies.decode(KEYS, raw)
    present = {key for key, value in keys.items() if bytes(value) != b"null"}
    if present & {"message", "message_edit", "reaction", "postback"}:
        return _item(bodies.decode(MESSAGING, raw), account)
    for key in keys:
        if key in NOTICES:
            return Skipped(code=NOTICES[key], detail=f"notice {key}")
    strange = sorted(key[:40] for key in set(keys) - _ENVELOPE_KEYS)
    return Skipped(code="unknown-messaging", detail=f"event with {', '.join(strange[:5]) or 'no content'}")


def emoji(word: str) -> str | None:
    """The sign for a reaction's name; a name that is new stays as it is."""
    return EMOJI.get(word.lower(), bodies.text(word)) if word != "reaction" else None


def _item(event: Messaging, account: str) -> Item | Skipped:
    parties = _parties(event, account)
    if event.message is not None:
        return _message(event, event.message, parties)
    if event.message_edit is not None:
        mid = bodies.identifier(event.message_edit.mid)
        edited = Message(mid=mid, text=event.message_edit.text)
        version = bodies.identifier(event.message_edit.num_edit) or _stamp(event)
        return _dm(event, edited, parties, verb="edited", version=version)
    if event.reaction is not None:
        return _reaction(event, parties)
    return _postback(event, parties)


def _parties(event: Messaging, account: str) -> Parties:
    sender, recipient = _person(event.sender), _person(event.recipient)
    own = sender == account or (event.message is not None and event.message.is_echo is True)
    if not own:
        return Parties(account=account, customer=sender, own=False)
    # An echo names the customer as recipient, but some apps forward it with both sides as they were.
    return Parties(account=account, customer=recipient if recipient != account else _other(sender, account), own=True)


def _person(person: Person | None) -> str | None:
    if person is None:
        return None
    if found := bodies.identifier(person.id):
        return found
    guest = bodies.identifier(person.user_ref)
    return f"user_ref:{guest}" if guest else None


def _other(sender: str | None, account: str) -> str | None:
    return sender if sender != account else None


def _message(event: Messaging, message: Message, parties: Parties) -> Item | Skipped:
    if message.is_deleted:
        return _dm(event, Message(mid=message.mid), parties, verb="deleted")
    if parties.customer is None:
        return Skipped(code="no-sender", detail="a message from nobody")
    return _dm(event, message, parties, verb="received")


def _dm(event: Messaging, message: Message, parties: Parties, **more: Any) -> Item | Skipped:
    external_id = bodies.identifier(message.mid)
    if external_id is None:
        return Skipped(code="no-id", detail="a message without mid")
    answered = bodies.mapping(message.reply_to)
    story = bodies.mapping(answered.get("story"))
    # A mention in a story stays a direct message: it comes as one, and is answered with one.
    kind: Kind = "story_reply" if "story" in answered else "dm"
    occurred_at = bodies.instant(event.timestamp)
    return Item(
        kind=kind,
        direction="out" if parties.own else "in",
        origin="native" if parties.own else "customer",
        external_id=external_id,
        account_external_id=parties.account,
        occurred_at=occurred_at,
        thread=parties.customer,
        parent_external_id=bodies.identifier(story.get("id")) or bodies.identifier(answered.get("mid")),
        author=parties.author,
        text=bodies.text(message.text),
        attachments=_attachments(message, story=bodies.text(story.get("url")), at=occurred_at),
        correlation_id=bodies.identifier(message.metadata) if parties.own else None,
        **more,
    )


def _postback(event: Messaging, parties: Parties) -> Item | Skipped:
    if event.postback is None or parties.customer is None:
        return Skipped(code="no-sender", detail="a postback from nobody")
    pressed = bodies.text(event.postback.title) or bodies.text(event.postback.payload)
    stamp = _stamp(event)
    derived = f"postback:{parties.customer}:{stamp}" if stamp else None
    message = Message(mid=bodies.identifier(event.postback.mid) or derived, text=pressed)
    return _dm(event, message, parties, verb="received")


def _reaction(event: Messaging, parties: Parties) -> Item | Skipped:
    reaction = event.reaction
    external_id = bodies.identifier(reaction.mid) if reaction else None
    if reaction is None or external_id is None:
        return Skipped(code="no-id", detail="a reaction without mid")
    if reaction.action not in {"react", "unreact"}:
        return Skipped(code="unknown-verb", detail=f"reaction: action {reaction.action[:40]!r}")
    sign = bodies.text(reaction.emoji) or (emoji(reaction.reaction) if reaction.reaction else None)
    return Item(
        verb="reacted",
        kind="reaction",
        direction="out" if parties.own else "in",
        origin="native" if parties.own else "customer",
        external_id=external_id,
        account_external_id=parties.account,
        occurred_at=bodies.instant(event.timestamp),
        thread=parties.customer,
        reaction=Reaction(action="add" if reaction.action == "react" else "remove", emoji=sign, author=parties.author),
        version=f"{_stamp(event)}:{parties.author.external_id if parties.author else ''}:{reaction.action}",
    )


def _attachments(message: Message, *, story: str | None, at: datetime | None) -> tuple[Attachment, ...]:
    found = [_attachment(bodies.mapping(part)) for part in bodies.sequence(message.attachments)]
    if story:
        found.append(("story", story))
    if message.is_unsupported:
        # The agent must see that something came, though Meta does not say what.
        found.append(("unsupported", None))
    gone = at + STORY_LIFE if at else None
    unique: dict[tuple[str, str | None], Attachment] = {
        (kind, url): Attachment(kind=kind, url=url, expires_at=gone if kind in _STORIES and url else None)
        for kind, url in found
    }
    return tuple(unique.values())


def _attachment(part: Mapping[str, Any]) -> tuple[str, str | None]:
    kind = bodies.text(part.get("type")) or "unknown"
    payload = bodies.mapping(part.get("payload"))
    url = bodies.text(payload.get("url")) or bodies.text(part.get("url"))
    coordinates = bodies.mapping(payload.get("coordinates"))
    latitude, longitude = coordinates.get("lat"), coordinates.get("long")
    if kind == "location" and isinstance(latitude, (int, float)) and isinstance(longitude, (int, float)):
        url = f"geo:{latitude},{longitude}"
    if kind == "image" and payload.get("sticker_id") is not None:
        # Until they were told apart, stickers came as images, for a while as both.
        kind = "sticker"
    return kind, url


def _stamp(event: Messaging) -> str:
    return bodies.identifier(event.timestamp) or ""
