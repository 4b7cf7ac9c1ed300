"""What each third-party Instagram body is worth, decided by reading the bodies, not by running the parser."""

from typing import Final

from tests.contract.corpus.row import Expected, Row, ignored, item, strange

_CHATWOOT: Final = (
    item(
        "chatwoot-instagram-message-attachment-event.json",
        Expected("received", "dm", "in", "message-id-1"),
    ),
    item(
        "chatwoot-instagram-message-create-event.json",
        Expected("received", "dm", "in", "message-id-1", "This is the first message from the customer"),
    ),
    item(
        "chatwoot-instagram-message-reply-event.json",
        Expected("received", "dm", "in", "message-id-2", "This is message with replyto mid"),
    ),
    # Another app owns the thread; the customer wrote to the brand all the same.
    item(
        "chatwoot-instagram-message-standby-event.json",
        Expected(
            "received",
            "dm",
            "in",
            "message-id-1",
            "This is the first standby message from the customer, after 24 hours.",
        ),
    ),
    item(
        "chatwoot-instagram-message-unsend-event.json",
        Expected("deleted", "dm", "in", "message-id-to-delete"),
    ),
    item(
        "chatwoot-instagram-message-unsupported-event.json",
        Expected("received", "dm", "in", "unsupported-message-id-1"),
    ),
    item(
        "chatwoot-instagram-shared-reel-event.json",
        Expected("received", "dm", "in", "message-id-1"),
    ),
    # A mention in a story comes as a direct message, and can only be answered with one.
    item(
        "chatwoot-instagram-story-mention-event-with-echo.json",
        Expected("received", "dm", "out", "message-id-1"),
    ),
    item(
        "chatwoot-instagram-story-mention-event.json",
        Expected("received", "dm", "in", "mention-message-id-1"),
    ),
    item(
        "chatwoot-instagram-story-reply-event.json",
        Expected("received", "story_reply", "in", "message-id-1", "This is the story reply"),
    ),
    # The test console writes account 0, in both shapes.
    ignored("chatwoot-instagram-test-event.json", "test-entry"),
    ignored("chatwoot-instagram-test-text-event.json", "test-entry"),
    ignored("chatwoot-messaging-seen-event.json", "read"),
)

_COURIER: Final = (
    item("courier-attachment.json", Expected("received", "dm", "in", "external_id")),
    # The recipient is not the entry's account; whose event it is, the entry says.
    item("courier-different-page.json", Expected("received", "dm", "in", "external_id", "Hello World")),
    Row(
        "courier-duplicate-msg.json",
        "normalized",
        (Expected("received", "dm", "in", "external_id", "Hello World"),),
        ("duplicate",),
    ),
    item(
        "courier-icebreaker-get-started.json",
        Expected("received", "dm", "in", "postback:5678:1459991487970", "icebreaker question"),
    ),
    item("courier-invalid-urn.json", Expected("received", "dm", "in", "external_id", "Hello World")),
    item("courier-like-heart.json", Expected("received", "dm", "in", "external_id")),
    ignored("courier-no-entries.json", "no-entries"),
    ignored("courier-no-messaging-entries.json", "empty-entry"),
    item("courier-story-mention.json", Expected("received", "dm", "in", "external_id")),
    strange("courier-unknown-messaging-entry.json", "unknown-messaging"),
    item("courier-unsent-msg.json", Expected("deleted", "dm", "in", "external_id")),
)

_META: Final = (
    # `self_ig_scoped_id`: the account itself wrote the comment.
    item("metadocs-self-comment.json", Expected("received", "comment", "out", "<COMMENT_ID>", "<COMMENT_TEXT>")),
    item("metadocs-self-echo.json", Expected("received", "dm", "out", "<MESSAGE_ID>", "<MESSAGE_TEXT>")),
)

_API_BODIES: Final = (
    strange("python-facebook-comments-replies.json", "not-a-webhook"),
    strange("python-facebook-medias-comments-p1.json", "not-a-webhook"),
    strange("python-facebook-users-mentioned-media.json", "not-a-webhook"),
    strange("restfb-comment-missing-user.json", "not-a-webhook"),
    strange("restfb-comment.json", "not-a-webhook"),
    strange("restfb-mentioned-media.json", "not-a-webhook"),
)

_RESTFB: Final = (
    item(
        "restfb-issue-1246-story-reply-real.json",
        Expected(
            "received",
            "story_reply",
            "in",
            "aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlEOjE3ODQxNDUzMjQ3MTcwMDg4OjM0MDI4MjM2Njg0MTcxMDMwMDk0OTEyODIzMDgzNDcxMjk1"
            "NzEyMTozMDY4NzY0OTcyOTkyMTUyNDI1NTAzMTE4MTE3NjczMzY5NgZDZD",
            "Hello story",
        ),
    ),
    item(
        "restfb-messaging-attachment-unsupported.json",
        Expected(
            "received",
            "dm",
            "in",
            "aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlEOjE3ODQxNDUyNjkxNjAwMDk4OjM0MDI4MjM2Njg0MTcxMDMwMDk0OTEyODUyNTYwOTEwODQ0"
            "ODU4MjozMDc2OTU4MTA5OTY0OTI5MzAzMjAwODc1MDUxMTE2MTM0NAZDZD",
        ),
    ),
    # All four stand under account 0: samples of the test console.
    ignored("restfb-wh-comments.json", "test-entry"),
    ignored("restfb-wh-livecomments.json", "test-entry"),
    ignored("restfb-wh-mentions.json", "test-entry"),
    ignored("restfb-wh-story-insights.json", "test-entry"),
)

ROWS: Final = (*_CHATWOOT, *_COURIER, *_META, *_API_BODIES, *_RESTFB)
