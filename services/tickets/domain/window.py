"""What a network still takes: kinds of reply, windows and lengths."""

from datetime import datetime
from typing import Final

from services.tickets.domain.reply import Order
from shared.errors import Invalid
from shared.events.messages import Message
from shared.events.tickets import ReplyKind
from shared.networks.port import Capabilities

_PRIVATE: Final = frozenset({"dm", "story_reply"})


class WindowClosed(Invalid):
    """The network no longer takes an answer to this message."""

    code = "window-closed"
    title = "It is too late to answer this message"


def kind_for(message: Message, wanted: ReplyKind | None) -> ReplyKind:
    """Privately where the customer wrote privately or no other way is open, unless the writer says how."""
    private = message.kind in _PRIVATE or {option.kind for option in message.reply_options} == {"private"}
    return wanted or ("private" if private else "public")


def deadline(message: Message, kind: ReplyKind, *, human: bool, capabilities: Capabilities) -> datetime | None:
    """Until when the network takes an answer of this kind; None: for ever. Invalid where it never does."""
    able = capabilities.public_reply if kind == "public" else capabilities.private_reply
    options = {option.kind: option.until for option in message.reply_options}
    if not able or (options and kind not in options):
        raise Invalid(f"{message.network} takes no {kind} reply to this {message.kind}")
    window = capabilities.public_window if kind == "public" else capabilities.private_window
    until = options.get(kind) or (message.occurred_at + window if window is not None else None)
    if until is None or kind == "public" or not human or capabilities.human_window is None:
        return until
    return max(until, message.occurred_at + capabilities.human_window)


def check_network(
    order: Order, kind: ReplyKind, *, until: datetime | None, at: datetime, capabilities: Capabilities
) -> None:
    """WindowClosed or Invalid where the network would not take it. A template is made for closed windows."""
    if until is not None and at >= until and order.template is None:
        raise WindowClosed(f"the network took answers until {until.isoformat()}", deadline=until.isoformat())
    _check_length(len(order.text), capabilities.text_limit, "characters")
    if kind == "public":
        _check_length(capabilities.public_length(order.text), capabilities.public_text_limit, "characters")
    if kind == "private":
        _check_length(len(order.text.encode("utf-8", "surrogatepass")), capabilities.private_text_bytes, "bytes")


def _check_length(length: int, limit: int | None, unit: str) -> None:
    if limit is not None and length > limit:
        detail = f"the network takes {limit} {unit}, this has {length}"
        raise Invalid(detail, limit=limit, errors=[{"pointer": "#/text", "detail": detail}])
