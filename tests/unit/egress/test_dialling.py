"""New connections: one address after another, each with its share of the time."""

import asyncio
import ssl
from typing import Any

import pytest

from shared.egress import AddressPolicy, EgressRefused
from shared.egress.connection import Connection
from shared.egress.dialling import Dialler
from shared.egress.policy import Target
from shared.egress.resolving import Gate

TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
FIRST, SECOND = "93.184.215.14", "2606:2800:21f::1"
HOST = "hooks.example.com"


class _Network:
    """The loop as the dialler sees it: addresses that answer, and others that refuse or say nothing at all."""

    def __init__(self, *, silent: str = "", refusing: str = "") -> None:
        self.dialled: list[tuple[str, Any, Any]] = []
        self._silent = silent
        self._refusing = refusing

    def time(self) -> float:
        return asyncio.get_running_loop().time()

    async def create_connection(self, make: Any, host: str, port: int, *, ssl: Any, server_hostname: Any) -> None:
        self.dialled.append((host, ssl, server_hostname))
        if host == self._silent:
            await asyncio.Event().wait()
        if host == self._refusing:
            raise ConnectionRefusedError(host)
        make()


def _connection() -> Connection:
    return Connection(asyncio.get_running_loop(), opened=id, lost=id)


async def _two(_name: str) -> list[str]:
    return [FIRST, SECOND]


async def _dial(dialler: Dialler, *, scheme: str = "https", seconds: float = 20.0) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    await dialler.dial(Target(scheme, HOST, 443), _connection, deadline=deadline)


def _dialler(network: Any, resolve: Any = _two) -> Dialler:
    return Dialler(Gate(AddressPolicy(), resolve), TLS, network)


async def test_a_silent_address_takes_its_share_of_the_time_and_is_tried_last_from_then_on() -> None:
    network = _Network(silent=FIRST)
    dialler = _dialler(network)
    await _dial(dialler, seconds=0.02)
    await _dial(dialler, seconds=0.02)

    assert [host for host, *_ in network.dialled] == [FIRST, SECOND, SECOND]


async def test_an_address_that_refuses_is_passed_over_and_the_last_error_is_told() -> None:
    network = _Network(refusing=SECOND)
    await _dial(_dialler(network))
    assert [host for host, *_ in network.dialled] == [FIRST]

    async def one(_name: str) -> list[str]:
        return [SECOND]

    with pytest.raises(ConnectionRefusedError):
        await _dial(_dialler(network, one))


@pytest.mark.parametrize(("scheme", "tls", "name"), [("https", TLS, HOST), ("http", None, None)])
async def test_the_address_is_dialled_and_the_name_is_what_the_certificate_must_be_of(
    scheme: str, tls: Any, name: Any
) -> None:
    network = _Network()
    await _dial(_dialler(network), scheme=scheme)

    assert network.dialled == [(FIRST, tls, name)]


async def test_a_name_with_an_address_that_may_not_be_called_is_not_remembered() -> None:
    answers = iter([[FIRST, "10.0.0.1"], [FIRST]])

    async def changing(_name: str) -> list[str]:
        return next(answers)

    network = _Network()
    dialler = _dialler(network, changing)
    with pytest.raises(EgressRefused):
        await _dial(dialler)
    await _dial(dialler)

    assert [host for host, *_ in network.dialled] == [FIRST]
