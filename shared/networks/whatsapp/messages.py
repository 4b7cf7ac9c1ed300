"""What happened between a customer and a phone number: messages, their edits and revocations, reactions, statuses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.events.messages import Author, Kind, Reaction
from shared.networks import bodies
from shared.networks.port import Item, Skipped
from shared.networks.whatsapp import content
from shared.networks.whatsapp.content import Said
from shared.networks.whatsapp.outbound import correlation_of
from shared.networks.whatsapp.payloads import Message, Status
from shared.networks.whatsapp.people import Contact, person

_LEFT: Final = frozenset({"sent", "delivered", "read", "played"})
"""Statuses that say that the message left; each counts, because any of them may be lost or late."""

_STATUSES: Final = _LEFT | {"failed", "deleted", "warning"}
_IDENTITY_CHANGES: Final = frozenset({"customer_changed_number", "user_changed_number", "user_changed_user_id"})
_SECURITY_CODES: Final = frozenset({"customer_identity_changed", "user_identity_changed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Whose number it is, whom the delivery introduces, and whether the business wrote, in its own app."""

    number: str
    contacts: tuple[Contact, ...] = ()
    own: bool = False

    def customer(self, message: Message) -> Author | None:
        """The other side."""
        if self.own:
            return person(message.to_user_id, message.to, self.contacts)
        return person(message.from_user_id, message.sender, self.contacts)


def read(message: Message, scene: Scene) -> Item | Skipped:
    """The one thing that this message says."""
    if reader := _READERS.get(message.type):
        return reader(message, scene)
    if bodies.mapping(message.interactive).get("type") == "call_permission_reply":
        return Skipped(code="call-permission", detail="whether the business may call")
    if scene.customer(message) is None:
        return Skipped(code="no-sender", detail="a message from or to nobody")
    return _item(message, scene, message.id, content.read(message), verb="received")


def _welcome(_: Message, __: Scene) -> Skipped:
    return Skipped(code="request-welcome", detail="the customer opened the chat and wrote nothing")


def _system(message: Message, _: Scene) -> Skipped:
    kind = bodies.text(bodies.mapping(message.system).get("type")) or ""
    if kind in _SECURITY_CODES:
        return Skipped(code="security-code", detail="the customer's security code is new")
    if kind in _IDENTITY_CHANGES:
        return Skipped(code="identity-change", detail="the customer has a new number or user id; link the two by hand")
    return Skipped(code="unknown-system", detail=f"system message of type {kind[:40]!r}")


def _deleted(message: Message, scene: Scene) -> Item | Skipped:
    original = message.revoke.original_message_id if message.revoke else None
    return _item(message, scene, original, Said(None), verb="deleted")


def _edited(message: Message, scene: Scene) -> Item | Skipped:
    edit = message.edit
    if edit is None or edit.message is None:
        return Skipped(code="no-content", detail="an edit without the new message")
    said = content.read(edit.message)
    version = bodies.identifier(message.timestamp) or bodies.identifier(message.id) or ""
    return _item(message, scene, edit.original_message_id, said, verb="edited", version=version)


def _reacted(message: Message, scene: Scene) -> Item | Skipped:
    reaction = message.reaction
    target = bodies.identifier(reaction.message_id) if reaction else None
    if reaction is None or target is None:
        return _nameless("reaction")
    author = _author(message, scene)
    sign = bodies.text(reaction.emoji)
    stamp = bodies.identifier(message.timestamp) or ""
    return Item(
        verb="reacted",
        kind="reaction",
        direction="out" if scene.own else "in",
        origin="native" if scene.own else "customer",
        external_id=target,
        account_external_id=scene.number,
        occurred_at=bodies.instant(message.timestamp),
        thread=_thread(message, scene),
        reaction=Reaction(action="add" if sign else "remove", emoji=sign, author=author),
        version=f"{stamp}:{author.external_id if author else ''}:{sign or ''}",
    )


_READERS: Final[Mapping[str, Callable[[Message, Scene], Item | Skipped]]] = {
    "request_welcome": _welcome,
    "system": _system,
    "revoke": _deleted,
    "edit": _edited,
    "reaction": _reacted,
}
"""Types that are no new message; every other one is."""


def _item(message: Message, scene: Scene, name: object, said: Said, **more: Any) -> Item | Skipped:
    external_id = bodies.identifier(name)
    if external_id is None:
        return _nameless(message.type)
    # In a group everybody in it reads along.
    kind: Kind = "comment" if bodies.identifier(message.group_id) else "dm"
    return Item(
        kind=kind,
        direction="out" if scene.own else "in",
        origin="native" if scene.own else "customer",
        external_id=external_id,
        account_external_id=scene.number,
        occurred_at=bodies.instant(message.timestamp),
        thread=_thread(message, scene),
        parent_external_id=bodies.identifier(bodies.mapping(message.context).get("id")),
        author=_author(message, scene),
        text=said.text,
        attachments=said.attachments,
        post=content.advertised(message.referral),
        **more,
    )


def _thread(message: Message, scene: Scene) -> str | None:
    if group := bodies.identifier(message.group_id):
        return group
    customer = scene.customer(message)
    return customer.external_id if customer else None


def _author(message: Message, scene: Scene) -> Author | None:
    return Author(external_id=scene.number) if scene.own else scene.customer(message)


def status(status: Status, scene: Scene) -> Item | Skipped:
    """What became of a message that was sent through the API; of ours, it is the echo."""
    if status.status not in _STATUSES:
        return Skipped(code="unknown-status", detail=f"status {status.status[:40]!r}")
    correlation_id = correlation_of(status.biz_opaque_callback_data)
    if correlation_id is None or status.status not in _LEFT | {"failed"}:
        detail = f"{status.status}: a message that Baton did not send, or nothing new of it"
        return Skipped(code="status", detail=detail)
    external_id = bodies.identifier(status.id)
    if external_id is None:
        return _nameless("status")
    is_group = status.recipient_type == "group"
    recipient = person(status.recipient_user_id, status.recipient_id, () if is_group else scene.contacts)
    has_failed = status.status == "failed"
    return Item(
        verb="undelivered" if has_failed else "received",
        kind="comment" if is_group else "dm",
        direction="out",
        origin="agent",
        external_id=external_id,
        account_external_id=scene.number,
        occurred_at=bodies.instant(status.timestamp),
        thread=recipient.external_id if recipient else None,
        author=Author(external_id=scene.number),
        correlation_id=correlation_id,
        reason=_why(status.errors) if has_failed else None,
    )


def _why(errors: object) -> str:
    """The first error as WhatsApp words it, with its code."""
    error = next(map(bodies.mapping, bodies.sequence(errors)), {})
    details = bodies.mapping(error.get("error_data")).get("details")
    said = bodies.text(details) or bodies.text(error.get("title")) or bodies.text(error.get("message"))
    code = bodies.identifier(error.get("code"))
    return ": ".join(filter(None, (f"code {code}" if code else None, (said or "no reason given")[:200])))


def _nameless(what: str) -> Skipped:
    return Skipped(code="no-id", detail=f"{what[:40]!r} without the id of its message")
