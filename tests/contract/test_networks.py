"""Every network: one sample in all suites, whom it believes, and how a delivery is answered."""

import json
from datetime import timedelta

import pytest

from shared.errors import NotFound
from shared.networks import registry
from shared.networks.port import Account, WebhookAnswer, WebhookRequest
from tests.support.networks import SAMPLES
from tests.support.networks.cases import ONE_BY_ONE, TOKEN_IN_PATH, UNSIGNED, cases, every_network, network_of
from tests.support.networks.sample import NOW, Sample


def test_every_network_is_in_this_suite_under_its_own_name() -> None:
    assert {sample.network for sample in SAMPLES} == set(registry.NETWORKS)
    assert all(network.name == name for name, network in registry.NETWORKS.items())


def test_what_a_network_does_differently_is_said_here() -> None:
    assert {sample.network for sample in SAMPLES if sample.most_parts == 1} == ONE_BY_ONE
    assert {sample.network for sample in SAMPLES if not sample.signs_body} == UNSIGNED
    assert {sample.network for sample in SAMPLES if sample.in_path} == TOKEN_IN_PATH


def test_an_unknown_network_is_refused_with_the_names_of_the_known_ones() -> None:
    with pytest.raises(NotFound) as caught:
        registry.get("myspace")
    assert caught.value.fields == {"known": sorted(registry.NETWORKS)}


@every_network
def test_capabilities_and_credentials_are_consistent(sample: Sample) -> None:
    network = network_of(sample)
    assert registry.capabilities(sample.network) is network.capabilities
    assert set(network.required_credentials) <= set(network.secret_names)
    assert set(sample.rotated.credentials) <= set(network.secret_names)


@every_network
def test_a_signed_body_is_authentic(sample: Sample) -> None:
    assert network_of(sample).verify(sample.request(sample.body()), sample.account, now=NOW)


@every_network
def test_the_previous_secret_is_accepted_while_it_is_kept(sample: Sample) -> None:
    assert network_of(sample).verify(sample.request(sample.body()), sample.rotated, now=NOW)


@every_network
def test_a_body_with_one_bit_changed_is_refused_where_bodies_are_signed(sample: Sample) -> None:
    request = sample.request(sample.body())
    changed = bytes([request.body[0] ^ 1]) + request.body[1:]
    tampered = WebhookRequest(method="POST", headers=request.headers, body=changed)
    assert network_of(sample).verify(tampered, sample.account, now=NOW) is (sample.network in UNSIGNED)


@every_network
def test_the_same_content_in_other_bytes_is_refused_where_bodies_are_signed(sample: Sample) -> None:
    request = sample.request(sample.body())
    other = json.dumps(json.loads(request.body), ensure_ascii=False).encode()
    assert json.loads(other) == json.loads(request.body)
    again = WebhookRequest(method="POST", headers=request.headers, body=other)
    assert network_of(sample).verify(again, sample.account, now=NOW) is (sample.network in UNSIGNED)


@every_network
def test_missing_empty_and_strange_signatures_are_refused(sample: Sample) -> None:
    request = sample.request(sample.body())
    for name in request.headers:
        for value in (None, "", "sha256=", "v1,", "é", "\udcff", "v1,v1,v1", "sha256=" + "0" * 64, "9" * 400, "-1"):
            headers = {**request.headers, name: value} if value is not None else dict(request.headers)
            if value is None:
                del headers[name]
            if name.endswith("-id") and value is not None:
                continue
            broken = WebhookRequest(method="POST", headers=headers, body=request.body)
            assert not network_of(sample).verify(broken, sample.account, now=NOW)


@every_network
def test_a_channel_without_its_secret_verifies_nothing(sample: Sample) -> None:
    bare = Account(channel_id="chn", external_id="1", credentials=dict.fromkeys(sample.account.credentials, ""))
    assert not network_of(sample).verify(sample.request(sample.body()), bare, now=NOW)


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.signs_time], ids=lambda sample: sample.network)
@pytest.mark.parametrize(("age", "fresh"), [(-301, False), (-299, True), (299, True), (301, False)])
def test_only_a_recent_timestamp_is_accepted(sample: Sample, age: int, fresh: bool) -> None:  # noqa: FBT001
    request = sample.request(sample.body(), NOW - timedelta(seconds=age))
    assert network_of(sample).verify(request, sample.account, now=NOW) is fresh


@pytest.mark.parametrize(("sample", "call", "answer"), cases("handshakes"))
def test_a_handshake_is_answered_as_the_network_wants(
    sample: Sample, call: WebhookRequest, answer: WebhookAnswer | None
) -> None:
    assert network_of(sample).handshake(call, sample.account) == answer


@every_network
def test_a_delivery_is_acknowledged_with_success(sample: Sample) -> None:
    assert 200 <= network_of(sample).acknowledge().status < 300
