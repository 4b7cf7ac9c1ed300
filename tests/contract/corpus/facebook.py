"""What each third-party Facebook body is worth, decided by reading the bodies, not by running the parser."""

from typing import Final

from tests.contract.corpus.row import Expected, Row, ignored, item, strange

_CHATWOOT: Final = (
    # `messaging` is an object here and there is no `object`: Facebook delivers no such thing.
    strange("chatwoot-incoming-fb-text-message.json", "not-a-webhook"),
    strange("chatwoot-message-deliveries.json", "not-a-webhook"),
    strange("chatwoot-message-reads.json", "not-a-webhook"),
)

_COURIER: Final = (
    item("courier-attachment.json", Expected("received", "dm", "in", "external_id")),
    Row(
        "courier-duplicate-msg.json",
        "normalized",
        (Expected("received", "dm", "in", "external_id", "Hello World"),),
        ("duplicate",),
    ),
    item("courier-echo.json", Expected("received", "dm", "out", "qT7ywaK")),
    item("courier-hello-msg.json", Expected("received", "dm", "in", "external_id", "Hello World")),
    item("courier-invalid-urn.json", Expected("received", "dm", "in", "external_id", "Hello World")),
    ignored("courier-no-entries.json", "no-entries"),
    ignored("courier-no-messaging-entries.json", "empty-entry"),
    item(
        "courier-postback-get-started.json",
        Expected("received", "dm", "in", "postback:5678:1459991487970", "postback title"),
    ),
    item(
        "courier-postback-referral.json",
        Expected("received", "dm", "in", "postback:5678:1459991487970", "postback title"),
    ),
    item(
        "courier-postback.json",
        Expected("received", "dm", "in", "postback:5678:1459991487970", "postback title"),
    ),
    ignored("courier-referral-optin-user-ref.json", "optin"),
    ignored("courier-referral-optin.json", "optin"),
    ignored("courier-referral-seconds.json", "referral"),
    ignored("courier-referral.json", "referral"),
)

_API_BODIES: Final = (
    strange("python-facebook-comments-comment-info.json", "not-a-webhook"),
    strange("python-facebook-comments-comments-p1.json", "not-a-webhook"),
    strange("python-facebook-comments-comments-p2.json", "not-a-webhook"),
    strange("python-facebook-comments-create-resp.json", "not-a-webhook"),
    strange("python-facebook-conversations-cvs-info.json", "not-a-webhook"),
    strange("python-facebook-conversations-cvses-info.json", "not-a-webhook"),
    strange("python-facebook-messages-messages-info.json", "not-a-webhook"),
)

_COMMENTS: Final = (
    # In all of these the writer is the Page itself: `from.id` or `sender_id` equals the entry's id.
    item(
        "restfb-feed-comment-add-211.json",
        Expected("received", "comment", "out", "901097836652708_903438993085259", "and the next one"),
    ),
    item(
        "restfb-feed-comment-add-with-photo.json",
        Expected("received", "comment", "out", "901097836652708_903438993085259", "and the next one"),
    ),
    item(
        "restfb-feed-comment-add-with-video.json",
        Expected("received", "comment", "out", "901097836652708_903438993085259", "and the next one"),
    ),
    item(
        "restfb-feed-comment-edited-with-photo.json",
        Expected("edited", "comment", "out", "900728623356296_900744590021366", "Let's see the Webhooks in action :D"),
    ),
    item(
        "restfb-feed-comment-edited-with-video.json",
        Expected("edited", "comment", "out", "900728623356296_900744590021366", "Let's see the Webhooks in action :D"),
    ),
    item(
        "restfb-feed-comment-hide.json",
        Expected("hidden", "comment", "out", "900728623356296_900744590021366", "and the next one"),
    ),
    item(
        "restfb-feed-comment-remove-25.json",
        Expected("deleted", "comment", "out", "905578656204626_905579239537901"),
    ),
)

