"""Fetching beside a crawl, as a guest of the same sites."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from scraper.errors import NotRunning
from scraper.frontier.protocol import Answer
from scraper.model import Failure, Request, Response

_ROBOTS = "/robots.txt"
# What the protocol allows a sitemap to have, unpacked. One is fetched at a time.
_MAX_BYTES = 50 * 1024 * 1024


class Errands(Protocol):
    """A crawl that runs errands."""

    async def run_errand(self, request: Request, max_body_bytes: int) -> Answer:
        """Fetches something in its host's turn."""

    async def robots_text(self, url: str) -> bytes | Failure | None:
        """The robots.txt of a URL's site, or why nothing of it may be fetched; None if the crawl asks for none."""


class Beside:
    """A fetcher for what is no request of the crawl, such as sitemaps: at the pace of its hosts, and without asking
    again for a robots.txt that the crawl has.

    Args:
        crawl: that runs; None while none does.
    """

    def __init__(self, crawl: Callable[[], Errands | None]) -> None:
        self._crawl = crawl

    async def fetch(self, request: Request) -> Answer:
        """One attempt, as `scraper.fetch.Fetcher` says.

        Raises:
            NotRunning: no crawl is running.
        """
        crawl = self._crawl()
        if crawl is None:
            raise NotRunning("no crawl is running to fetch something beside")
        if request.url.endswith(_ROBOTS) and request.url.count("/") == 3:
            text = await crawl.robots_text(request.url)
            if isinstance(text, Failure):
                return text
            if text is not None:
                return Response(request.url, 200, (), text, len(text), 0.0)
        return await crawl.run_errand(request, _MAX_BYTES)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass
