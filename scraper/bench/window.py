"""One measurement: from one delivery of pages to another, when everything is in full swing."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from scraper.bench.plan import Timing
from scraper.bench.usage import ProcessMeter
from scraper.metrics import LagMeter
from scraper.metrics.histogram import Histogram

# Longer than the warm-up of what does not change its workers, for which one look is enough.
_LOOK_S = 0.25


@dataclass(frozen=True, slots=True)
class Sample:
    """What one measurement gave; without pages it is the reason why there are none.

    Args:
        pages: that ended in the measured time.
        elapsed_s: that time.
        cpu_s: of this process and its workers, meanwhile.
        rss_bytes: of the same, at its end.
        failures: of all pages, those of the warm-up included, by reason.
        ended: number of all these pages.
        problem: why nothing was measured; None where something was.
    """

    pages: int = 0
    elapsed_s: float = 0.0
    cpu_s: float = 0.0
    rss_bytes: int = 0
    failures: Mapping[str, int] = field(default_factory=Counter)
    ended: int = 0
    problem: str | None = None

    @property
    def is_all_failed(self) -> bool:
        return sum(self.failures.values()) >= self.ended

    @property
    def pages_per_s(self) -> float:
        return self.pages / self.elapsed_s if self.elapsed_s > 0 else 0.0


class Window:
    """Waits for full swing, and measures from one delivery to another.

    Workers deliver many pages at once. A time that began or ended anywhere would catch parts of what was delivered
    together; one from the beginning of a delivery to that of another catches whole ones.

    Args:
        timing: how long.
        meter: of the processes that are measured.
        lateness: gets the event loop's.
        count: pages that have ended before the delivery that is under way.
    """

    def __init__(self, timing: Timing, meter: ProcessMeter, lateness: Histogram, count: Callable[[], int]) -> None:
        self._loop = asyncio.get_running_loop()
        self._timing = timing
        self._meter = meter
        self._count = count
        self._looked_s = 0.0
        self._warm_s: float | None = None
        self._opened_s: float | None = None
        self._is_delivering = False
        self._pages = 0
        self._cpu_s = 0.0
        self._lag = LagMeter()
        self._lag.lateness = lateness
        self._is_closed = asyncio.Event()
        self._sample: Sample | None = None

    @property
    def is_closed(self) -> bool:
        return self._is_closed.is_set()

    def delivering(self) -> None:
        """A page is about to be counted. What comes in the same turn of the loop belongs to one delivery."""
        if self._is_delivering or self.is_closed:
            return
        self._is_delivering = True
        self._loop.call_soon(self._delivered)
        now_s = time.perf_counter()
        if self._warm_s is None:
            self._look(now_s)
            self._warm_s = now_s + self._timing.warm_up_s
        elif self._opened_s is None:
            if now_s >= self._warm_s:
                self._open(now_s)
            elif now_s >= self._looked_s + _LOOK_S:
                self._look(now_s)
        elif now_s >= self._opened_s + self._timing.seconds:
            pages = self._count() - self._pages
            if pages >= self._timing.least_pages or now_s >= self._opened_s + 3 * self._timing.seconds:
                self._close(now_s - self._opened_s, pages)

    def _look(self, now_s: float) -> None:
        """Finds the workers; `auto` may start further ones while it warms up."""
        self._meter.find_workers()
        self._looked_s = now_s

    def _delivered(self) -> None:
        self._is_delivering = False

    def _open(self, now_s: float) -> None:
        self._opened_s = now_s
        self._pages = self._count()
        self._cpu_s = self._meter.cpu_s()
        self._lag.start()

    def _close(self, elapsed_s: float, pages: int) -> None:
        self._lag.stop()
        cpu_s = self._meter.cpu_s() - self._cpu_s
        self._sample = Sample(pages, elapsed_s, cpu_s, self._meter.rss_bytes())
        self._is_closed.set()

    async def closed(self) -> Sample:
        """The measurement, without what only its caller knows.

        Raises:
            TimeoutError: too few pages ended.
        """
        try:
            async with asyncio.timeout(self._timing.limit_s + 4 * self._timing.seconds):
                await self._is_closed.wait()
        finally:
            self._lag.stop()
        assert self._sample is not None
        return self._sample
