"""No secret that a crawl is given stands in anything that it leaves behind."""

import asyncio
import base64
import logging
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from scraper import Crawler, FetchOptions, OriginOptions, PaceOptions
from tests.fetch.peer import Peer, answer

SECRET = "s3cret"


def page(*headers: str, status: str = "200 OK") -> bytes:
    return answer(b"<title>Page</title><h1>Page</h1><a href=/missing>a</a>", *headers, status=status)


class Site(Peer):
    """Sets cookies, redirects once with a password in the Location, and has a page that is missing."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._count(+1)
        cookie = f"Set-Cookie: session={SECRET}-of-cookie; Path=/"
        moved = f"Location: http://me:{SECRET}-of-location@127.0.0.1:{self.port}/page"
        answers = {b"": page(cookie, moved, status="302 Found"), b"page": page(cookie)}
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head)
                path = head.split(b" ", 2)[1].rpartition(b"/")[2]
                writer.write(answers.get(path, page(status="404 Not Found")))
                await writer.drain()
        writer.close()
        await self._count(-1)


def leaks(folder: Path) -> dict[str, set[bytes]]:
    """The secrets in each file; behind "me:" basic authentication has them on a boundary of its own."""
    pattern = re.compile(SECRET.encode() + b"[a-z-]*|" + base64.b64encode(SECRET.encode()))
    found = {path.name: set(pattern.findall(path.read_bytes())) for path in folder.iterdir()}
    return {name: secrets for name, secrets in found.items() if secrets}


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG):
        yield caplog


OUTPUTS = ("items.jsonl", "items.csv", "items.sqlite")


async def test_a_crawl_leaves_no_secret_behind(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    async with Site() as peer, Site() as proxy:
        options = FetchOptions(
            headers={"X-Key": f"{SECRET}-of-header"},
            cookies=True,
            origins=(
                OriginOptions(
                    origin=peer.url, headers={"Authorization": f"Bearer {SECRET}-of-origin"}, auth=("me", SECRET)
                ),
                OriginOptions(origin="http://proxied.test", proxy=f"http://me:{SECRET}@127.0.0.1:{proxy.port}"),
            ),
        )
        async with Crawler(
            fetch=options, executor="inline", state=tmp_path / "crawl.state", pace=PaceOptions(retries=0)
        ) as crawler:
            await crawler.run(peer.url, "http://proxied.test/page", sinks=[tmp_path / name for name in OUTPUTS])
            shown = [repr(crawler), repr(options), str(crawler.statistics), log.text]
    assert any(f"{SECRET}-of-cookie".encode() in request for request in peer.requests)
    assert any(f"{SECRET}-of-header".encode() in request for request in peer.requests)
    assert any(b"proxy-authorization" in request.lower() for request in proxy.requests)
    assert leaks(tmp_path) == {}
    assert SECRET not in "".join(shown)


async def test_the_password_of_a_seed_is_not_in_the_state(tmp_path: Path) -> None:
    crawler = Crawler(executor="inline", state=tmp_path / "crawl.state", pace=PaceOptions(retries=0))
    async with Site() as peer, crawler:
        seed = f"http://me:{SECRET}@127.0.0.1:{peer.port}"

        async def later() -> AsyncIterator[str]:
            yield f"{seed}/later"
            await crawler.add(f"{seed}/added")

        await crawler.run(f"{seed}/page", later(), sinks=[tmp_path / "items.jsonl"])
    assert {request.split()[1] for request in peer.requests} >= {b"/page", b"/missing", b"/later", b"/added"}
    assert all(b"\r\nAuthorization: Basic " in request for request in peer.requests)
    assert leaks(tmp_path) == {}


async def test_the_command_leaves_no_secret_behind(tmp_path: Path) -> None:
    async with Site() as peer, Site() as proxy:
        files = (
            "--output",
            "o.jsonl",
            "--failures",
            "f.jsonl",
            "--stats",
            "s.json",
            "--report",
            "r.html",
            "--state",
            "c.state",
        )
        run = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "scraper", "crawl", f"http://me:{SECRET}@127.0.0.1:{peer.port}/"),
            *("--header", f"X-Key: {SECRET}-of-header", "--auth", f"{peer.url}=me:{SECRET}", "--cookies"),
            *("--proxy", f"http://me:{SECRET}@127.0.0.1:{proxy.port}", "--retries", "0", *files),
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await run.communicate()
    assert run.returncode == 0, err.decode()
    assert proxy.requests
    assert {path.name for path in tmp_path.iterdir()} == {"o.jsonl", "f.jsonl", "s.json", "r.html", "c.state"}
    assert leaks(tmp_path) == {}
    assert SECRET.encode() not in out + err
    assert "--proxy http://127.0.0.1" in (tmp_path / "r.html").read_text("utf-8")
