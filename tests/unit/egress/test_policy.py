"""The policy holds for addresses and URLs that nobody thought of."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.provisional import urls

from shared.egress import AddressPolicy, EgressRefused, check_url
from shared.egress.wire import as_httpx_reads, destination

PUBLIC, LOCAL = AddressPolicy(), AddressPolicy(allow_private=True)
V4 = st.ip_addresses(v=4) | st.ip_addresses(v=4, network="10.0.0.0/8") | st.ip_addresses(v=4, network="127.0.0.0/8")


def _carrying(prefix: str, address: IPv4Address, shift: int = 0) -> IPv6Address:
    return IPv6Address(int(IPv6Address(prefix)) | int(address) << shift)


@given(address=V4)
def test_an_address_inside_another_is_judged_like_itself(address: IPv4Address) -> None:
    for policy in (PUBLIC, LOCAL):
        permitted = policy.permits(address)
        assert policy.permits(_carrying("::ffff:0:0", address)) == permitted
        assert policy.permits(_carrying("64:ff9b::", address)) == permitted
        assert permitted or not policy.permits(_carrying("2002::", address, 80))


@given(address=st.ip_addresses())
def test_what_is_public_is_global_unicast_and_local_use_only_adds(address: IPv4Address | IPv6Address) -> None:
    if PUBLIC.permits(address):
        assert address.is_global
        assert not address.is_multicast
        assert LOCAL.permits(address)


@given(address=st.ip_addresses(v=6, network="2001::/32") | st.ip_addresses(v=6, network="::/96"))
def test_teredo_and_old_compatible_addresses_are_never_public(address: IPv6Address) -> None:
    assert not PUBLIC.permits(address)


_PIECES = st.sampled_from(
    [
        "https://",
        "http://",
        "//",
        "/",
        "@",
        ":",
        "#",
        "?",
        "\\",
        "[",
        "]",
        "%",
        ".",
        "127.0.0.1",
        "::1",
        "443",
        "80",
        "example.com",
        "０",
        "ß",
        "xn--",
        "\t",
        "。",
        "user",
        "0x7f",
        "-",
        "%2e",
        '"',
    ]
)


@given(url=urls() | st.lists(_PIECES, max_size=12).map("".join) | st.text().map("https://{}".format))
@example(url="https://example.com/\ud800")
@example(url="https://example.com/%zz")
@example(url="https://example.com?x")
def test_whatever_passes_is_read_alike_by_everybody(url: str) -> None:
    try:
        target = check_url(url, LOCAL)
        by_httpx, by_us = as_httpx_reads(url, target), destination(url, LOCAL)
    except EgressRefused:
        return

    assert by_httpx.host.lower() == target.host
    assert not by_httpx.userinfo
    assert by_us.target == target


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port"),
    [
        ("https://Example.com/x", "https", "example.com", 443),
        ("https://example.com:80", "https", "example.com", 80),
        ("http://[::1]:9000/", "http", "::1", 9000),
    ],
)
def test_a_url_names_its_target(url: str, scheme: str, host: str, port: int) -> None:
    target = check_url(url, LOCAL)

    assert (target.scheme, target.host, target.port) == (scheme, host, port)


def test_duplicates_are_dialled_once_and_order_is_kept() -> None:
    assert LOCAL.vet(["127.0.0.2", "127.0.0.1", "127.0.0.2"]) == ["127.0.0.2", "127.0.0.1"]
