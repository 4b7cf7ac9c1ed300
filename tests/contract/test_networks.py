"""The contract of every network: what holds for all of them, driven by one sample each."""

import contextlib
import copy
import json
from dataclasses import astuple, replace
from datetime import timedelta
from typing import Any, Final, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import NotFound, Rejected
from shared.events.messages import Kind, Operation
from shared.networks import registry
from shared.networks.port import (
    Account,
    HttpResponse,
    Network,
    OutboundModeration,
    OutboundReply,
    Outcome,
    Parsed,
    WebhookAnswer,
    WebhookRequest,
)
from tests.support.damage import damaged, nest
from tests.support.networks import SAMPLES
from tests.support.networks.moderation import ANSWERS, REQUESTS, asked
from tests.support.networks.sample import NOW, Sample, direct, encode, outbound

ONE_BY_ONE: Final = {"telegram"}
"""Networks that put one part into a body: what holds of batches holds of none of theirs."""

UNSIGNED: Final = {"telegram"}
"""Networks that vouch for the caller and not for the body: whoever has read the secret once can write anything."""

TOKEN_IN_PATH: Final = {"telegram"}
"""Networks that take a credential in the URL only."""

every_network = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.network)
every_batch = pytest.mark.parametrize(
    "sample", [s for s in SAMPLES if s.network not in ONE_BY_ONE], ids=lambda sample: sample.network
)
fuzz: Final = settings(max_examples=120, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _cases(table: str) -> list[Any]:
    return [
        pytest.param(sample, *case, id=f"{sample.network}-{number}")
        for sample in SAMPLES
        for number, case in enumerate(getattr(sample, table))
    ]


def _network(sample: Sample) -> Network:
    return registry.get(sample.network)


def _parts(parsed: Parsed) -> int:
    return len(parsed.items) + len(parsed.ignored) + len(parsed.not_understood)


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
    network = _network(sample)
    assert registry.capabilities(sample.network) is network.capabilities
    assert set(network.required_credentials) <= set(network.secret_names)
    assert set(sample.rotated.credentials) <= set(network.secret_names)


# --- who is calling


@every_network
def test_a_signed_body_is_authentic(sample: Sample) -> None:
    assert _network(sample).verify(sample.request(sample.body()), sample.account, now=NOW)


@every_network
def test_the_previous_secret_is_accepted_while_it_is_kept(sample: Sample) -> None:
    assert _network(sample).verify(sample.request(sample.body()), sample.rotated, now=NOW)


@every_network
def test_a_body_with_one_bit_changed_is_refused_where_bodies_are_signed(sample: Sample) -> None:
    request = sample.request(sample.body())
    changed = bytes([request.body[0] ^ 1]) + request.body[1:]
    tampered = WebhookRequest(method="POST", headers=request.headers, body=changed)
    assert _network(sample).verify(tampered, sample.account, now=NOW) is (sample.network in UNSIGNED)


@every_network
def test_the_same_content_in_other_bytes_is_refused_where_bodies_are_signed(sample: Sample) -> None:
    request = sample.request(sample.body())
    other = json.dumps(json.loads(request.body), ensure_ascii=False).encode()
    assert json.loads(other) == json.loads(request.body)
    again = WebhookRequest(method="POST", headers=request.headers, body=other)
    assert _network(sample).verify(again, sample.account, now=NOW) is (sample.network in UNSIGNED)


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
            assert not _network(sample).verify(broken, sample.account, now=NOW)


@every_network
def test_a_channel_without_its_secret_verifies_nothing(sample: Sample) -> None:
    bare = Account(channel_id="chn", external_id="1", credentials=dict.fromkeys(sample.account.credentials, ""))
    assert not _network(sample).verify(sample.request(sample.body()), bare, now=NOW)


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.signs_time], ids=lambda sample: sample.network)
@pytest.mark.parametrize(("age", "fresh"), [(-301, False), (-299, True), (299, True), (301, False)])
def test_only_a_recent_timestamp_is_accepted(sample: Sample, age: int, fresh: bool) -> None:  # noqa: FBT001
    request = sample.request(sample.body(), NOW - timedelta(seconds=age))
    assert _network(sample).verify(request, sample.account, now=NOW) is fresh


@pytest.mark.parametrize(("sample", "call", "answer"), _cases("handshakes"))
def test_a_handshake_is_answered_as_the_network_wants(
    sample: Sample, call: WebhookRequest, answer: WebhookAnswer | None
) -> None:
    assert _network(sample).handshake(call, sample.account) == answer


@every_network
def test_a_delivery_is_acknowledged_with_success(sample: Sample) -> None:
    assert 200 <= _network(sample).acknowledge().status < 300


