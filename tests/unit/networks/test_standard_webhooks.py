"""Signatures of the generic channel, against the reference implementation of Standard Webhooks in both directions."""

from datetime import timedelta

import pytest
from standardwebhooks.webhooks import Webhook

from shared.clock import SystemClock
from shared.errors import Rejected
from shared.events.messages import Attachment
from shared.networks import registry
from shared.networks.api import signature
from shared.networks.port import Account, WebhookRequest
from tests.support.networks.api import NEW, OLD, api
from tests.support.networks.sample import NOW, outbound

API = registry.get("api")
BODY = '{"id":"1","text":"Größe 📦"}'.encode()


def _signed(secret: str, *, signatures: str | None = None) -> WebhookRequest:
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(NOW.timestamp())),
        "webhook-signature": signatures or Webhook(secret).sign("evt_1", NOW, BODY.decode()),
    }
    return WebhookRequest(method="POST", headers=headers, body=BODY)


def _account(**credentials: str) -> Account:
    return Account(channel_id="chn", external_id="1", credentials=credentials)


def test_the_reference_accepts_our_replies_under_the_new_secret_and_the_old_one() -> None:
    picture = (Attachment(kind="image", url="https://a.example/é"),)
    request = API.reply(api().rotated, outbound(attempted_at=SystemClock().now(), attachments=picture))
    for secret in (OLD, NEW):
        said = Webhook(secret).verify(request.body, dict(request.headers))
        assert said["data"]["id"] == request.headers["webhook-id"] == "rpl_1"


def test_we_sign_byte_for_byte_as_the_reference_does() -> None:
    headers = signature.headers("evt_1", BODY, secrets=[OLD], at=NOW)
    assert headers["webhook-signature"] == Webhook(OLD).sign("evt_1", NOW, BODY.decode())


@pytest.mark.parametrize("secret", [OLD, OLD.removeprefix("whsec_"), "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NQ"])
def test_we_accept_what_the_reference_signs_with_or_without_prefix_and_padding(secret: str) -> None:
    assert API.verify(_signed(secret), _account(secret=secret), now=NOW)


def test_one_good_signature_among_others_is_enough() -> None:
    good = Webhook(OLD).sign("evt_1", NOW, BODY.decode())
    request = _signed(OLD, signatures=f"v2,abc v1a,def v1,AAAA {good}")
    assert API.verify(request, _account(secret=OLD), now=NOW)


def test_a_good_signature_hidden_behind_a_thousand_bad_ones_is_not_searched_for() -> None:
    good = Webhook(OLD).sign("evt_1", NOW, BODY.decode())
    request = _signed(OLD, signatures=f"{'v1,AAAA ' * 1000}{good}")
    assert not API.verify(request, _account(secret=OLD), now=NOW)


def test_the_id_is_under_the_signature() -> None:
    request = _signed(OLD)
    other = WebhookRequest(method="POST", headers={**request.headers, "webhook-id": "evt_2"}, body=request.body)
    assert not API.verify(other, _account(secret=OLD), now=NOW)


def test_a_secret_that_is_no_base64_verifies_nothing_and_signs_nothing() -> None:
    assert not API.verify(_signed(OLD), _account(secret="not base64!"), now=NOW)
    account = _account(secret="not base64!", reply_url="https://shop.example")
    with pytest.raises(Rejected, match="whsec_"):
        API.reply(account, outbound())


def test_each_attempt_is_stamped_with_its_own_time_under_the_same_id() -> None:
    first = API.reply(api().account, outbound())
    second = API.reply(api().account, outbound(attempted_at=NOW + timedelta(minutes=9)))
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


def test_without_the_time_of_the_attempt_nothing_is_signed() -> None:
    with pytest.raises(Rejected, match="time of the attempt"):
        API.reply(api().account, outbound(attempted_at=None))
