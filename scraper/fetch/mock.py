"""A fetcher for tests that need no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from scraper import urls
from scraper.model import Failure, Request, Response, Skip, Stage

Answer = bytes | Response | Failure | Skip


class MockFetcher:
    """Answers from memory, so that a handler can be tested by a whole crawl without a site.

        pages = {"https://example.org/": b"<title>Home</title><a href=/next>", "https://example.org/next": b"..."}
        crawler = Crawler(parse, fetch=MockFetcher(pages))

    Args:
        pages: what each URL answers: bytes are an HTML page with status 200, anything else is given as it is. A
            function is called with the request each time, and so can fail first and succeed later. What is not
            listed answers 404.

    Attributes:
        requests: what was asked for, in order.

    Raises:
        InvalidURL: a key is no http or https URL.
    """

    def __init__(self, pages: Mapping[str, Answer | Callable[[Request], Answer]]) -> None:
        self._pages = {urls.canonical(url): page for url, page in pages.items()}
        self.requests: list[Request] = []

    def __repr__(self) -> str:
        return f"<MockFetcher {len(self._pages)} pages, {len(self.requests)} requests>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def fetch(self, request: Request) -> Response | Failure | Skip:
        self.requests.append(request)
        url = urls.canonical(request.url)
        page = self._pages.get(url)
        if callable(page):
            page = page(request)
        if page is None:
            return Failure(Stage.FETCH, "http_404", "Not Found", latency_s=0.0)
        if isinstance(page, bytes):
            headers = (("Content-Type", "text/html"),)
            return Response(urls.without_credentials(url), 200, headers, page, len(page), 0.0)
        return page