@every_network
def test_the_delivery_key_is_the_same_for_the_same_delivery_only(sample: Sample) -> None:
    network = _network(sample)
    first = sample.request(sample.body(1))
    other = sample.request(encode(sample.batch([sample.part(7)])))
    renamed = WebhookRequest(method="POST", headers={**other.headers, "webhook-id": "evt_2"}, body=other.body)
    assert network.delivery_key(first) == network.delivery_key(first)
    assert network.delivery_key(first) != network.delivery_key(renamed)
    assert 0 < len(network.delivery_key(WebhookRequest(method="POST", headers={"webhook-id": "x" * 999}))) <= 255


# --- what a body becomes


@every_network
def test_as_many_parts_as_a_body_may_have_become_as_many_items(sample: Sample) -> None:
    parsed = _network(sample).parse(sample.body(sample.most_parts))
    assert len({item.external_id for item in parsed.items}) == len(parsed.items) == sample.most_parts
    assert parsed.state == "normalized"


@every_batch
@pytest.mark.parametrize("cut", [1, 5, 9])
def test_a_batch_cut_in_two_says_the_same(sample: Sample, cut: int) -> None:
    parts = [sample.part(number) for number in range(10)]
    whole, first, second = (
        _network(sample).parse(encode(sample.batch(some))).items for some in (parts, parts[:cut], parts[cut:])
    )
    assert whole == first + second


@every_batch
def test_the_same_part_twice_in_one_body_is_one_item(sample: Sample) -> None:
    parsed = _network(sample).parse(encode(sample.batch([sample.part(1), sample.part(1)])))
    assert len(parsed.items) == 1
    assert [part.code for part in parsed.ignored] == ["duplicate"]


@every_network
def test_ids_as_numbers_are_the_ids_as_text(sample: Sample) -> None:
    parsed = _network(sample).parse(encode(sample.batch([sample.parts_with_number(1)])))
    (item,) = parsed.items
    assert item.external_id.replace(":", "").isdigit()
    assert item.author is not None
    assert item.author.external_id.isdigit()


@every_network
def test_unknown_fields_change_nothing(sample: Sample) -> None:
    part = sample.part(1)
    plain = _network(sample).parse(encode(sample.batch([part])))
    strange = _network(sample).parse(encode({**sample.batch([_with_unknown(part)]), "unknown": nest(30)}))
    assert strange == plain
    assert plain.state == "normalized"


