"""Adds up what the stages did."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from scraper.metrics.clocks import ThreadClock, machine_busy_s, process_delay_s
from scraper.metrics.course import Course
from scraper.metrics.histogram import Histogram
from scraper.metrics.lag import LagMeter
from scraper.metrics.statistics import Snapshot, StageStatistics
from scraper.metrics.usage import Usage, WaitsFor, steady
from scraper.metrics.verdict import Verdict
from scraper.model import Stage

# So many pages are noted before they are added up: enough to share the cost, and few kilobytes.
_FOLD_PAGES = 256


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
        self.clock = ThreadClock()
        self._set_clocks()
        self._fetches: list[float] = []
        self._commits: list[float] = []
        self._passages: list[tuple[float, float, float, float, float]] = []
        self._extractions: list[tuple[float, float, float, float]] = []
        self._last: Snapshot | None = None
        self._series = Course[Snapshot]()
        self._course = Course[Usage]()
        self._commit_calls = 0
        self._ticks = self._barred = self._fetching = 0
        self._waits: Counter[WaitsFor] = Counter()
        self.items = 0
        self.bytes = 0
        self.retries = 0

    def start(self) -> None:
        """Sets the clocks to zero: what came before was preparation. To be called in the event loop's thread."""
        self.clock.start()
        self._set_clocks()

    def _set_clocks(self) -> None:
        self._started_s = time.perf_counter()
        self._process_cpu_started_s = time.process_time()
        self._process_delay_started_s = process_delay_s()
        self._machine_started_s = machine_busy_s()

    def stop(self) -> None:
        """Gives back what `start` took."""
        self.clock.close()

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
        self._commit_calls += 1
        self._commits += [wall_s / pages] * pages
        self._cpu_s[Stage.COMMIT] += cpu_s

    def looked(self, ticks: int, barred: int, waits_for: WaitsFor, fetching: int) -> None:
        """What the crawl was at when so many ticks of the lag meter had passed; see `Usage`."""
        self._ticks += ticks
        self._barred += barred
        self._fetching += fetching * ticks
        self._waits[waits_for] += ticks

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
        return self.clock.cpu_s

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

    def usage(self, *, pages: int, lag: LagMeter, sink_wall_s: float, sink_cpu_s: float) -> Usage:
        """What was used until now; the arguments are what others have counted since the start."""
        wall, cpu_s, waits = self._wall, self._cpu_s, self._waits
        self._fold()
        usage = Usage(
            elapsed_s=self.elapsed_s,
            pages=pages,
            loop_cpu_s=self.loop_cpu_s,
            loop_delay_s=self.clock.delay_s,
            process_cpu_s=self.process_cpu_s,
            process_delay_s=process_delay_s() - self._process_delay_started_s,
            machine_busy_s=machine_busy_s() - self._machine_started_s,
            fetches=wall[Stage.FETCH].count,
            fetch_wall_s=wall[Stage.FETCH].total_s,
            worker_wall_s=wall[Stage.PARSE].total_s + wall[Stage.EXTRACT].total_s,
            worker_cpu_s=cpu_s[Stage.PARSE] + cpu_s[Stage.EXTRACT],
            parse_wall_s=wall[Stage.PARSE].total_s,
            parse_cpu_s=cpu_s[Stage.PARSE],
            handoff_cpu_s=cpu_s[Stage.HANDOFF] + cpu_s[Stage.RETURN],
            commits=self._commit_calls,
            commit_wall_s=wall[Stage.COMMIT].total_s,
            commit_cpu_s=cpu_s[Stage.COMMIT],
            sink_wall_s=sink_wall_s,
            sink_cpu_s=sink_cpu_s,
            bytes=self.bytes,
            ticks=self._ticks,
            lateness_s=lag.lateness.total_s,
            barred=self._barred,
            fetching=self._fetching,
            answers=waits["answers"],
            hosts=waits["hosts"],
            links=waits["links"],
            room=waits["room"],
            nothing=waits["nothing"],
        )
        self._course.add(usage)
        return usage

    def steady(self) -> Usage:
        """What was used in the part of the crawl that says what limits it, as far as `usage` was asked."""
        return steady([Usage(), *self._course.points(with_last=True)])

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
        self,
        *,
        seen: int,
        done: int,
        failed: int,
        skipped: int,
        in_flight: int,
        loop_lag_s: float,
        verdict: Verdict | None = None,
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
            bottleneck=verdict.bottleneck if verdict is not None else None,
            limited_by=verdict.phrase if verdict is not None else "",
        )
        self._series.add(self._last)
        return self._last

    def series(self) -> tuple[Snapshot, ...]:
        return self._series.points()
