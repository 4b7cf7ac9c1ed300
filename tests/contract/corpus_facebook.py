"""What each third-party Facebook body is worth, decided by reading the bodies, not by running the parser."""

from dataclasses import dataclass
from typing import Final

from shared.events.messages import Direction, Kind, Verb
from shared.networks.port import DeliveryState


@dataclass(frozen=True, slots=True)
class Expected:
    """One item that a body must become."""

    verb: Verb
    kind: Kind
    direction: Direction
    external_id: str
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One body: its state, its items in order, and the codes of its parts that are none, in order."""

    file: str
    state: DeliveryState
    items: tuple[Expected, ...] = ()
    codes: tuple[str, ...] = ()


def _item(file: str, expected: Expected) -> Row:
    return Row(file, "normalized", (expected,))


def _ignored(file: str, code: str) -> Row:
    return Row(file, "ignored", (), (code,))


def _strange(file: str, code: str) -> Row:
    return Row(file, "not-understood", (), (code,))


_CHATWOOT: Final = (
    # `messaging` is an object here and there is no `object`: Facebook delivers no such thing.
    _strange("chatwoot-incoming-fb-text-message.json", "not-a-webhook"),
    _strange("chatwoot-message-deliveries.json", "not-a-webhook"),
    _strange("chatwoot-message-reads.json", "not-a-webhook"),
)

_COURIER: Final = (
    _item("courier-attachment.json", Expected("received", "dm", "in", "external_id")),
    Row(
        "courier-duplicate-msg.json",
        "normalized",
        (Expected("received", "dm", "in", "external_id", "Hello World"),),
        ("duplicate",),
    ),
    _item("courier-echo.json", Expected("received", "dm", "out", "qT7ywaK")),
    _item("courier-hello-msg.json", Expected("received", "dm", "in", "external_id", "Hello World")),
    _item("courier-invalid-urn.json", Expected("received", "dm", "in", "external_id", "Hello World")),
    _ignored("courier-no-entries.json", "no-entries"),
    _ignored("courier-no-messaging-entries.json", "empty-entry"),
    _item(
        "courier-postback-get-started.json",
        Expected("received", "dm", "in", "postback:5678:1459991487970", "postback title"),
    ),
    _item(
        "courier-postback-referral.json",
        Expected("received", "dm", "in", "postback:5678:1459991487970", "postback title"),
    ),
    _item(
        "courier-postback.json",
        Expected("received", "dm", "in", "postback:5678:1459991487970", "postback title"),
    ),
    _ignored("courier-referral-optin-user-ref.json", "optin"),
    _ignored("courier-referral-optin.json", "optin"),
    _ignored("courier-referral-seconds.json", "referral"),
    _ignored("courier-referral.json", "referral"),
)

_API_BODIES: Final = (
    _strange("python-facebook-comments-comment-info.json", "not-a-webhook"),
    _strange("python-facebook-comments-comments-p1.json", "not-a-webhook"),
    _strange("python-facebook-comments-comments-p2.json", "not-a-webhook"),
    _strange("python-facebook-comments-create-resp.json", "not-a-webhook"),
    _strange("python-facebook-conversations-cvs-info.json", "not-a-webhook"),
    _strange("python-facebook-conversations-cvses-info.json", "not-a-webhook"),
    _strange("python-facebook-messages-messages-info.json", "not-a-webhook"),
)

_COMMENTS: Final = (
    # In all of these the writer is the Page itself: `from.id` or `sender_id` equals the entry's id.
    _item(
        "restfb-feed-comment-add-211.json",
        Expected("received", "comment", "out", "901097836652708_903438993085259", "and the next one"),
    ),
    _item(
        "restfb-feed-comment-add-with-photo.json",
        Expected("received", "comment", "out", "901097836652708_903438993085259", "and the next one"),
    ),
    _item(
        "restfb-feed-comment-add-with-video.json",
        Expected("received", "comment", "out", "901097836652708_903438993085259", "and the next one"),
    ),
    _item(
        "restfb-feed-comment-edited-with-photo.json",
        Expected("edited", "comment", "out", "900728623356296_900744590021366", "Let's see the Webhooks in action :D"),
    ),
    _item(
        "restfb-feed-comment-edited-with-video.json",
        Expected("edited", "comment", "out", "900728623356296_900744590021366", "Let's see the Webhooks in action :D"),
    ),
    _item(
        "restfb-feed-comment-hide.json",
        Expected("hidden", "comment", "out", "900728623356296_900744590021366", "and the next one"),
    ),
    _item(
        "restfb-feed-comment-remove-25.json",
        Expected("deleted", "comment", "out", "905578656204626_905579239537901"),
    ),
)

_REACTIONS: Final = (
    _item("restfb-feed-like-add-25.json", Expected("reacted", "reaction", "in", "909653922461664_940663242694065")),
    # A like of the Page itself has no item that it could be put on.
    _ignored("restfb-feed-like-add-page-25.json", "page-like"),
    _item("restfb-feed-like-remove-25.json", Expected("reacted", "reaction", "out", "1234567890321_940663242694065")),
    _item(
        "restfb-feed-reaction-add-reply.json",
        Expected("reacted", "reaction", "out", "1234567890321_1357555177673636"),
    ),
)

_POSTS: Final = (
    _ignored("restfb-feed-album-add.json", "page-object"),
    _ignored("restfb-feed-event-add.json", "page-object"),
    _ignored("restfb-feed-photo-add-25.json", "own-post"),
    _ignored("restfb-feed-photo-add-message.json", "own-post"),
    _ignored("restfb-feed-photo-edited-message.json", "own-post"),
    _ignored("restfb-feed-photo-edited.json", "own-post"),
    _ignored("restfb-feed-photo-hide-message.json", "own-post"),
    _ignored("restfb-feed-photo-hide.json", "own-post"),
    _ignored("restfb-feed-photo-remove-25.json", "own-post"),
    # Visitors' posts on the Page: somebody else's id in `from`, as text or as a number.
    _item(
        "restfb-feed-post-add-25.json",
        Expected("received", "mention", "in", "1234567890321_7293787835232", "Let's check this"),
    ),
    _item(
        "restfb-feed-post-edit.json",
        Expected("edited", "mention", "in", "1234567890321_7293787835232", "Let's check this"),
    ),
    _item(
        "restfb-feed-post-hide.json",
        Expected("hidden", "mention", "in", "1234567890321_7293787835232", "Let's check this"),
    ),
    _item(
        "restfb-feed-post-unhide.json",
        Expected("unhidden", "mention", "in", "1234567890321_7293787835232", "Let's check this"),
    ),
    _ignored("restfb-feed-share-add-25.json", "own-post"),
    _ignored("restfb-feed-share-hide.json", "own-post"),
    _ignored("restfb-feed-share-unhide.json", "own-post"),
    _ignored("restfb-feed-status-add-25.json", "own-post"),
    _ignored("restfb-feed-status-add-photos.json", "own-post"),
    _ignored("restfb-feed-status-edited-25.json", "own-post"),
    _item(
        "restfb-feed-status-hide-25.json",
        Expected("hidden", "mention", "in", "1234567890321_7293787835232", "Hide me fast"),
    ),
    _item(
        "restfb-feed-status-unhide.json",
        Expected("unhidden", "mention", "in", "123456789_64352426", "Testmessage"),
    ),
    _ignored("restfb-feed-video-edited.json", "own-post"),
    _ignored("restfb-feed-video-mute.json", "moderation"),
    _ignored("restfb-feed-video-remove-25.json", "own-post"),
)

_FIELDS: Final = (
    _ignored("restfb-leadgen.json", "leadgen"),
    _item(
        "restfb-mention-comment-add.json",
        Expected("received", "mention", "in", "7363534231324_3754798971271444", "Just a test message"),
    ),
    _item(
        "restfb-mention-post-add-real.json",
        Expected("received", "mention", "in", "1234567890321_98722536423179", "A test post message"),
    ),
    _item("restfb-mention-post-add.json", Expected("received", "mention", "in", "44444444_444444444")),
    _strange("restfb-unknown-change-value.json", "unknown-field"),
)

_MESSENGER: Final = (
    _ignored("restfb-messaging-accountlinking-linked.json", "account-linking"),
    _ignored("restfb-messaging-accountlinking-unlinked.json", "account-linking"),
    _ignored("restfb-messaging-approles.json", "handover"),
    _ignored("restfb-messaging-delivery-basic.json", "delivery"),
    _item(
        "restfb-messaging-message-basic-echo.json",
        Expected("received", "dm", "out", "mid.1457764197618:41d102a3e1ae206a38", "hello, world!"),
    ),
    _item(
        "restfb-messaging-message-edits.json",
        Expected("edited", "dm", "in", "mid.1457764197618:41d102a3e1ae206a38", "hello, world!"),
    ),
    _item(
        "restfb-messaging-message-fallback-attachment.json",
        Expected("received", "dm", "in", "mid.1458696618141:b4ef9d19ec21086067"),
    ),
    _item("restfb-messaging-message-isdeleted.json", Expected("deleted", "dm", "in", "message_id")),
    _item("restfb-messaging-message-isunsupported.json", Expected("received", "dm", "in", "message_id")),
    _item(
        "restfb-messaging-message-location-attachment.json",
        Expected("received", "dm", "in", "mid.1458696618141:b4ef9d19ec21086067"),
    ),
    _item(
        "restfb-messaging-message-prior.json",
        Expected("received", "dm", "in", "mid.1457744567618:41d102a3e1ae206a38", "Thanks for messaging me!"),
    ),
    _item(
        "restfb-messaging-message-reply-1.json",
        Expected("received", "dm", "in", "mid.1457764197618:41d102a3e1ae206a38", "hello, world!"),
    ),
    _item(
        "restfb-messaging-message-reply-2.json",
        Expected("received", "story_reply", "in", "mid.1457764197618:41d102a3e1ae206a38", "hello, world!"),
    ),
    _item(
        "restfb-messaging-message-sticker-thumbup.json",
        Expected("received", "dm", "in", "mid.1487254148673:a082abc439"),
    ),
    _item("restfb-messaging-message-sticker.json", Expected("received", "dm", "in", "mid.12345654332:226a70a704")),
    _ignored("restfb-messaging-optin-userref.json", "optin"),
    _ignored("restfb-messaging-policy-callback-unblock.json", "policy-enforcement"),
    _item(
        "restfb-messaging-postback-basic.json",
        Expected("received", "dm", "in", "postback:987654321432:1458692752478", "USER_DEFINED_PAYLOAD"),
    ),
    # A guest of the chat plugin: no page-scoped id yet, only a `user_ref`.
    _item(
        "restfb-messaging-postback-chat.json",
        Expected("received", "dm", "in", "postback:user_ref:987654321432:1458692752478", "hey"),
    ),
    _item(
        "restfb-messaging-postback-referral.json",
        Expected("received", "dm", "in", "postback:987654321432:1458692752478", "USER_DEFINED_PAYLOAD"),
    ),
    _item("restfb-messaging-reaction-1.json", Expected("reacted", "reaction", "in", "original_message_id")),
    _item("restfb-messaging-reaction-2.json", Expected("reacted", "reaction", "in", "original_message_id")),
    _ignored("restfb-messaging-read-basic.json", "read"),
)

_RATINGS: Final = (
    _item(
        "restfb-ratings-comment-add-25.json",
        Expected("received", "comment", "in", "904801129604590_904802532937783"),
    ),
    _item(
        "restfb-ratings-comment-edited-25.json",
        Expected("edited", "comment", "out", "716630661754264_994838177266843"),
    ),
    _item(
        "restfb-ratings-comment-remove-25.json",
        Expected("deleted", "comment", "in", "716630661754264_812745235476139"),
    ),
    # Reactions to a review are put on the review: its story id, else the right half of `post_id`.
    _item("restfb-ratings-like-add-25.json", Expected("reacted", "reaction", "in", "904801129604590")),
    _item("restfb-ratings-like-add-40.json", Expected("reacted", "reaction", "in", "2782258465134925")),
    _item("restfb-ratings-like-remove-25.json", Expected("reacted", "reaction", "in", "904801129604590")),
    _item("restfb-ratings-like-remove-40.json", Expected("reacted", "reaction", "in", "2782258465134925")),
    _item(
        "restfb-ratings-rating-add-31.json",
        Expected("received", "review", "in", "904801129604590", "Ja ziemlich coole Sache"),
    ),
    _item("restfb-ratings-rating-remove-25.json", Expected("deleted", "review", "in", "904801129604590")),
    _item("restfb-ratings-reaction-add.json", Expected("reacted", "reaction", "in", "716630661754264")),
    _item("restfb-ratings-reaction-remove.json", Expected("reacted", "reaction", "in", "716630661754264")),
)

ROWS: Final = (
    *_CHATWOOT,
    *_COURIER,
    *_API_BODIES,
    *_COMMENTS,
    *_REACTIONS,
    *_POSTS,
    *_FIELDS,
    *_MESSENGER,
    *_RATINGS,
)
