"""One table of ways to reach what must not be reached, run against both transports and against each one's inside."""

import asyncio
import itertools
import ssl
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

import pytest

from shared.egress import AddressPolicy, Egress, EgressRefused, NotSent
from shared.egress.connection import Connection
from shared.egress.dialling import Dialler
from shared.egress.over_httpx import VettedBackend
from shared.egress.policy import Address, Target
from shared.egress.resolving import Gate
from tests.integration.egress.conftest import Call
from tests.support.peers import serving

PUBLIC = AddressPolicy()
NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Loading the real ones takes longer than a test."""

FORBIDDEN_ADDRESSES = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "224.0.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001:0:7f00:1::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "100::1",
]

FORBIDDEN_URLS = [
    *(f"https://{address}/" for address in FORBIDDEN_ADDRESSES if ":" not in address),
    *(f"https://[{address}]/" for address in FORBIDDEN_ADDRESSES if ":" in address),
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0x0.0x0.0x1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://127.1/",
    "https://127.0.1/",
    "https://127.0.0.01/",
    "https://0/",
    "https://127.0.0.1./",
    "https://example.com./",
    "https://example.com../",
    "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[::1%25lo]/",
    "https://[v1.fe80::a]/",
    "https://[127.0.0.1]/",
    "https://１２７.０.０.１/",
    "https://①②⑦.⓪.⓪.①/",
    "https://exa%6dple.com/",
    "https://127.0.0.1%00.example.com/",
    "https://user@example.com/",
    "https://user:password@example.com/",
    "https://example.com@127.0.0.1/",
    "https://example.com:80@127.0.0.1/",
    "https://@example.com/",
    "https://127.0.0.1\\@example.com/",
    "https://example.com\\.internal/",
    "https://127.0.0.1#@example.com/",
    "https://127.0.0.1?@example.com/",
    "https://example.com\t.evil/",
    "https://example.com\r\nHost: evil/",
    " https://example.com/",
    "https://example.com:22/",
    "https://example.com:8443/",
    "https://example.com:0/",
    "https://example.com:99999/",
    "https://example.com:443x/",
    "https://example.com:-1/",
    "http://example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "data:text/plain,hello",
    "javascript:alert(1)",
    "//example.com/",
    "example.com",
    "https:///path",
    "https://",
    "https:example.com",
    "https://-example.com/",
    "https://exa mple.com/",
    "https://" + "a" * 64 + ".com/",
    "https://" + "a." * 130 + "com/",
    "https://example.com/" + "a" * 5000,
    "",
]


async def _must_not_be_asked(name: str) -> Sequence[str]:
    pytest.fail(f"the resolver was asked for {name}")


@pytest.mark.parametrize("url", FORBIDDEN_URLS, ids=range(len(FORBIDDEN_URLS)))
async def test_a_forbidden_url_is_refused_before_anything_is_asked(call: Call, url: str) -> None:
    async with Egress(PUBLIC, resolve=_must_not_be_asked, tls=NO_AUTHORITIES) as egress:
        with pytest.raises(EgressRefused):
            await call(egress, url)
        with pytest.raises(EgressRefused):
            egress.check_url(url)


@pytest.mark.parametrize("address", FORBIDDEN_ADDRESSES)
async def test_a_name_that_leads_to_a_forbidden_address_is_refused(call: Call, address: str) -> None:
    async def resolve(_name: str) -> Sequence[str]:
        return [address]

    async with Egress(PUBLIC, resolve=resolve, tls=NO_AUTHORITIES) as egress:
        with pytest.raises(EgressRefused) as caught:
            await call(egress, "https://hooks.example.com/")

    assert address not in str(caught.value)


@pytest.mark.parametrize("address", FORBIDDEN_ADDRESSES)
async def test_one_forbidden_address_among_good_ones_is_enough(call: Call, address: str) -> None:
    async def resolve(_name: str) -> Sequence[str]:
        return ["93.184.215.14", "2606:2800:21f::1", address]

    async with Egress(PUBLIC, resolve=resolve, tls=NO_AUTHORITIES) as egress:
        with pytest.raises(EgressRefused):
            await call(egress, "https://hooks.example.com/")


@pytest.mark.parametrize("address", [*FORBIDDEN_ADDRESSES, "fe80::1%eth0", "2606::1%1", "not-an-address", "1.2.3"])
async def test_each_transport_refuses_by_itself(address: str) -> None:
    gate, loop = Gate(PUBLIC, _unresolvable), asyncio.get_running_loop()
    with pytest.raises((EgressRefused, NotSent)):
        await Dialler(gate, NO_AUTHORITIES, loop).dial(Target("https", address, 443), _no_connection, deadline=0)
    with pytest.raises((EgressRefused, NotSent)):
        await VettedBackend(gate).connect_tcp(address, 443)


def _no_connection() -> Connection:
    pytest.fail("a connection was opened")


async def _unresolvable(_name: str) -> Sequence[str]:
    return []


async def test_no_unix_socket_is_opened() -> None:
    with pytest.raises(NotImplementedError):
        await VettedBackend(Gate(PUBLIC, _unresolvable)).connect_unix_socket("/run/docker.sock")


async def test_the_systems_own_resolver_is_asked_and_not_believed(call: Call) -> None:
    async with Egress(PUBLIC) as egress:
        with pytest.raises(EgressRefused):
            await call(egress, "https://localhost/")


class _LoopbackStandsForPublic(AddressPolicy):
    """So that a vetted connection can be made in a test: 127.0.0.1 is public, all else in 127/8 is not."""

    def permits(self, address: Address) -> bool:
        return str(address) == "127.0.0.1"


async def test_a_name_is_resolved_once_and_what_was_vetted_is_dialled(call: Call) -> None:
    answers = itertools.chain([["127.0.0.1"]], itertools.repeat(["127.0.0.2"]))
    asked = []

    async def rebinding(name: str) -> Sequence[str]:
        asked.append(name)
        return next(answers)

    policy = _LoopbackStandsForPublic(allow_private=True)
    async with serving() as server, Egress(policy, resolve=rebinding) as egress:
        response = await call(egress, f"http://rebinding.example.com:{server.port}/")

    assert response.status == 200
    assert asked == ["rebinding.example.com"]
    assert server.connections == 1


async def test_a_name_that_moves_inwards_is_refused_at_the_next_connection(call: Call) -> None:
    answers = itertools.chain([["127.0.0.1"]], itertools.repeat(["127.0.0.2"]))

    async def rebinding(_name: str) -> Sequence[str]:
        return next(answers)

    policy = _LoopbackStandsForPublic(allow_private=True)
    async with serving() as server:
        url = f"http://rebinding.example.com:{server.port}/"
        async with Egress(policy, resolve=rebinding) as egress:
            assert (await call(egress, url)).status == 200
        async with Egress(policy, resolve=rebinding) as egress:
            with pytest.raises(EgressRefused):
                await call(egress, url)

    assert server.connections == 1


async def test_addresses_in_urls_are_vetted_where_the_socket_is_opened(call: Call) -> None:
    """Nobody asks a resolver about them, so the resolver cannot be what protects us."""

    class _NothingIsPublic(AddressPolicy):
        def vet(self, addresses: object) -> list[str]:
            raise EgressRefused(str(addresses))

    async with serving() as server, Egress(_NothingIsPublic(allow_private=True)) as egress:
        with pytest.raises(EgressRefused):
            await call(egress, f"http://127.0.0.1:{server.port}/")

    assert server.connections == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "internal"},
        {"Content-Length": "5"},
        {"Transfer-Encoding": "chunked"},
        {"Connection": "upgrade"},
        {"X-A": "b\r\nX-Injected: c"},
        {"X-A": "b\nX-Injected: c"},
        {"X-A\r\nX-Injected": "c"},
        {"X-A\nX-B": "c"},
        {"X@A": "c"},
        {"X A": "c"},
        {"": "c"},
        {"X-A": "b\x00"},
        {"X-A": "ümlaut"},
    ],
)
async def test_headers_that_would_change_the_request_are_refused(call: Call, headers: dict[str, str]) -> None:
    async with serving() as server, Egress(AddressPolicy(allow_private=True), tls=NO_AUTHORITIES) as egress:
        with pytest.raises(EgressRefused):
            await call(egress, f"http://127.0.0.1:{server.port}/", headers=headers)

    assert server.connections == 0


@pytest.mark.parametrize("method", ["", "post", "GET /admin", "A\r\nB", "GETÜ"])
async def test_methods_that_are_none_are_refused(call: Call, method: str) -> None:
    async with Egress(AddressPolicy(allow_private=True), tls=NO_AUTHORITIES) as egress:
        with pytest.raises(EgressRefused):
            await call(egress, "http://127.0.0.1/", method=method)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/",
        "https://example.com:443/hook?x=1#part",
        "https://example.com:80/",
        "https://sub_domain.xn--bcher-kva.example/",
        "https://EXAMPLE.com/",
        "https://93.184.215.14/",
        "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/",
        "https://[::ffff:93.184.215.14]/",
        "https://[64:ff9b::93.184.215.14]/",
        "https://1.example/",
        "https://example.com/a%20b/ü",
    ],
)
def test_public_urls_pass(url: str) -> None:
    asyncio.run(_check(url))


async def _check(url: str) -> None:
    async with Egress(PUBLIC, tls=NO_AUTHORITIES) as egress:
        egress.check_url(url)


def test_ports_can_be_allowed() -> None:
    assert AddressPolicy(ports=frozenset({8443})).permits(IPv4Address("93.184.215.14"))


@pytest.mark.parametrize("address", ["0.0.0.0", "169.254.169.254", "224.0.0.1", "240.0.0.1"])
def test_private_egress_still_excludes_what_is_nobodys_server(address: str) -> None:
    policy = AddressPolicy(allow_private=True)

    assert not policy.permits(IPv4Address(address))
    assert not policy.permits(IPv6Address(f"::ffff:{address}"))
    assert policy.permits(IPv4Address("127.0.0.1"))
    assert policy.permits(IPv6Address("::1"))
    assert policy.permits(IPv6Address("fd00::1"))
