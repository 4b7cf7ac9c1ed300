"""What every network is sent as a reply, and what its answer means."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Rejected
from shared.networks.port import Account, HttpResponse, OutboundReply, Outcome
from tests.support.damage import damaged
from tests.support.networks import SAMPLES
from tests.support.networks.cases import cases, every_network, fuzz, network_of
from tests.support.networks.sample import NOW, Sample, direct, encode, outbound


@pytest.mark.parametrize(("sample", "reply", "url", "body"), cases("replies"))
def test_a_reply_is_exactly_this_request(sample: Sample, reply: OutboundReply, url: str, body: bytes) -> None:
    request = network_of(sample).reply(sample.account, reply)
    assert (request.method, request.url, request.body) == ("POST", url, body)
    assert request.headers["content-type"] == "application/json"


@every_network
def test_secrets_are_neither_in_representations_nor_in_urls_that_can_do_without(sample: Sample) -> None:
    request = network_of(sample).reply(sample.account, sample.replies[0][0])
    for name, secret in sample.account.credentials.items():
        if name != "reply_url":
            assert (secret in request.url) is (name in sample.in_path)
            assert secret not in repr(request)
            assert secret not in repr(sample.account)


@every_network
def test_an_empty_reply_and_one_without_credentials_are_rejected(sample: Sample) -> None:
    reply = sample.replies[0][0]
    empty = OutboundReply(
        text="",
        kind="public",
        message_kind="comment",
        in_reply_to_external_id="1",
        correlation_id="r",
        attempted_at=NOW,
    )
    with pytest.raises(Rejected):
        network_of(sample).reply(sample.account, empty)
    with pytest.raises(Rejected):
        network_of(sample).reply(Account(channel_id="chn", external_id="1001"), reply)


@every_network
def test_a_text_is_as_long_as_the_network_says_it_takes(sample: Sample) -> None:
    can = network_of(sample).capabilities
    public, _, _ = sample.replies[0]
    private = sample.private
    limits = [
        (public, can.public_text_limit or can.text_limit),
        (private, can.text_limit),
        (private, can.private_text_bytes),
    ]
    for reply, limit in limits:
        if limit is None or (reply.kind == "private" and limit > (can.private_text_bytes or limit)):
            continue
        network_of(sample).reply(sample.account, replace(reply, text="x" * limit))
        with pytest.raises(Rejected, match=str(limit)):
            network_of(sample).reply(sample.account, replace(reply, text="x" * (limit + 1)))
    if can.private_text_bytes is not None:
        with pytest.raises(Rejected, match=str(can.private_text_bytes)):
            network_of(sample).reply(sample.account, direct(text="é" * (can.private_text_bytes // 2 + 1)))


@pytest.mark.parametrize(
    ("sample", "human", "window"),
    [
        pytest.param(sample, human, window, id=f"{sample.network}-{'human' if human else 'bot'}")
        for sample in SAMPLES
        for human, window in (
            (False, network_of(sample).capabilities.private_window),
            (True, network_of(sample).capabilities.human_window or network_of(sample).capabilities.private_window),
        )
        if window is not None
    ],
)
def test_a_direct_message_leaves_until_its_window_closes(sample: Sample, *, human: bool, window: timedelta) -> None:
    network_of(sample).reply(sample.account, direct(human=human, message_age=window))
    with pytest.raises(Rejected, match="window closed"):
        network_of(sample).reply(sample.account, direct(human=human, message_age=window + timedelta(seconds=1)))


@pytest.mark.parametrize(("sample", "response", "outcome"), cases("outcomes"))
def test_an_answer_means_exactly_this(sample: Sample, response: HttpResponse, outcome: Outcome) -> None:
    assert network_of(sample).interpret(response) == outcome


@every_network
@fuzz
@given(data=st.data(), status=st.integers(100, 599))
def test_no_answer_raises(sample: Sample, data: st.DataObject, status: int) -> None:
    seed = {"id": "1", "data": [{"id": "2", "message": "x", "from": {"id": "3"}}], "error": {"code": 4, "message": "n"}}
    body = data.draw(st.one_of(st.binary(max_size=50), damaged(seed).map(encode)))
    header = data.draw(st.one_of(st.text(max_size=20), damaged({"1": [{"call_count": 1}]}).map(json.dumps)))
    headers = {"Retry-After": header, "X-Business-Use-Case-Usage": header, "Date": header}
    response = HttpResponse(status=status, headers=headers, body=body)
    network_of(sample).interpret(response)
    network_of(sample).interpret_query(response, outbound())
    network_of(sample).interpret_query(response, direct())


@every_network
def test_a_network_that_cannot_be_asked_says_so_in_both_places(sample: Sample) -> None:
    asked = [network_of(sample).query(sample.account, reply) for reply, _, _ in sample.replies]
    assert any(request is not None for request in asked) is network_of(sample).capabilities.query
    assert all(request.method == "GET" and not request.body for request in asked if request is not None)
