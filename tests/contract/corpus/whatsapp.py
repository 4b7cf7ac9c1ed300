"""What each third-party WhatsApp body is worth, decided by reading the bodies, not by running the parser."""

from typing import Final

from tests.contract.corpus.row import Expected, Row, ignored, item, strange

_LONG_ID: Final = "wamid.HBgNNDkxNTIwOTgzMzM5OBUCABIYHGDEHJVFHJEVCFHJEVBCMTkyODk1OEIyAA=="
_BSUID_ID: Final = "wamid.HBgLMTY1MDM4Nzk0MzkVAgASGBQzQTRBNjU5OUFFRTAzODEwMTQ0RgA="


def _dm(file: str, external_id: str, text: str | None = None) -> Row:
    return item(file, Expected("received", "dm", "in", external_id, text))


def _reaction(file: str, external_id: str) -> Row:
    return item(file, Expected("reacted", "reaction", "in", external_id))


_BOTPRESS: Final = (
    # A status without our correlation id: somebody else sent that message.
    ignored("botpress-status-bsuid-failed.json", "status"),
    _dm("botpress-username-only-incoming.json", "wamid.username-only-incoming", "Hello"),
)

_CHATWOOT: Final = tuple(
    # Only what a delivery's `value` holds: no `object` and no `entry`, so no network delivers it like this.
    strange(file, "not-a-webhook")
    for file in (
        "chatwoot-creates-appropriate-conversations-message-and-contacts-2.json",
        "chatwoot-creates-appropriate-conversations-message-and-contacts-3.json",
        "chatwoot-creates-appropriate-conversations-message-and-contacts-4.json",
        "chatwoot-creates-appropriate-conversations-message-and-contacts.json",
        "chatwoot-ignores-type-ephemeral-and-does-not-create-ghost-conversatio.json",
        "chatwoot-ignores-type-unsupported-and-does-not-create-ghost-conversat.json",
    )
)

_COURIER: Final = (
    # Audio has no caption on WhatsApp, but this body writes one: what the customer said is shown.
    _dm("courier-audio.json", "external_id", "Check out my new phone!"),
    _dm("courier-button-reply.json", "external_id", "Yes"),
    _dm("courier-document.json", "external_id", "80skaraokesonglistartist"),
    Row(
        "courier-duplicate.json",
        "normalized",
        (Expected("received", "dm", "in", "external_id", "Hello World"),),
        ("duplicate",),
    ),
    # The platform says that something is wrong with the app: no message, and nothing to pass over.
    strange("courier-error-errors.json", "platform-error"),
    _dm("courier-error-msg.json", "external_id", "Hello World"),
    ignored("courier-error-status.json", "status"),
    _dm("courier-hello-bsuid-in-from.json", "external_id", "Hello World"),
    _dm("courier-hello-user-id.json", "external_id", "Hello World"),
    ignored("courier-ignore-status.json", "status"),
    _dm("courier-image.json", "external_id", "Check out my new phone!"),
    strange("courier-invalid-status.json", "unknown-status"),
    # A time that is none costs the time, not the message.
    _dm("courier-invalid-timestamp.json", "external_id", "Hello World"),
    _dm("courier-list-reply.json", "external_id", "Yes"),
    _dm("courier-location.json", "external_id", "Main Street Beach\nMain Street Beach, Santa Cruz, CA"),
    _dm("courier-nfm-reply-non-object.json", "external_id", "Sent"),
    _dm("courier-nfm-reply.json", "external_id", "first_name: Bob\nage: 32"),
    # Neither the message nor its contact says whose it is.
    strange("courier-no-from.json", "no-sender"),
    _dm("courier-video.json", "external_id", "Check out my new phone!"),
)

