"""Every exchange with a host in its turn: pages, redirect hops, and what is fetched beside the crawl."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass

from scraper import urls
from scraper.fetch import AioFetcher, Fetcher
from scraper.frontier import Frontier
from scraper.frontier.protocol import Answer
from scraper.model import Failure, Lease, Request, Skip, Stage

# What RFC 9309, 2.3.1.2, asks for with a robots.txt.
_ERRAND_HOPS = 5
# A host answered, and sent the request elsewhere.
_SENT_ELSEWHERE = Skip("redirect")
# A host may have been asked, and nobody waited for its answer.
_CUT_OFF = Failure(Stage.FETCH, "closed", "cut off")


Admit = Callable[[Request, str], Awaitable[Skip | Failure | None]]
"""Whether a request may be led to a URL; may take as long as finding out takes."""


@dataclass(slots=True)
class _Visit:
    """Where one request is on its way.

    Args:
        host: whose slot it holds; None while it is between two hosts.
        lease: whose own slot that is; None if it was taken by a turn.
        is_errand: it is no request of the crawl.
        hops: redirects so far.
        is_replayed: its host is not asked, because a cache has the answer.
    """

    host: str | None
    lease: Lease | None
    is_errand: bool
    hops: int = 0
    is_replayed: bool = False


_visit: ContextVar[_Visit] = ContextVar("visit")


class Visits:
    """Takes leases and errands from host to host, each exchange in its host's turn. It is the gate of the fetcher.

    Args:
        frontier: gives the turns.
        fetcher: makes the attempts.
        admit: asked for every redirect of a lease.
        changed: called when more of a host's queue may have become free to lease, except at the end of `fetch`.
    """

    def __init__(self, frontier: Frontier, fetcher: Fetcher, admit: Admit, changed: Callable[[], None]) -> None:
        self._frontier = frontier
        self._fetcher = fetcher
        self._admit = admit
        self._changed = changed
        self._now_s = asyncio.get_running_loop().time

    async def fetch(self, lease: Lease) -> Answer:
        """Makes one attempt at a lease, and gives back every slot on its way, the lease's own first."""
        visit = _Visit(urls.host_port(lease.request.url), lease, is_errand=False)
        _visit.set(visit)
        answer = await self._fetcher.fetch(lease.request)
        self._leave(visit, answer)
        return answer

    async def run_errand(self, request: Request, max_body_bytes: int) -> Answer:
        """Fetches something that is no request of the crawl. Neither its scope nor its rules are asked."""
        visit = _Visit(None, None, is_errand=True)
        outer = _visit.set(visit)
        try:
            await self._enter(visit, request.url)
            if isinstance(self._fetcher, AioFetcher):
                answer = await self._fetcher.fetch(request, max_body_bytes=max_body_bytes)
            else:
                answer = await self._fetcher.fetch(request)
            self._leave(visit, answer)
            return answer
        finally:
            self._leave(visit, _CUT_OFF)
            self._changed()
            _visit.reset(outer)

    async def hop(self, request: Request, url: str) -> Skip | Failure | None:
        visit = _visit.get()
        visit.hops += 1
        if visit.is_errand:
            if visit.hops > _ERRAND_HOPS:
                return Skip("too_many_redirects", f"more than {_ERRAND_HOPS} redirects")
        elif (refusal := await self._admit(request, url)) is not None:
            return refusal
        await self._enter(visit, url)
        return None

    async def again(self, url: str) -> None:
        await self._enter(_visit.get(), url)

    def left(self, url: str) -> None:  # noqa: ARG002  it is where the visit is
        self._leave(_visit.get(), _SENT_ELSEWHERE)
        self._changed()

    def replayed(self, url: str) -> None:  # noqa: ARG002  it is where the visit is
        _visit.get().is_replayed = True

    async def _enter(self, visit: _Visit, url: str) -> None:
        host = urls.host_port(url)
        try:
            await self._frontier.turn(host)
        finally:
            self._changed()  # turns hold up the queue
        visit.host = host

    def _leave(self, visit: _Visit, answer: Answer | None) -> None:
        host, visit.host = visit.host, None
        if host is None:
            return
        if visit.is_replayed:
            visit.is_replayed, answer = False, None
        if visit.lease is None:
            self._frontier.left(host, answer, self._now_s())
        else:
            lease, visit.lease = visit.lease, None
            self._frontier.fetched(lease, answer, self._now_s())
