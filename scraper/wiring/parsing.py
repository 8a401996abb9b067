"""The crawl's side of the offload layer: each page goes to the lane of its handler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scraper.crawl import Parsed
from scraper.frontier import SUSPECTED_AFTER
from scraper.metrics import Strategy
from scraper.model import Lease, Response
from scraper.offload import Lane, OffloadPool, Result, Work
from scraper.options import ParserName
from scraper.parse.extract import decode_result, encode_task
from scraper.parse.nesting import may_be_deep

# One that runs, one that waits in the worker, and one in the making.
_PORTIONS_A_WORKER = 3
# A page so large is rare, and takes any parser long enough to be worth a process of its own.
_LARGE_BYTES = 2_000_000
_EXTRACTOR = "scraper.parse.extract:extractor"


class Parsing:
    """Sends each page to the lane of its handler, and counts who parsed what.

    Args:
        pool, parser: where and by what pages are parsed.
        handler: of requests that name none.
        token: the name by which pages are heard that say `nofollow`; None: they are not.
    """

    def __init__(self, pool: OffloadPool, parser: ParserName, handler: str, token: str | None = None) -> None:
        self.pool = pool
        self.parser = parser
        self._handler = handler
        self._token = token
        self.capacity_pages = _PORTIONS_A_WORKER * pool.options.batch_items * pool.workers
        self._may_choose = pool.executor == "auto"
        self._lanes: dict[str, Lane] = {}

    @property
    def title(self) -> str:
        """The crawl's handler, by a name that stays the same when its folder moves."""
        place, _, name = self._handler.rpartition(":")
        return f"{Path(place).name if place.endswith('.py') else place}:{name}"

    async def prepare(self) -> None:
        await self._lane(self._handler).prepare()

    def submit(self, lease: Lease, response: Response, done: Callable[[Parsed], None]) -> None:
        handler = lease.request.handler or self._handler
        lane = self._lane(handler)
        payload = encode_task(lease.request, response)
        body = response.body
        is_risky = self._may_choose and (len(body) > _LARGE_BYTES or may_be_deep(body))
        lane.submit(
            payload,
            len(body),
            lambda result: done(_parsed(result)),
            is_risky=is_risky,
            is_suspect=lease.crashes >= SUSPECTED_AFTER,
        )

    def _lane(self, handler: str) -> Lane:
        lane = self._lanes.get(handler)
        if lane is None:
            known: Any = "releases_gil" if self.parser in ("lxml", "lexbor") else "holds_gil"
            more = () if self._token is None else (self._token,)
            lane = self._lanes[handler] = self.pool.lane(Work(_EXTRACTOR, (self.parser, handler, *more), known))
        return lane

    def strategies(self) -> tuple[Strategy, ...]:
        """Where pages were parsed, by handler; the last of a handler is where its pages go now."""
        return tuple(
            Strategy(handler, self.parser, strategy.executor, strategy.workers, pages, strategy.why)
            for handler, lane in self._lanes.items()
            for strategy, pages in lane.used
        )

    def predicted(self, handler: str) -> Mapping[str, float]:
        """Pages a second that each executor was predicted to reach with a handler; empty while nothing was measured."""
        lane = self._lanes.get(handler)
        found: dict[str, float] = {}
        if lane is not None:
            for (executor, _), pages_per_s in self.pool.predicted(lane.work).items():
                found[executor] = max(found.get(executor, 0.0), pages_per_s)
        return found

    async def aclose(self) -> None:
        for lane in self._lanes.values():
            await lane.aclose()


def _parsed(result: Result) -> Parsed:
    extraction, seconds = (result.failure, None) if result.failure is not None else decode_result(result.value)
    return Parsed(
        extraction,
        result.queue_s,
        result.handoff_s,
        result.return_s,
        result.handoff_cpu_s,
        result.return_cpu_s,
        seconds,
    )
