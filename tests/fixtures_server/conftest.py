"""A site to ask, and two ways of asking: with the standard library's client, and byte by byte."""

import http.client
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from fixtures_server import FixtureServer, SiteOptions

_PATIENCE_S = 20.0  # for an answer that does come; a test that waits longer has failed


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


@pytest.fixture(scope="session")
def site() -> Iterator[FixtureServer]:
    """A small site; tests that read its log reset it first."""
    with FixtureServer(SiteOptions(pages=40, page_bytes=4000, links_per_page=8)) as server:
        yield server


@pytest.fixture
def ask() -> Callable[..., Answer]:
    """Ask for a URL on a connection of its own. An answer that is not HTTP raises what http.client raises."""

    def ask(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=_PATIENCE_S)
        try:
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            connection.request(method, target, body, {name.replace("_", "-"): text for name, text in headers.items()})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    return ask


@pytest.fixture
def send() -> Callable[[str, bytes], bytes]:
    """Send bytes to where a URL points, and take all that comes until the server closes."""

    def send(url: str, data: bytes) -> bytes:
        parts = urlsplit(url)
        with socket.create_connection((parts.hostname, parts.port), timeout=_PATIENCE_S) as connection:
            connection.sendall(data)
            return b"".join(iter(lambda: connection.recv(1 << 16), b""))

    return send
