"""HTTPS: a certificate that does not hold is a failure, and closing leaves nothing behind."""

import asyncio
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scraper.model import Failure
from tests.fetch.attempt import attempt

ROOT = Path(__file__).parents[2]
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 7\r\n\r\n<p>page"

# In a process of its own: which certificates are trusted is read once, when aiohttp is imported. Two fetchers, because
# what is not closed shows as a warning only when its event loop ends; the server never answers a TLS shutdown.
CLIENT = """
import asyncio, gc, sys
from scraper.fetch import AioFetcher, OpenGate
from scraper.model import Request
from scraper.options import FetchOptions

async def main(url):
    for _ in range(2):
        async with AioFetcher(FetchOptions(), OpenGate(), 4) as fetcher:
            for _ in range(2):
                got = await asyncio.gather(*(fetcher.fetch(Request(url)) for _ in range(3)))
                print(*{(type(one).__name__, getattr(one, "body", None)) for one in got})

asyncio.run(main(sys.argv[1]))
gc.collect()
"""

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost that only who is told so trusts, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    chain, key = folder / "chain.pem", folder / "key.pem"
    new = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    extension = ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*new.split(), *extension, "-out", chain, "-keyout", key], check=True, capture_output=True)
    return chain, key


@pytest.fixture
async def url(certificate: tuple[Path, Path]) -> AsyncIterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(PAGE)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield f"https://localhost:{server.sockets[0].getsockname()[1]}/"
    server.close()


async def test_a_certificate_that_nobody_vouches_for_is_a_failure(url: str) -> None:
    got = await attempt(url)
    assert isinstance(got, Failure)
    assert (got.reason, got.retryable) == ("tls", False)


async def test_a_certificate_for_another_name_is_a_failure(url: str) -> None:
    got = await attempt(url.replace("localhost", "127.0.0.1"))
    assert isinstance(got, Failure)
    assert got.reason == "tls"


async def test_a_server_without_tls_is_a_failure() -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(PAGE)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        got = await attempt(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert isinstance(got, Failure)
    assert got.reason == "tls"


async def test_https_works_and_closing_leaves_nothing_behind(url: str, certificate: tuple[Path, Path]) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", CLIENT, url),
        env={**os.environ, "SSL_CERT_FILE": str(certificate[0]), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert output.decode().splitlines() == ["('Response', b'<p>page')"] * 4, errors.decode()
    assert errors == b""