_REACTIONS: Final = (
    item("restfb-feed-like-add-25.json", Expected("reacted", "reaction", "in", "909653922461664_940663242694065")),
    # A like of the Page itself has no item that it could be put on.
    ignored("restfb-feed-like-add-page-25.json", "page-like"),
    item("restfb-feed-like-remove-25.json", Expected("reacted", "reaction", "out", "1234567890321_940663242694065")),
    item(
        "restfb-feed-reaction-add-reply.json",
        Expected("reacted", "reaction", "out", "1234567890321_1357555177673636"),
    ),
)

_POSTS: Final = (
    ignored("restfb-feed-album-add.json", "page-object"),
    ignored("restfb-feed-event-add.json", "page-object"),
    ignored("restfb-feed-photo-add-25.json", "own-post"),
    ignored("restfb-feed-photo-add-message.json", "own-post"),
    ignored("restfb-feed-photo-edited-message.json", "own-post"),
    ignored("restfb-feed-photo-edited.json", "own-post"),
    ignored("restfb-feed-photo-hide-message.json", "own-post"),
    ignored("restfb-feed-photo-hide.json", "own-post"),
    ignored("restfb-feed-photo-remove-25.json", "own-post"),
    # Visitors' posts on the Page: somebody else's id in `from`, as text or as a number.
    item(
        "restfb-feed-post-add-25.json",
        Expected("received", "mention", "in", "1234567890321_7293787835232", "Let's check this"),
    ),
    item(
        "restfb-feed-post-edit.json",
        Expected("edited", "mention", "in", "1234567890321_7293787835232", "Let's check this"),
    ),
    item(
        "restfb-feed-post-hide.json",
        Expected("hidden", "mention", "in", "1234567890321_7293787835232", "Let's check this"),
    ),
    item(
        "restfb-feed-post-unhide.json",
        Expected("unhidden", "mention", "in", "1234567890321_7293787835232", "Let's check this"),
    ),
    ignored("restfb-feed-share-add-25.json", "own-post"),
    ignored("restfb-feed-share-hide.json", "own-post"),
    ignored("restfb-feed-share-unhide.json", "own-post"),
    ignored("restfb-feed-status-add-25.json", "own-post"),
    ignored("restfb-feed-status-add-photos.json", "own-post"),
    ignored("restfb-feed-status-edited-25.json", "own-post"),
    item(
        "restfb-feed-status-hide-25.json",
        Expected("hidden", "mention", "in", "1234567890321_7293787835232", "Hide me fast"),
    ),
    item(
        "restfb-feed-status-unhide.json",
        Expected("unhidden", "mention", "in", "123456789_64352426", "Testmessage"),
    ),
    ignored("restfb-feed-video-edited.json", "own-post"),
    ignored("restfb-feed-video-mute.json", "moderation"),
    ignored("restfb-feed-video-remove-25.json", "own-post"),
)

_FIELDS: Final = (
    ignored("restfb-leadgen.json", "leadgen"),
    item(
        "restfb-mention-comment-add.json",
        Expected("received", "mention", "in", "7363534231324_3754798971271444", "Just a test message"),
    ),
    item(
        "restfb-mention-post-add-real.json",
        Expected("received", "mention", "in", "1234567890321_98722536423179", "A test post message"),
    ),
    item("restfb-mention-post-add.json", Expected("received", "mention", "in", "44444444_444444444")),
    strange("restfb-unknown-change-value.json", "unknown-field"),
)

