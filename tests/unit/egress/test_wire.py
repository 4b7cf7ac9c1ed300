"""What goes out is what was checked: one request, to the target that the URL names, and nothing besides."""

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.provisional import urls

from shared.egress import AddressPolicy, EgressRefused
from shared.egress.wire import checked_headers, destination, written

LOCAL = AddressPolicy(allow_private=True)


class _Read:
    """Requests as a server reads them."""

    def __init__(self, wire: bytes) -> None:
        self.targets: list[bytes] = []
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(wire)

    def on_url(self, url: bytes) -> None:
        self.targets.append(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self.body += body


def _written(method: str, url: str, headers: dict[str, str], body: bytes) -> bytes:
    return written(method, destination(url, LOCAL), checked_headers(method, headers), body)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.com", "/"),
        ("https://example.com?a=1", "/?a=1"),
        ("https://example.com/?", "/?"),
        ("https://example.com/a%2Fb/%7Euser?sig=a%2Bb%3D&sp=%2Ftriggers", "/a%2Fb/%7Euser?sig=a%2Bb%3D&sp=%2Ftriggers"),
        ("https://example.com/a/../b/./c//d", "/a/../b/./c//d"),
        ("https://example.com/%7e%2e%2E/?q=a+b&x=%20'()*", "/%7e%2e%2E/?q=a+b&x=%20'()*"),
        ("https://example.com/a?b=/?c#part?x", "/a?b=/?c"),
        ("https://[::1]:9000/a:b@c", "/a:b@c"),
        ("HTTPS://EXAMPLE.com/A", "/A"),
        ("https://example.com/ü?ß=%2f", "/%C3%BC?%C3%9F=%2f"),
        ('https://example.com/a"b', "/a%22b"),
    ],
)
def test_what_is_quoted_goes_out_as_it_is_and_the_rest_is_quoted(url: str, target: str) -> None:
    assert _written("GET", url, {}, b"").startswith(f"GET {target} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Example.com:443/", "example.com"),
        ("http://example.com:80/", "example.com"),
        ("https://example.com:80/", "example.com:80"),
        ("http://[::1]:9000/", "[::1]:9000"),
    ],
)
def test_the_host_is_named_as_the_url_names_it(url: str, host: str) -> None:
    assert f"\r\nhost: {host}\r\n" in _written("GET", url, {}, b"").decode()


@given(
    url=urls() | st.text().map("https://example.com/{}".format),
    headers=st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3),
    body=st.binary(max_size=20),
)
def test_whatever_passes_is_read_as_one_request(url: str, headers: dict[str, str], body: bytes) -> None:
    try:
        wire = _written("POST", url, headers, body)
    except EgressRefused:
        return
    read = _Read(wire)

    assert len(read.targets) == 1
    assert read.body == body
    assert dict(read.headers) == {
        b"host": destination(url, LOCAL).head.rpartition("host: ")[2].strip().encode(),
        b"content-length": str(len(body)).encode(),
    } | {name.encode(): value.encode() for name, value in checked_headers("POST", headers).items()}


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [("GET", b"", None), ("DELETE", b"", None), ("POST", b"", b"0"), ("PUT", b"", b"0"), ("DELETE", b"{}", b"2")],
)
def test_a_length_is_told_where_there_is_or_could_be_a_body(method: str, body: bytes, length: bytes | None) -> None:
    assert dict(_Read(_written(method, "https://example.com/", {}, body)).headers).get(b"content-length") == length
