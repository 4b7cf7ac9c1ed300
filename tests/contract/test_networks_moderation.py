"""What every network is asked to do to an item, and what its answer means."""

import contextlib
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Rejected
from shared.events.messages import Kind, Operation
from shared.networks.port import Account, HttpResponse, OutboundModeration, Outcome
from tests.support.damage import damaged
from tests.support.networks.cases import every_network, fuzz, network_of, of_each
from tests.support.networks.moderation import ANSWERS, REQUESTS, asked
from tests.support.networks.sample import Sample, encode


@pytest.mark.parametrize(("sample", "moderation", "method", "url", "body"), of_each(REQUESTS))
def test_an_operation_is_exactly_this_request(
    sample: Sample, moderation: OutboundModeration, method: str, url: str, body: bytes
) -> None:
    request = network_of(sample).moderate(sample.account, moderation)
    assert (request.method, request.url, request.body) == (method, url, body)
    assert ("content-type" in request.headers) is bool(body)


@pytest.mark.parametrize(("sample", "operation", "response", "outcome"), of_each(ANSWERS))
def test_an_answer_to_an_operation_means_exactly_this(
    sample: Sample, operation: Operation, response: HttpResponse, outcome: Outcome
) -> None:
    assert network_of(sample).interpret_moderation(response, asked(operation)) == outcome


@every_network
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("operation", get_args(Operation))
def test_what_a_network_can_do_to_an_item_is_what_it_says_it_can(
    sample: Sample,
    operation: Operation,
    kind: Kind,
    own: bool,  # noqa: FBT001
) -> None:
    network = network_of(sample)
    order = replace(REQUESTS[sample.network][0][0], operation=operation, message_kind=kind, own=own)
    if network.capabilities.moderates(operation, kind, own=own):
        assert network.moderate(sample.account, order) == network.moderate(sample.account, order)
    else:
        with pytest.raises(Rejected, match=f"cannot {operation} a {kind}"):
            network.moderate(sample.account, order)


@every_network
def test_every_operation_that_a_network_can_do_is_in_this_suite(sample: Sample) -> None:
    can = network_of(sample).capabilities
    able = {one for one in get_args(Operation) for kind in get_args(Kind) if can.moderates(one, kind)}
    own = {"delete"} if can.delete_own else set()
    tried = {order.operation for order, *_ in REQUESTS[sample.network]}
    assert tried == able | own or sample.network == "api"


@every_network
def test_an_operation_shows_no_secret_and_needs_its_credentials(sample: Sample) -> None:
    order = REQUESTS[sample.network][0][0]
    request = network_of(sample).moderate(sample.account, order)
    for name, secret in sample.account.credentials.items():
        if name != "reply_url":
            assert (secret in request.url) is (name in sample.in_path)
            assert secret not in repr(request)
    with pytest.raises(Rejected):
        network_of(sample).moderate(Account(channel_id="chn", external_id="1001"), order)


@every_network
@pytest.mark.parametrize("name", ["", "../1", "1?x=1", "1/comments", "a b"])
def test_an_id_that_leads_elsewhere_is_part_of_no_url(sample: Sample, name: str) -> None:
    order = REQUESTS[sample.network][0][0]
    usual = network_of(sample).moderate(sample.account, order).url
    with contextlib.suppress(Rejected):
        assert network_of(sample).moderate(sample.account, replace(order, external_id=name)).url == usual


@every_network
@fuzz
@given(data=st.data(), status=st.integers(100, 599), operation=st.sampled_from(get_args(Operation)))
def test_no_answer_to_an_operation_raises(
    sample: Sample, data: st.DataObject, status: int, operation: Operation
) -> None:
    seed = {"success": True, "data": {"hidden": True}, "ok": True, "result": True, "error": {"code": 4, "message": "n"}}
    body = data.draw(st.one_of(st.binary(max_size=50), damaged(seed).map(encode)))
    network_of(sample).interpret_moderation(HttpResponse(status=status, body=body), asked(operation))
