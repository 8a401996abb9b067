"""The server in the test's own event loop, where its parts can be replaced."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fixtures_server import SiteOptions, SyntheticSite
from fixtures_server import server as server_module
from fixtures_server.access_log import AccessLog
from fixtures_server.content import Resource
from fixtures_server.exchange import Counts, Exchange, Handler
from fixtures_server.request import Request
from fixtures_server.server import Server

OPTIONS = SiteOptions(pages=10, page_bytes=4000, links_per_page=5)


@asynccontextmanager
async def _running(server: Server) -> AsyncIterator[int]:
    port = await server.start("127.0.0.1", 0)
    try:
        yield port
    finally:
        await server.stop()


async def _get(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
        return (await reader.read()).partition(b"\r\n\r\n")[2]
    finally:
        writer.close()
        await writer.wait_closed()


class _Counting(SyntheticSite):
    """Counts how often pages are rendered."""

    rendered = 0

    def resource(self, path: str) -> Resource | None:
        self.rendered += 1
        return super().resource(path)


@pytest.mark.parametrize(("kept_bytes", "rendered"), [(10**9, 10), (0, 30), (5 * 4100, 5 + 3 * 5)])
async def test_pages_are_rendered_once_as_long_as_they_fit_into_memory(
    monkeypatch: pytest.MonkeyPatch, kept_bytes: int, rendered: int
) -> None:
    monkeypatch.setattr(server_module, "_KEPT_REPLY_BYTES", kept_bytes)
    site = _Counting(OPTIONS)
    server = Server(site, OPTIONS, AccessLog())
    for _ in range(3):
        for page in range(10):
            ready = server.ready_reply(site.path_of(page).encode(), gzip=False)
            assert ready is not None
            assert ready.data.endswith(site.render(page))
    assert site.rendered == rendered


class _Broken(Server):
    def handler(self, request: Request) -> Handler:
        async def broken(exchange: Exchange) -> None:
            await exchange.send(b"HTTP/1.1 200 OK\r\n")
            raise ZeroDivisionError

        return broken if request.path == "/broken" else super().handler(request)


async def test_a_mistake_in_a_handler_is_reported_and_ends_its_connection_alone() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    async with _running(_Broken(SyntheticSite(OPTIONS), OPTIONS, AccessLog())) as port:
        assert await _get(port, "/broken") == b""
        assert await _get(port, "/page/1") == SyntheticSite(OPTIONS).render(1)
    assert [type(context["exception"]) for context in reported] == [ZeroDivisionError]
    assert reported[0]["message"] == "/broken failed"


async def test_stopping_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    async with _running(Server(SyntheticSite(OPTIONS), OPTIONS, AccessLog())) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /faults/silence-after-headers HTTP/1.1\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n")
    await reader.read()
    writer.close()
    await writer.wait_closed()
    assert asyncio.all_tasks() == before


def test_counts_forget_the_oldest_key_when_they_are_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counts, "_KEPT_KEYS", 2)
    counts = Counts()
    assert [counts.next(key) for key in "abcca"] == [1, 1, 1, 2, 1]