_ACCOUNT: Final = tuple(
    ignored(file, "account")
    for file in (
        "pywa-account-update-account-deleted.json",
        "pywa-account-update-account-disabled.json",
        "pywa-account-update-account-offboarded.json",
        "pywa-account-update-account-reconnected.json",
        "pywa-account-update-account-restriction.json",
        "pywa-account-update-account-violation.json",
        "pywa-account-update-authentication-international-eligibility.json",
        "pywa-account-update-mm-api-for-wa-terms-of-service.json",
        "pywa-account-update-partner-added.json",
        "pywa-account-update-partner-app-uninstalled.json",
        "pywa-account-update-partner-led-business-verification-status.json",
        "pywa-account-update-partner-removed-wa-app-disconnection.json",
        "pywa-account-update-pricing-tiering-update.json",
        "pywa-account-update-primary-business-location-set.json",
        "restfb-webhook-accountupdate-banned.json",
        "restfb-webhook-accountupdate-verified.json",
        "restfb-webhook-businessusernameupdate-approved.json",
        "restfb-webhook-phonenumbernameupdate.json",
        "restfb-webhook-phonenumberqualityupdate.json",
    )
)

_TEMPLATES: Final = tuple(
    ignored(file, "template")
    for file in (
        "pywa-template-components-update-element.json",
        "pywa-template-quality-update-yellow.json",
        "pywa-template-status-update-approved.json",
        "pywa-template-status-update-rejected.json",
        "restfb-webhook-messagetemplatestatusupdate-disabling.json",
    )
)

_PYWA: Final = (
    ignored("pywa-call-permission-update-accept.json", "call-permission"),
    ignored("pywa-call-permission-update-reject.json", "call-permission"),
    ignored("pywa-call-status-call-status.json", "call"),
    ignored("pywa-call-terminate-call-terminate.json", "call"),
    _dm("pywa-callback-button-button.json", "wamid.xyzxyz", "title"),
    _dm("pywa-callback-button-quick-reply-without-context.json", "wamid.xsidjx", "title"),
    _dm("pywa-callback-button-quick-reply.json", "wamid.xsidjw", "title"),
    _dm("pywa-callback-selection-callback.json", "wamid.zyzxyz", "title"),
    item("pywa-deleted-message-revoke.json", Expected("deleted", "dm", "in", "<ORIGINAL_WHATSAPP_MESSAGE_ID>")),
    # The answers of a form; its `flow_token` is the sender's own.
    _dm(
        "pywa-flow-completion-completion.json",
        "wamid.wegrchytvwcggt==",
        "comment_text: Comment Text\ndelivery_rating: 4\npurchase_rating: 2\nrecommend_radio: 0\ncs_rating: 0",
    ),
    _dm(
        "pywa-flow-completion-without-flow-token.json",
        "wamid.wegrchytvwcggt==",
        "comment_text: Comment Text\ndelivery_rating: 4\npurchase_rating: 2\nrecommend_radio: 0\ncs_rating: 0",
    ),
    _dm("pywa-message-animated-sticker.json", "wamid.xyzxyz"),
    _dm("pywa-message-audio.json", "wamid.xyzxyz"),
    _dm(
        "pywa-message-contacts.json",
        "wamid.xyzxyz",
        "Chandler Bing: +1 555-555-5555\nMonica: +1 666-666-6666\nRachel Green: +1 777-777-7777",
    ),
    _dm("pywa-message-document.json", "wamid.xyzxyz", "caption"),
    _dm("pywa-message-forwarded-many-times.json", "wamid.xyzxyz", "text forwarded many times"),
    _dm("pywa-message-forwarded.json", "wamid.xyzxyz", "forwarded text"),
    # The message came, but the platform could not say what was in it, and says so beside it.
    Row(
        "pywa-message-interactive-message-with-err.json",
        "not-understood",
        (Expected("received", "dm", "in", "wamid.wegrchytvwcggt="),),
        ("platform-error",),
    ),
    _dm("pywa-message-media-with-url.json", "wamid.xyzxyz"),
    _dm("pywa-message-order.json", "wamid.xyzxyz", "3 x HAMBURGER, 30 ILS\n2 x FRENCH_FRIES, 35 ILS\n2 x SODA, 10 ILS"),
    _reaction("pywa-message-reaction.json", "wamid.yzxyzx="),
    _dm("pywa-message-referral.json", "wamid.ID", "BODY"),
    _dm("pywa-message-reply.json", "wamid.xyzxyz", "replied text"),
    ignored("pywa-message-status-failed.json", "status"),
    ignored("pywa-message-status-read.json", "status"),
    # It has a callback text, but not one of ours.
    ignored("pywa-message-status-with-tracker.json", "status"),
    _reaction("pywa-message-unreaction-empty.json", "wamid.yzxyzx="),
    _reaction("pywa-message-unreaction-no-emoji.json", "wamid.yzxyzx="),
    _dm("pywa-message-unsupported-with-type.json", "wamid.xyzxyz"),
    _dm("pywa-message-unsupported.json", "wamid.xyzxyz"),
    _dm("pywa-message-voice.json", "wamid.xyzxyz"),
    item("pywa-outgoing-message-edit.json", Expected("edited", "dm", "out", "wamid.zzzzzz", "Text was edited")),
    item("pywa-outgoing-message-text.json", Expected("received", "dm", "out", "<WHATSAPP_MESSAGE_ID>", "Test message")),
    strange("pywa-system-phone-number-change.json", "identity-change"),
)

_API_BODIES: Final = tuple(
    strange(file, "not-a-webhook")
    for file in (
        "restfb-group-info.json",
        "restfb-message-response-bsuid.json",
        "restfb-message-response-group.json",
        "restfb-message-response.json",
        "restfb-phone-number-full-response.json",
        "restfb-phone-number-missing-lists.json",
        "restfb-send-message-phone-only.json",
        "restfb-send-message-to-and-recipient.json",
    )
)

_RESTFB: Final = (
    Row("restfb-webhook-group-participants-update.json", "ignored", (), ("group",)),
    _dm("restfb-webhook-incoming-message-ads.json", _LONG_ID, "Test"),
    _dm("restfb-webhook-incoming-message-audio.json", _LONG_ID),
    _dm("restfb-webhook-incoming-message-button.json", _LONG_ID, "No"),
    # The message names no sender; the only contact beside it has a user id.
    _dm("restfb-webhook-incoming-message-contacts-request-bsuid.json", _BSUID_ID, "15551234567"),
    _dm("restfb-webhook-incoming-message-contacts.json", "wamid.randomwhatsappmessageid", "j_doe"),
    _dm(
        "restfb-webhook-incoming-message-contacts2.json",
        "wamid.HBg...",
        "REDACTED: +39 393 REDACTED\nREDACTED: +39 349 REDACTED",
    ),
    _dm("restfb-webhook-incoming-message-document.json", _LONG_ID, "RESTFB ANNIVERSARY"),
    _reaction("restfb-webhook-incoming-message-emoji.json", "wamid.xxxxxxxx"),
    _dm("restfb-webhook-incoming-message-image.json", _LONG_ID, "Some awesome image"),
    # This body escapes twice, so the escape is what the text says; name and address are the same.
    _dm("restfb-webhook-incoming-message-location.json", _LONG_ID, "Saarbr\\u00fccken"),
    ignored("restfb-webhook-incoming-message-status-errors.json", "status"),
    ignored("restfb-webhook-incoming-message-status-group-bsuid.json", "status"),
    ignored("restfb-webhook-incoming-message-status-ui.json", "status"),
    _dm("restfb-webhook-incoming-message-sticker.json", _LONG_ID),
    strange("restfb-webhook-incoming-message-system-bsuid.json", "identity-change"),
    # In a group everybody in it reads along: that is a comment, not a direct message.
    item(
        "restfb-webhook-incoming-message-text-bsuid.json",
        Expected("received", "comment", "in", _BSUID_ID, "Does it come in another color?"),
    ),
    _dm("restfb-webhook-incoming-message-unsupported.json", "wamid.randomwhatsappmessageid"),
    strange("restfb-webhook-useridupdate.json", "identity-change"),
)

ROWS: Final = (
    *_BOTPRESS,
    *_CHATWOOT,
    *_COURIER,
    *_ACCOUNT,
    *_TEMPLATES,
    *_PYWA,
    *_API_BODIES,
    *_RESTFB,
)
