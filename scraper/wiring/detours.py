"""Redirects to hosts that many wait for: their requests wait in the frontier, and hold up nobody."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from scraper.frontier import Frontier
from scraper.model import Failure, Stage

# Requests that were put off, 300 bytes each. One that is forgotten asks for its redirect once more.
_REMEMBERED = 50_000


class Detours:
    """Knows of requests that were led to a busy host, so that they are asked for again only when it has room.

    Args:
        frontier: knows what each host has to do.
    """

    def __init__(self, frontier: Frontier) -> None:
        self._frontier = frontier
        self._now_s = asyncio.get_running_loop().time
        self._targets: OrderedDict[str, str] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Detours of {len(self._targets)} requests>"

    def knows(self, url: str) -> bool:
        """Whether the request for a URL was put off before."""
        return url in self._targets

    def put_off(self, url: str) -> Failure | None:
        """Why the request for a URL has to wait before it is fetched; None if it has not."""
        target = self._targets.get(url)
        return None if target is None else self.to(url, target)

    def to(self, url: str, host: str) -> Failure | None:
        """Why the request for a URL cannot go on to a host now; None if it can."""
        wait_s = self._frontier.put_off_s(host, self._now_s())
        if not wait_s:
            self._targets.pop(url, None)
            return None
        self._targets[url] = host
        if len(self._targets) > _REMEMBERED:
            self._targets.popitem(last=False)
        detail = f"redirected to {host}, which others wait for"
        return Failure(Stage.FETCH, "put_off", detail, retryable=True, retry_after_s=wait_s, is_attempt=False)
