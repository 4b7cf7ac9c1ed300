"""What each third-party X body is worth, decided by reading the bodies, not by running the parser."""

from typing import Final

from tests.contract.corpus.row import Expected, Row, ignored, item

_CHATWOOT: Final = (
    # Id and time stand inside `message_data` here, where the vendor has them on the event: still no doubt what is meant.
    Row(
        "chatwoot-aaa-dm-two-events.json",
        "normalized",
        (
            Expected("received", "dm", "in", "dm-1", "Message 1"),
            Expected("received", "dm", "in", "dm-2", "Message 2"),
        ),
    ),
    # It begins with our handle, which names us as the one replied to, but there is no post that it replies to.
    item(
        "chatwoot-aaa-tweet-mention.json",
        Expected("received", "mention", "in", "tweet-123", "@myaccount Hello!"),
    ),
    # Neither a reply to us nor a mention of us.
    ignored("chatwoot-aaa-tweet-not-for-us.json", "not-for-us"),
    item(
        "chatwoot-tweet-create-event.json",
        Expected("received", "mention", "in", "1", "@chatwootapp Testing a sample tweet with Twitter client"),
    ),
    # Sender 2, account 1.
    item("chatwoot-twitter-dm-image-event.json", Expected("received", "dm", "in", "123", "Blue Bird")),
    item("chatwoot-twitter-message-create-event.json", Expected("received", "dm", "in", "123", "Blue Bird")),
)

_ACCOUNT_ACTIVITY: Final = (
    ignored("docs-aaa-direct-message-indicate-typing-events.json", "typing"),
    # The account itself deleted its post.
    item("docs-aaa-tweet-delete-events.json", Expected("deleted", "reply", "out", "1045405559317569537")),
    ignored("docs-aaa-user-event.json", "revoked"),
)

_X_ACTIVITY: Final = (
    ignored("docs-xaa-broadcast-chat.json", "broadcast"),
    ignored("docs-xaa-broadcast-end.json", "broadcast"),
    ignored("docs-xaa-broadcast-start.json", "broadcast"),
    # Encrypted: that the account wrote, and to whom, is all that can be known.
    item("docs-xaa-chat-sent.json", Expected("received", "dm", "out", "8e75466b-56ec-4e88-bddf-b18f7cc6030e")),
    item("docs-xaa-dm-received.json", Expected("received", "dm", "in", "2080765901528535096", "hello!")),
    item("docs-xaa-dm-sent.json", Expected("received", "dm", "out", "2080763914820927863", "Thanks for the update!")),
    ignored("docs-xaa-follow-follow.json", "follow"),
    ignored("docs-xaa-follow-unfollow.json", "follow"),
    item("docs-xaa-post-delete.json", Expected("deleted", "reply", "out", "2080761269309813134")),
    item(
        "docs-xaa-post-mention-create.json",
        Expected("received", "mention", "in", "2080765813578191303", "hey @ExampleUser"),
    ),
    item(
        "docs-xaa-post-quote-create.json",
        Expected(
            "received", "mention", "in", "2090000000000000002", "Adding some context to this. https://t.co/xxxxxxxx"
        ),
    ),
    ignored("docs-xaa-post-repost-create.json", "repost"),
    ignored("docs-xaa-profile-update-geo.json", "profile"),
    ignored("docs-xaa-profile-update-screenname.json", "profile"),
    ignored("docs-xaa-profile-update-url.json", "profile"),
    ignored("docs-xaa-spaces-start.json", "spaces"),
)

ROWS: Final = (*_CHATWOOT, *_ACCOUNT_ACTIVITY, *_X_ACTIVITY)
