"""What the crawl asks of a fetcher, and what a fetcher asks of the crawl."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from scraper.model import Failure, Request, Response, Skip

IsNamed = Callable[[str], bool]
"""Whether the user named a host and port, written as `scraper.urls.host_port` does: its address may be private."""


class Gate(Protocol):
    """Lets the exchanges of an attempt pass one after another, after the first, which the lease itself permits.

    For redirects from A over B to C the calls are

        fetch(A): left(A), hop(B), left(B), hop(C)

    and where a kept connection to A was closed as A was asked for, so that A is asked for once more, left(A), again(A).
    So at most one exchange of an attempt is under way at a time: A's from the call of `fetch` on, another's from
    when `hop` let it pass or `again` returned. `left` ends it, and is always followed by `hop` or `again` at once;
    the last one ends when `fetch` returns or raises. Where `hop` refuses, or either is cancelled, none is under way.

    URLs are canonical, without credentials. Time spent here does not count towards the attempt's deadline; the fetcher
    may be used meanwhile, also in the same task.
    """

    async def hop(self, request: Request, url: str) -> Skip | Failure | None:
        """Whether a redirect may be followed; returns when its host's turn has come.

        Args:
            request: the attempt's.
            url: where it leads.

        Returns:
            None lets it pass. A Skip or a Failure ends the attempt with it.
        """

    async def again(self, url: str) -> None:
        """Waits for the turn of the URL's host: it is asked for a second time, without being an attempt of its own."""

    def left(self, url: str) -> None:
        """The exchange with this URL is over, and the attempt is not."""

    def replayed(self, url: str) -> None:
        """The exchange with this URL, which is not over yet, took nothing of its host: a cache had the answer."""


class OpenGate:
    """Lets everything pass at once."""

    async def hop(self, request: Request, url: str) -> Skip | Failure | None:  # noqa: ARG002
        return None

    async def again(self, url: str) -> None:
        pass

    def left(self, url: str) -> None:
        pass

    def replayed(self, url: str) -> None:
        pass


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
