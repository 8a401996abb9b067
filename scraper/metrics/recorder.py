"""Adds up what the stages did."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol

from scraper.metrics.histogram import Histogram
from scraper.metrics.statistics import Snapshot, StageStatistics
from scraper.model import Stage

# So many pages are noted before they are added up: enough to share the cost, and few kilobytes.
_FOLD_PAGES = 256
# A plot needs no more points; when there are so many, every second one goes and the step doubles.
_SERIES_POINTS = 600


class ParsedPage(Protocol):
    """What came back from parsing one page, in seconds; see `scraper.crawl.Parsed`."""

    @property
    def queue_s(self) -> float: ...
    @property
    def handoff_s(self) -> float: ...
    @property
    def return_s(self) -> float: ...
    @property
    def handoff_cpu_s(self) -> float: ...
    @property
    def return_cpu_s(self) -> float: ...
    @property
    def seconds(self) -> tuple[float, float, float, float] | None: ...


class Recorder:
    """Wall and CPU time by stage, items, bytes, retries, and the course of the crawl over time.

    It is used from the event loop's thread alone.
    """

    def __init__(self) -> None:
        self._wall = {stage: Histogram() for stage in Stage}
        self._cpu_s = dict.fromkeys(Stage, 0.0)
        self.start()
        self._fetches: list[float] = []
        self._commits: list[float] = []
        self._passages: list[tuple[float, float, float, float, float]] = []
        self._extractions: list[tuple[float, float, float, float]] = []
        self._last: Snapshot | None = None
        self._series: list[Snapshot] = []
        self._points = 0
        self._step = 1
        self.items = 0
        self.bytes = 0
        self.retries = 0

    def start(self) -> None:
        """Sets the clocks to zero: what came before was preparation."""
        self._started_s = time.perf_counter()
        self._loop_cpu_started_s = time.thread_time()
        self._process_cpu_started_s = time.process_time()

    def fetched(self, wall_s: float) -> None:
        """One attempt at a request, whatever came of it."""
        self._fetches.append(wall_s)
        if len(self._fetches) >= _FOLD_PAGES:
            self._fold()

    def parsed(self, page: ParsedPage) -> None:
        """One page came back from its worker."""
        self._passages.append((page.queue_s, page.handoff_s, page.return_s, page.handoff_cpu_s, page.return_cpu_s))
        if page.seconds is not None:
            self._extractions.append(page.seconds)

    def committed(self, pages: int, wall_s: float, cpu_s: float) -> None:
        """So many pages were committed together."""
        self._commits += [wall_s / pages] * pages
        self._cpu_s[Stage.COMMIT] += cpu_s

    def _fold(self) -> None:
        """Adds what was noted since the last time to the histograms, many at once: that is several times cheaper."""
        wall, cpu_s = self._wall, self._cpu_s
        wall[Stage.FETCH].add_all(self._fetches)
        wall[Stage.COMMIT].add_all(self._commits)
        if self._passages:
            queue_s, handoff_s, return_s, handoff_cpu_s, return_cpu_s = zip(*self._passages, strict=True)
            wall[Stage.QUEUE].add_all(queue_s)
            wall[Stage.HANDOFF].add_all(handoff_s)
            wall[Stage.RETURN].add_all(return_s)
            cpu_s[Stage.HANDOFF] += sum(handoff_cpu_s)
            cpu_s[Stage.RETURN] += sum(return_cpu_s)
        if self._extractions:
            parse_s, parse_cpu_s, extract_s, extract_cpu_s = zip(*self._extractions, strict=True)
            wall[Stage.PARSE].add_all(parse_s)
            wall[Stage.EXTRACT].add_all(extract_s)
            cpu_s[Stage.PARSE] += sum(parse_cpu_s)
            cpu_s[Stage.EXTRACT] += sum(extract_cpu_s)
        for noted in (self._fetches, self._commits, self._passages, self._extractions):
            noted.clear()

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self._started_s

    @property
    def loop_cpu_s(self) -> float:
        """CPU time of the event loop's thread since the start, whatever it was spent on."""
        return time.thread_time() - self._loop_cpu_started_s

    @property
    def process_cpu_s(self) -> float:
        """CPU time of this process since the start, all its threads included."""
        return time.process_time() - self._process_cpu_started_s

    def cpu_s(self, *stages: Stage) -> float:
        self._fold()
        return sum(self._cpu_s[stage] for stage in stages)

    def wall_s(self, stage: Stage) -> float:
        self._fold()
        return self._wall[stage].total_s

    def stages(self, *, is_parsing_on_loop: bool = False) -> Mapping[str, StageStatistics]:
        """By name. Fetching has no clock of its own: its CPU is what the loop's thread spent beside the rest."""
        on_loop_s = self.cpu_s(Stage.HANDOFF, Stage.RETURN, Stage.COMMIT)
        if is_parsing_on_loop:
            on_loop_s += self.cpu_s(Stage.PARSE, Stage.EXTRACT)
        cpu_s = {**self._cpu_s, Stage.FETCH: max(self.loop_cpu_s - on_loop_s, 0.0)}
        return {
            stage.value: StageStatistics(
                count=wall.count,
                total_s=wall.total_s,
                cpu_s=cpu_s[stage],
                p50_ms=wall.quantile_s(0.5) * 1000,
                p99_ms=wall.quantile_s(0.99) * 1000,
            )
            for stage, wall in self._wall.items()
        }

    def snapshot(
        self, *, seen: int, done: int, failed: int, skipped: int, in_flight: int, loop_lag_s: float
    ) -> Snapshot:
        """The crawl now; rates are since the last time this was asked."""
        elapsed_s = self.elapsed_s
        before = self._last
        since_s = elapsed_s - (before.elapsed_s if before else 0.0)
        ended = done + failed - (before.done + before.failed if before else 0)
        self._last = Snapshot(
            elapsed_s=elapsed_s,
            seen=seen,
            done=done,
            failed=failed,
            skipped=skipped,
            waiting=seen - done - failed - skipped,
            in_flight=in_flight,
            items=self.items,
            bytes=self.bytes,
            pages_per_s=ended / since_s if since_s > 0 else 0.0,
            loop_lag_ms=loop_lag_s * 1000,
        )
        self._keep(self._last)
        return self._last

    def _keep(self, point: Snapshot) -> None:
        if self._points % self._step == 0:
            self._series.append(point)
        self._points += 1
        if len(self._series) >= _SERIES_POINTS:
            del self._series[1::2]
            self._step *= 2

    def series(self) -> tuple[Snapshot, ...]:
        return tuple(self._series)
