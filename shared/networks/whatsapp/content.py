"""What a WhatsApp message says: its text, and whatever came beside or instead of it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from shared.errors import Rejected
from shared.events.messages import Attachment, Post
from shared.networks import bodies
from shared.networks.whatsapp.payloads import OBJECT, Content


class Said(NamedTuple):
    """Text and attachments of one message."""

    text: str | None
    attachments: tuple[Attachment, ...] = ()


UNSUPPORTED: Final = Attachment(kind="unsupported")
"""The agent must see that something came, though WhatsApp does not say what."""

_ANSWER_TOKEN: Final = "flow_token"  # noqa: S105 - a field's name


def read(content: Content) -> Said:
    """What the message says; of a type that is new, that it says something."""
    reader = _READERS.get(content.type)
    said = reader(getattr(content, content.type)) if reader else Said(_body(content.text), (UNSUPPORTED,))
    return said if said.text or said.attachments else Said(None, (UNSUPPORTED,))


def advertised(referral: object) -> Post | None:
    """The advertisement or post that led the customer here."""
    said = bodies.mapping(referral)
    source = bodies.identifier(said.get("source_id"))
    if source is None:
        return None
    link = bodies.text(said.get("source_url"))
    return Post(
        external_id=source,
        permalink=link if link and link.startswith(("https://", "http://")) else None,
        ad_id=source if said.get("source_type") == "ad" else None,
    )


def _body(text: object) -> str | None:
    return bodies.text(bodies.mapping(text).get("body"))


def _text(text: object) -> Said:
    return Said(_body(text))


def _media(kind: str) -> Callable[[object], Said]:
    def read_media(value: object) -> Said:
        media = bodies.mapping(value)
        name, url = bodies.identifier(media.get("id")), bodies.text(media.get("url"))
        if name is None and url is None:
            return Said(bodies.text(media.get("caption")))
        # A link, where there is one, wants the channel's token as well, and dies within minutes; the id lives on.
        durable = f"urn:whatsapp:media:{name}" if name else url
        is_voice = kind == "audio" and media.get("voice") is True
        attachment = Attachment(
            kind="voice" if is_voice else kind,
            url=durable,
            mime=bodies.text(media.get("mime_type")),
        )
        return Said(bodies.text(media.get("caption")), (attachment,))

    return read_media


def _location(value: object) -> Said:
    place = bodies.mapping(value)
    latitude, longitude = place.get("latitude"), place.get("longitude")
    url = f"geo:{latitude},{longitude}" if _is_degrees(latitude) and _is_degrees(longitude) else None
    named = dict.fromkeys(filter(None, (bodies.text(place.get(key)) for key in ("name", "address"))))
    return Said("\n".join(named) or None, (Attachment(kind="location", url=url),))


def _is_degrees(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -360 <= value <= 360


def _contacts(value: object) -> Said:
    cards = [line for card in bodies.sequence(value) if (line := _card(bodies.mapping(card)))]
    return Said("\n".join(cards) or None, (Attachment(kind="contact"),) * bool(bodies.sequence(value)))


def _card(card: Mapping[str, Any]) -> str:
    name = bodies.text(bodies.mapping(card.get("name")).get("formatted_name"))
    phones = [
        phone
        for entry in bodies.sequence(card.get("phones"))
        if (phone := bodies.text(bodies.mapping(entry).get("phone")))
    ]
    return ": ".join(filter(None, (name, ", ".join(phones))))


def _interactive(value: object) -> Said:
    interactive = bodies.mapping(value)
    kind = interactive.get("type")
    answer = bodies.mapping(interactive.get(kind)) if isinstance(kind, str) else {}
    if kind == "nfm_reply":
        return Said(_form(answer) or bodies.text(answer.get("body")))
    return Said(bodies.text(answer.get("title")))


def _form(answer: Mapping[str, Any]) -> str | None:
    """A form's answers, a line each; None where they cannot be read."""
    raw = (bodies.text(answer.get("response_json")) or "").encode("utf-8", "replace")
    try:
        answers = {} if bodies.too_deep(raw) else bodies.decode(OBJECT, raw)
    except Rejected:
        return None
    said = {name: _shown(given) for name, given in answers.items() if name != _ANSWER_TOKEN}
    return bodies.text("\n".join(f"{name}: {shown}" for name, shown in said.items() if shown))


def _shown(value: object) -> str | None:
    if isinstance(value, list):
        return ", ".join(filter(None, map(_shown, value)))
    if isinstance(value, (bool, float)):
        return str(value)
    return value if isinstance(value, str) else bodies.identifier(value)


def _button(value: object) -> Said:
    button = bodies.mapping(value)
    return Said(bodies.text(button.get("text")) or bodies.text(button.get("payload")))


def _order(value: object) -> Said:
    order = bodies.mapping(value)
    lines = [bodies.text(order.get("text")), *_products(bodies.sequence(order.get("product_items")))]
    return Said("\n".join(filter(None, lines)) or None, (Attachment(kind="order"),) * bool(order))


def _products(items: list[Any]) -> Iterator[str]:
    for item in map(bodies.mapping, items):
        product = bodies.text(item.get("product_retailer_id"))
        if product:
            price = " ".join(filter(None, (_shown(item.get("item_price")), bodies.text(item.get("currency")))))
            yield f"{_shown(item.get('quantity')) or '?'} x {product}" + (f", {price}" if price else "")


_READERS: Final[Mapping[str, Callable[[object], Said]]] = {
    "text": _text,
    "image": _media("image"),
    "video": _media("video"),
    "audio": _media("audio"),
    "document": _media("document"),
    "sticker": _media("sticker"),
    "location": _location,
    "contacts": _contacts,
    "interactive": _interactive,
    "button": _button,
    "order": _order,
}
