"""Credentials come in by name, are replaced without a gap, and are never shown."""

import pytest

from services.ingest.domain.credentials import checked, is_set, merged, urls
from shared.errors import Invalid
from shared.networks.api import Api
from shared.networks.facebook import Facebook

GIVEN = {"app_secret": "s1", "verify_token": "v", "access_token": "a"}


def test_a_replaced_signing_secret_stays_as_the_previous_one():
    assert merged(Facebook(), GIVEN, {"app_secret": "s2"}) == GIVEN | {"app_secret": "s2", "app_secret_previous": "s1"}


def test_the_same_secret_again_is_no_rotation():
    assert merged(Facebook(), GIVEN, {"app_secret": "s1"}) == GIVEN


def test_a_previous_secret_that_is_given_is_taken():
    changes = {"app_secret": "s2", "app_secret_previous": "s0"}

    assert merged(Facebook(), GIVEN, changes) == GIVEN | changes


def test_a_second_rotation_forgets_the_first_secret():
    once = merged(Facebook(), GIVEN, {"app_secret": "s2"})

    assert merged(Facebook(), once, {"app_secret": "s3"})["app_secret_previous"] == "s2"


def test_other_credentials_are_replaced_at_once():
    assert merged(Facebook(), GIVEN, {"access_token": "b"}) == GIVEN | {"access_token": "b"}


def test_null_removes_what_the_network_can_do_without():
    current = {"secret": "s", "reply_url": "https://shop.example"}

    assert merged(Api(), current, {"reply_url": None}) == {"secret": "s"}


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"app_secret": None}, "#/credentials/app_secret"),
        ({"app_secret": ""}, "#/credentials/app_secret"),
        ({"token": "x"}, "#/credentials/token"),
        ({"access_token": "x" * 9000}, "#/credentials/access_token"),
    ],
)
def test_a_change_that_the_network_cannot_take_is_refused_without_its_value(changes, pointer):
    with pytest.raises(Invalid) as refused:
        merged(Facebook(), GIVEN, changes)

    assert refused.value.fields["errors"][0]["pointer"] == pointer
    assert "xxxx" not in str(refused.value)


def test_a_new_channel_needs_what_its_network_needs():
    with pytest.raises(Invalid) as refused:
        checked(Facebook(), {"app_secret": "s"})

    assert [error["pointer"] for error in refused.value.fields["errors"]] == [
        "#/credentials/verify_token",
        "#/credentials/access_token",
    ]


def test_what_is_set_is_told_by_name_only():
    assert is_set(Facebook(), GIVEN) == {
        "app_secret": True,
        "app_secret_previous": False,
        "verify_token": True,
        "access_token": True,
    }


def test_credentials_that_are_addresses_are_found():
    assert urls({"secret": "s", "reply_url": "https://a.example", "other_url": None}) == {
        "reply_url": "https://a.example"
    }
