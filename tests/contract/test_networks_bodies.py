"""What every network makes of a body: as many items as parts, whatever is missing, unknown or damaged."""

import copy
import json
from dataclasses import astuple
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.networks.port import Parsed, WebhookRequest
from tests.support.damage import damaged, nest
from tests.support.networks import SAMPLES
from tests.support.networks.cases import every_batch, every_network, fuzz, network_of
from tests.support.networks.sample import Sample, encode


def _parts(parsed: Parsed) -> int:
    return len(parsed.items) + len(parsed.ignored) + len(parsed.not_understood)


@every_network
def test_the_delivery_key_is_the_same_for_the_same_delivery_only(sample: Sample) -> None:
    network = network_of(sample)
    first = sample.request(sample.body(1))
    other = sample.request(encode(sample.batch([sample.part(7)])))
    renamed = WebhookRequest(method="POST", headers={**other.headers, "webhook-id": "evt_2"}, body=other.body)
    assert network.delivery_key(first) == network.delivery_key(first)
    assert network.delivery_key(first) != network.delivery_key(renamed)
    assert 0 < len(network.delivery_key(WebhookRequest(method="POST", headers={"webhook-id": "x" * 999}))) <= 255


@every_network
def test_as_many_parts_as_a_body_may_have_become_as_many_items(sample: Sample) -> None:
    parsed = network_of(sample).parse(sample.body(sample.most_parts))
    assert len({item.external_id for item in parsed.items}) == len(parsed.items) == sample.most_parts
    assert parsed.state == "normalized"


@every_batch
@pytest.mark.parametrize("cut", [1, 5, 9])
def test_a_batch_cut_in_two_says_the_same(sample: Sample, cut: int) -> None:
    parts = [sample.part(number) for number in range(10)]
    whole, first, second = (
        network_of(sample).parse(encode(sample.batch(some))).items for some in (parts, parts[:cut], parts[cut:])
    )
    assert whole == first + second


@every_batch
def test_the_same_part_twice_in_one_body_is_one_item(sample: Sample) -> None:
    parsed = network_of(sample).parse(encode(sample.batch([sample.part(1), sample.part(1)])))
    assert len(parsed.items) == 1
    assert [part.code for part in parsed.ignored] == ["duplicate"]


@every_network
def test_ids_as_numbers_are_the_ids_as_text(sample: Sample) -> None:
    parsed = network_of(sample).parse(encode(sample.batch([sample.parts_with_number(1)])))
    (item,) = parsed.items
    assert item.external_id.replace(":", "").isdigit()
    assert item.author is not None
    assert item.author.external_id.isdigit()


@every_network
def test_unknown_fields_change_nothing(sample: Sample) -> None:
    part = sample.part(1)
    plain = network_of(sample).parse(encode(sample.batch([part])))
    strange = network_of(sample).parse(encode({**sample.batch([_with_unknown(part)]), "unknown": nest(30)}))
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
    parsed = network_of(sample).parse(encode(sample.batch([part])))
    assert [item.external_id for item in parsed.items] == [
        item.external_id for item in network_of(sample).parse(encode(sample.batch([sample.part(1)]))).items
    ]


@every_network
@pytest.mark.parametrize("raw", [b"", b"\xff\xfe", b"{", b"nope", b'{"a":1} x', b"NaN", b"\x00"])
def test_what_is_no_json_is_kept_as_not_understood(sample: Sample, raw: bytes) -> None:
    parsed = network_of(sample).parse(raw)
    assert parsed.state == "not-understood"
    assert [part.code for part in parsed.not_understood] == ["not-json"]


@every_network
@pytest.mark.parametrize("raw", [b"[]", b"{}", b"3", b'"text"', b"null", b"true", b'{"data":[],"paging":{}}'])
def test_foreign_json_is_kept_as_not_understood(sample: Sample, raw: bytes) -> None:
    assert network_of(sample).parse(raw).state == "not-understood"


@every_network
@pytest.mark.parametrize("depth", [65, 5_000, 200_000])
def test_a_nest_too_deep_is_not_even_decoded(sample: Sample, depth: int) -> None:
    for raw in (b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth, b"[" * depth):
        assert [part.code for part in network_of(sample).parse(raw).not_understood] == ["too-deep"]


@every_network
def test_brackets_in_texts_are_no_nest(sample: Sample) -> None:
    part = json.loads(json.dumps(sample.part(1)).replace("Where", '[[[[{{{{\\"\\\\' * 50).replace("Is", "[" * 200))
    assert network_of(sample).parse(encode(sample.batch([part]))).state == "normalized"


@every_network
@pytest.mark.parametrize("half", ["\\ud83d", "\\ude00", "\\ude00\\ud83d"])
def test_half_an_emoji_does_not_lose_the_message(sample: Sample, half: str) -> None:
    whole = encode(sample.batch([sample.part(1)]))
    cut = whole.replace(b"\\ud83d\\udce6", half.encode())
    assert cut != whole
    (item,) = network_of(sample).parse(cut).items
    assert item.text is not None
    assert "\ufffd" in item.text
    item.text.encode()


@every_network
@fuzz
@given(data=st.data())
def test_no_damage_raises_or_loses_a_part(sample: Sample, data: st.DataObject) -> None:
    body = data.draw(damaged(data.draw(st.sampled_from(sample.seeds))))
    parsed = network_of(sample).parse(encode(body))
    assert _parts(parsed) >= 1
    assert all(item.external_id for item in parsed.items)
    assert b"\\u0000" not in msgspec.json.encode([astuple(item) for item in parsed.items])


@every_batch
@fuzz
@given(data=st.data())
def test_a_damaged_part_does_not_take_its_neighbours_with_it(sample: Sample, data: st.DataObject) -> None:
    good = [sample.part(1), sample.part(2)]
    expected = set(network_of(sample).parse(encode(sample.batch(good))).items)
    broken = data.draw(damaged(sample.part(3)))
    parsed = network_of(sample).parse(encode(sample.batch([good[0], broken, good[1]])))
    assert expected <= set(parsed.items)
    assert _parts(parsed) >= 3


@every_network
@fuzz
@given(raw=st.binary(max_size=200))
def test_no_bytes_raise(sample: Sample, raw: bytes) -> None:
    assert _parts(network_of(sample).parse(raw)) >= 1


@every_network
@pytest.mark.parametrize("digits", [400, 4_300, 5_000])
def test_numbers_beyond_all_bounds_do_no_harm(sample: Sample, digits: int) -> None:
    whole = encode(sample.batch([sample.parts_with_number(1)]))
    for number in (b"2002", b"77000001", b"5005", b"9001", b"1763800000"):
        assert _parts(network_of(sample).parse(whole.replace(number, b"9" * digits))) == 1
