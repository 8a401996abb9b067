"""What the crawl asks of a fetcher."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from scraper.model import Failure, Request, Response, Skip

Gate = Callable[[Request, str], Skip | None]
"""Asked for the URL of every redirect hop, without credentials: None lets it pass, a Skip ends the request."""

IsNamed = Callable[[str], bool]
"""Whether the user named a host and port, written as `scraper.urls.host_port` does: its address may be private."""


class Fetcher(Protocol):
    """Makes one attempt at getting bytes. Pace, attempts and robots.txt are the frontier's."""

    async def fetch(self, request: Request) -> Response | Failure | Skip:
        """One attempt, redirects included. What goes wrong on the network comes back as a Failure."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