def _with_unknown(value: Any) -> Any:
    if isinstance(value, dict):
        return {**{key: _with_unknown(inner) for key, inner in value.items()}, "unknown_key": {"new": [1]}}
    return [_with_unknown(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("sample", "path"),
    [pytest.param(s, path, id=f"{s.network}-{path[-1]}") for s in SAMPLES for path in s.optional],
)
def test_what_may_be_missing_may_be_missing(sample: Sample, path: tuple[str, ...]) -> None:
    part = copy.deepcopy(sample.part(1))
    holder: Any = part
    for step in path[:-1]:
        holder = holder[int(step)] if step.isdigit() else holder[step]
    del holder[path[-1]]
    parsed = _network(sample).parse(encode(sample.batch([part])))
    assert [item.external_id for item in parsed.items] == [
        item.external_id for item in _network(sample).parse(encode(sample.batch([sample.part(1)]))).items
    ]


@every_network
@pytest.mark.parametrize("raw", [b"", b"\xff\xfe", b"{", b"nope", b'{"a":1} x', b"NaN", b"\x00"])
def test_what_is_no_json_is_kept_as_not_understood(sample: Sample, raw: bytes) -> None:
    parsed = _network(sample).parse(raw)
    assert parsed.state == "not-understood"
    assert [part.code for part in parsed.not_understood] == ["not-json"]


@every_network
@pytest.mark.parametrize("raw", [b"[]", b"{}", b"3", b'"text"', b"null", b"true", b'{"data":[],"paging":{}}'])
def test_foreign_json_is_kept_as_not_understood(sample: Sample, raw: bytes) -> None:
    assert _network(sample).parse(raw).state == "not-understood"


@every_network
@pytest.mark.parametrize("depth", [65, 5_000, 200_000])
def test_a_nest_too_deep_is_not_even_decoded(sample: Sample, depth: int) -> None:
    for raw in (b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth, b"[" * depth):
        assert [part.code for part in _network(sample).parse(raw).not_understood] == ["too-deep"]


@every_network
def test_brackets_in_texts_are_no_nest(sample: Sample) -> None:
    part = json.loads(json.dumps(sample.part(1)).replace("Where", '[[[[{{{{\\"\\\\' * 50).replace("Is", "[" * 200))
    assert _network(sample).parse(encode(sample.batch([part]))).state == "normalized"


@every_network
@pytest.mark.parametrize("half", ["\\ud83d", "\\ude00", "\\ude00\\ud83d"])
def test_half_an_emoji_does_not_lose_the_message(sample: Sample, half: str) -> None:
    whole = encode(sample.batch([sample.part(1)]))
    cut = whole.replace(b"\\ud83d\\udce6", half.encode())
    assert cut != whole
    (item,) = _network(sample).parse(cut).items
    assert item.text is not None
    assert "\ufffd" in item.text
    item.text.encode()


@every_network
@fuzz
@given(data=st.data())
def test_no_damage_raises_or_loses_a_part(sample: Sample, data: st.DataObject) -> None:
    body = data.draw(damaged(data.draw(st.sampled_from(sample.seeds))))
    parsed = _network(sample).parse(encode(body))
    assert _parts(parsed) >= 1
    assert all(item.external_id for item in parsed.items)
    assert b"\\u0000" not in msgspec.json.encode([astuple(item) for item in parsed.items])


@every_batch
@fuzz
@given(data=st.data())
def test_a_damaged_part_does_not_take_its_neighbours_with_it(sample: Sample, data: st.DataObject) -> None:
    good = [sample.part(1), sample.part(2)]
    expected = set(_network(sample).parse(encode(sample.batch(good))).items)
    broken = data.draw(damaged(sample.part(3)))
    parsed = _network(sample).parse(encode(sample.batch([good[0], broken, good[1]])))
    assert expected <= set(parsed.items)
    assert _parts(parsed) >= 3


@every_network
@fuzz
@given(raw=st.binary(max_size=200))
def test_no_bytes_raise(sample: Sample, raw: bytes) -> None:
    assert _parts(_network(sample).parse(raw)) >= 1


@every_network
@pytest.mark.parametrize("digits", [400, 4_300, 5_000])
def test_numbers_beyond_all_bounds_do_no_harm(sample: Sample, digits: int) -> None:
    whole = encode(sample.batch([sample.parts_with_number(1)]))
    for number in (b"2002", b"77000001", b"5005", b"9001", b"1763800000"):
        assert _parts(_network(sample).parse(whole.replace(number, b"9" * digits))) == 1


# --- what leaves


@pytest.mark.parametrize(("sample", "reply", "url", "body"), _cases("replies"))
def test_a_reply_is_exactly_this_request(sample: Sample, reply: OutboundReply, url: str, body: bytes) -> None:
    request = _network(sample).reply(sample.account, reply)
    assert (request.method, request.url, request.body) == ("POST", url, body)
    assert request.headers["content-type"] == "application/json"


@every_network
def test_secrets_are_neither_in_representations_nor_in_urls_that_can_do_without(sample: Sample) -> None:
    request = _network(sample).reply(sample.account, sample.replies[0][0])
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
        _network(sample).reply(sample.account, empty)
    with pytest.raises(Rejected):
        _network(sample).reply(Account(channel_id="chn", external_id="1001"), reply)


@every_network
def test_a_text_is_as_long_as_the_network_says_it_takes(sample: Sample) -> None:
    can = _network(sample).capabilities
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
        _network(sample).reply(sample.account, replace(reply, text="x" * limit))
        with pytest.raises(Rejected, match=str(limit)):
            _network(sample).reply(sample.account, replace(reply, text="x" * (limit + 1)))
    if can.private_text_bytes is not None:
        with pytest.raises(Rejected, match=str(can.private_text_bytes)):
            _network(sample).reply(sample.account, direct(text="é" * (can.private_text_bytes // 2 + 1)))


@pytest.mark.parametrize(
    ("sample", "human", "window"),
    [
        pytest.param(sample, human, window, id=f"{sample.network}-{'human' if human else 'bot'}")
        for sample in SAMPLES
        for human, window in (
            (False, _network(sample).capabilities.private_window),
            (True, _network(sample).capabilities.human_window or _network(sample).capabilities.private_window),
        )
        if window is not None
    ],
)
def test_a_direct_message_leaves_until_its_window_closes(sample: Sample, *, human: bool, window: timedelta) -> None:
    _network(sample).reply(sample.account, direct(human=human, message_age=window))
    with pytest.raises(Rejected, match="window closed"):
        _network(sample).reply(sample.account, direct(human=human, message_age=window + timedelta(seconds=1)))


@pytest.mark.parametrize(("sample", "response", "outcome"), _cases("outcomes"))
def test_an_answer_means_exactly_this(sample: Sample, response: HttpResponse, outcome: Outcome) -> None:
    assert _network(sample).interpret(response) == outcome


@every_network
@fuzz
@given(data=st.data(), status=st.integers(100, 599))
def test_no_answer_raises(sample: Sample, data: st.DataObject, status: int) -> None:
    seed = {"id": "1", "data": [{"id": "2", "message": "x", "from": {"id": "3"}}], "error": {"code": 4, "message": "n"}}
    body = data.draw(st.one_of(st.binary(max_size=50), damaged(seed).map(encode)))
    header = data.draw(st.one_of(st.text(max_size=20), damaged({"1": [{"call_count": 1}]}).map(json.dumps)))
    headers = {"Retry-After": header, "X-Business-Use-Case-Usage": header, "Date": header}
    response = HttpResponse(status=status, headers=headers, body=body)
    _network(sample).interpret(response)
    _network(sample).interpret_query(response, outbound())
    _network(sample).interpret_query(response, direct())


@every_network
def test_a_network_that_cannot_be_asked_says_so_in_both_places(sample: Sample) -> None:
    asked = [_network(sample).query(sample.account, reply) for reply, _, _ in sample.replies]
    assert any(request is not None for request in asked) is _network(sample).capabilities.query
    assert all(request.method == "GET" and not request.body for request in asked if request is not None)


# --- what is done to items


def _of_each(table: Any) -> list[Any]:
    return [
        pytest.param(sample, *case, id=f"{sample.network}-{number}")
        for sample in SAMPLES
        for number, case in enumerate(table[sample.network])
    ]


@pytest.mark.parametrize(("sample", "moderation", "method", "url", "body"), _of_each(REQUESTS))
def test_an_operation_is_exactly_this_request(
    sample: Sample, moderation: OutboundModeration, method: str, url: str, body: bytes
) -> None:
    request = _network(sample).moderate(sample.account, moderation)
    assert (request.method, request.url, request.body) == (method, url, body)
    assert ("content-type" in request.headers) is bool(body)


@pytest.mark.parametrize(("sample", "operation", "response", "outcome"), _of_each(ANSWERS))
def test_an_answer_to_an_operation_means_exactly_this(
    sample: Sample, operation: Operation, response: HttpResponse, outcome: Outcome
) -> None:
    assert _network(sample).interpret_moderation(response, asked(operation)) == outcome


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
    network = _network(sample)
    order = replace(REQUESTS[sample.network][0][0], operation=operation, message_kind=kind, own=own)
    if network.capabilities.moderates(operation, kind, own=own):
        assert network.moderate(sample.account, order) == network.moderate(sample.account, order)
    else:
        with pytest.raises(Rejected, match=f"cannot {operation} a {kind}"):
            network.moderate(sample.account, order)


@every_network
def test_every_operation_that_a_network_can_do_is_in_this_suite(sample: Sample) -> None:
    can = _network(sample).capabilities
    able = {one for one in get_args(Operation) for kind in get_args(Kind) if can.moderates(one, kind)}
    own = {"delete"} if can.delete_own else set()
    tried = {order.operation for order, *_ in REQUESTS[sample.network]}
    assert tried == able | own or sample.network == "api"


@every_network
def test_an_operation_shows_no_secret_and_needs_its_credentials(sample: Sample) -> None:
    order = REQUESTS[sample.network][0][0]
    request = _network(sample).moderate(sample.account, order)
    for name, secret in sample.account.credentials.items():
        if name != "reply_url":
            assert (secret in request.url) is (name in sample.in_path)
            assert secret not in repr(request)
    with pytest.raises(Rejected):
        _network(sample).moderate(Account(channel_id="chn", external_id="1001"), order)


@every_network
@pytest.mark.parametrize("name", ["", "../1", "1?x=1", "1/comments", "a b"])
def test_an_id_that_leads_elsewhere_is_part_of_no_url(sample: Sample, name: str) -> None:
    order = REQUESTS[sample.network][0][0]
    usual = _network(sample).moderate(sample.account, order).url
    with contextlib.suppress(Rejected):
        assert _network(sample).moderate(sample.account, replace(order, external_id=name)).url == usual


@every_network
@fuzz
@given(data=st.data(), status=st.integers(100, 599), operation=st.sampled_from(get_args(Operation)))
def test_no_answer_to_an_operation_raises(
    sample: Sample, data: st.DataObject, status: int, operation: Operation
) -> None:
    seed = {"success": True, "data": {"hidden": True}, "ok": True, "result": True, "error": {"code": 4, "message": "n"}}
    body = data.draw(st.one_of(st.binary(max_size=50), damaged(seed).map(encode)))
    _network(sample).interpret_moderation(HttpResponse(status=status, body=body), asked(operation))