_MESSENGER: Final = (
    ignored("restfb-messaging-accountlinking-linked.json", "account-linking"),
    ignored("restfb-messaging-accountlinking-unlinked.json", "account-linking"),
    ignored("restfb-messaging-approles.json", "handover"),
    ignored("restfb-messaging-delivery-basic.json", "delivery"),
    item(
        "restfb-messaging-message-basic-echo.json",
        Expected("received", "dm", "out", "mid.1457764197618:41d102a3e1ae206a38", "hello, world!"),
    ),
    item(
        "restfb-messaging-message-edits.json",
        Expected("edited", "dm", "in", "mid.1457764197618:41d102a3e1ae206a38", "hello, world!"),
    ),
    item(
        "restfb-messaging-message-fallback-attachment.json",
        Expected("received", "dm", "in", "mid.1458696618141:b4ef9d19ec21086067"),
    ),
    item("restfb-messaging-message-isdeleted.json", Expected("deleted", "dm", "in", "message_id")),
    item("restfb-messaging-message-isunsupported.json", Expected("received", "dm", "in", "message_id")),
    item(
        "restfb-messaging-message-location-attachment.json",
        Expected("received", "dm", "in", "mid.1458696618141:b4ef9d19ec21086067"),
    ),
    item(
        "restfb-messaging-message-prior.json",
        Expected("received", "dm", "in", "mid.1457744567618:41d102a3e1ae206a38", "Thanks for messaging me!"),
    ),
    item(
        "restfb-messaging-message-reply-1.json",
        Expected("received", "dm", "in", "mid.1457764197618:41d102a3e1ae206a38", "hello, world!"),
    ),
    item(
        "restfb-messaging-message-reply-2.json",
        Expected("received", "story_reply", "in", "mid.1457764197618:41d102a3e1ae206a38", "hello, world!"),
    ),
    item(
        "restfb-messaging-message-sticker-thumbup.json",
        Expected("received", "dm", "in", "mid.1487254148673:a082abc439"),
    ),
    item("restfb-messaging-message-sticker.json", Expected("received", "dm", "in", "mid.12345654332:226a70a704")),
    ignored("restfb-messaging-optin-userref.json", "optin"),
    ignored("restfb-messaging-policy-callback-unblock.json", "policy-enforcement"),
    item(
        "restfb-messaging-postback-basic.json",
        Expected("received", "dm", "in", "postback:987654321432:1458692752478", "USER_DEFINED_PAYLOAD"),
    ),
    # A guest of the chat plugin: no page-scoped id yet, only a `user_ref`.
    item(
        "restfb-messaging-postback-chat.json",
        Expected("received", "dm", "in", "postback:user_ref:987654321432:1458692752478", "hey"),
    ),
    item(
        "restfb-messaging-postback-referral.json",
        Expected("received", "dm", "in", "postback:987654321432:1458692752478", "USER_DEFINED_PAYLOAD"),
    ),
    item("restfb-messaging-reaction-1.json", Expected("reacted", "reaction", "in", "original_message_id")),
    item("restfb-messaging-reaction-2.json", Expected("reacted", "reaction", "in", "original_message_id")),
    ignored("restfb-messaging-read-basic.json", "read"),
)

_RATINGS: Final = (
    item(
        "restfb-ratings-comment-add-25.json",
        Expected("received", "comment", "in", "904801129604590_904802532937783"),
    ),
    item(
        "restfb-ratings-comment-edited-25.json",
        Expected("edited", "comment", "out", "716630661754264_994838177266843"),
    ),
    item(
        "restfb-ratings-comment-remove-25.json",
        Expected("deleted", "comment", "in", "716630661754264_812745235476139"),
    ),
    # Reactions to a review are put on the review: its story id, else the right half of `post_id`.
    item("restfb-ratings-like-add-25.json", Expected("reacted", "reaction", "in", "904801129604590")),
    item("restfb-ratings-like-add-40.json", Expected("reacted", "reaction", "in", "2782258465134925")),
    item("restfb-ratings-like-remove-25.json", Expected("reacted", "reaction", "in", "904801129604590")),
    item("restfb-ratings-like-remove-40.json", Expected("reacted", "reaction", "in", "2782258465134925")),
    item(
        "restfb-ratings-rating-add-31.json",
        Expected("received", "review", "in", "904801129604590", "Ja ziemlich coole Sache"),
    ),
    item("restfb-ratings-rating-remove-25.json", Expected("deleted", "review", "in", "904801129604590")),
    item("restfb-ratings-reaction-add.json", Expected("reacted", "reaction", "in", "716630661754264")),
    item("restfb-ratings-reaction-remove.json", Expected("reacted", "reaction", "in", "716630661754264")),
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
