"""One measurement of one case: parsing alone through a pool, or a crawl from the network to the sinks."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from scraper.bench.pages import Pages
from scraper.bench.plan import Case, Timing
from scraper.bench.usage import ProcessMeter
from scraper.bench.window import Sample, Window
from scraper.crawler import Crawler
from scraper.errors import InterpretersUnsupported, ScraperError
from scraper.metrics import Statistics
from scraper.metrics.histogram import Histogram
from scraper.model import Failure, Request
from scraper.offload import Lane, OffloadPool, Result, Work
from scraper.options import LimitOptions
from scraper.parse.extract import decode_result
from scraper.sinks import Record

_EXTRACTOR = "scraper.parse.extract:extractor"
# As many pages under way for each worker as a crawl has: one portion runs, one waits in the worker, one is made.
_PORTIONS_A_WORKER = 3

_Value = TypeVar("_Value")


def work_of(case: Case, handler: str) -> Work:
    """What a worker does with each page: exactly what it does in a crawl."""
    return Work(
        _EXTRACTOR, (case.parser, handler), "releases_gil" if case.parser in ("lxml", "lexbor") else "holds_gil"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One measurement that is to be made.

    Args:
        case: what.
        pages: on what.
        handler: by name.
        timing: how long.
        start: the first page's place among them.
        lateness: gets the event loop's.
    """

    case: Case
    pages: Pages
    handler: str
    timing: Timing
    start: int = 0
    lateness: Histogram = field(default_factory=Histogram)

    def window(self, count: Callable[[], int]) -> Window:
        beside = [self.pages.server_pid] if self.pages.server_pid is not None else []
        return Window(self.timing, ProcessMeter(beside), self.lateness, count)


async def measure(wanted: Measurement) -> Sample:
    """Makes it in workers of its own, which are started before and ended after it."""
    try:
        if wanted.case.mode == "parse":
            return await _parse(wanted)
        return (await crawl(wanted)).sample
    except InterpretersUnsupported as error:
        return Sample(problem=f"unsupported: {error}")
    except ScraperError as error:
        return Sample(problem=f"failed: {error}")


async def _parse(wanted: Measurement) -> Sample:
    case = wanted.case
    async with (
        OffloadPool(executor=case.executor, workers=case.workers) as pool,
        pool.lane(work_of(case, wanted.handler)) as lane,
    ):
        feed = _Feed(lane, _from(wanted.pages.tasks, wanted.start))
        window = feed.window = wanted.window(lambda: feed.ended)
        feed.fill(_PORTIONS_A_WORKER * pool.options.batch_items * case.workers)
        sample = await _ended(window.closed(), wanted.timing)
        return replace(sample, failures=feed.failures, ended=feed.ended)


class _Feed:
    """Keeps a lane full."""

    def __init__(self, lane: Lane, tasks: Iterator[tuple[Any, ...]]) -> None:
        self._lane = lane
        self._tasks = tasks
        self.window: Window | None = None
        self.ended = 0
        self.failures: Counter[str] = Counter()

    def fill(self, number: int) -> None:
        for task in itertools.islice(self._tasks, number):
            self._lane.submit(task, len(task[-1]), self._done)

    def _done(self, result: Result) -> None:
        found = result.failure or decode_result(result.value)[0]
        assert self.window is not None
        self.window.delivering()
        self.ended += 1
        if isinstance(found, Failure):
            self.failures[found.reason] += 1
        if not self.window.is_closed:
            self.fill(1)


@dataclass(frozen=True, slots=True)
class CrawlSample:
    """A measured crawl, and the crawl's own numbers at both ends of the measured time; None if there are none."""

    sample: Sample
    opened: Statistics | None = None
    closed: Statistics | None = None


async def crawl(wanted: Measurement) -> CrawlSample:
    """Crawls the pages over and over, as a crawl of a larger site would, until enough was measured."""
    case, pages = wanted.case, wanted.pages
    crawler = Crawler(
        wanted.handler,
        parser=case.parser,
        executor=case.executor,
        workers=case.workers,
        pace=pages.pace,
        limits=LimitOptions(max_depth=pages.max_depth),
    )
    async with crawler:
        course = _Course(crawler, _from(pages.urls, wanted.start))
        window = course.window = wanted.window(course.count)
        running = asyncio.create_task(crawler.run(course.seeds(), sinks=[course], failures=_Nowhere()))
        measuring = asyncio.create_task(window.closed())
        try:
            await asyncio.wait([running, measuring], return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()  # raises what ended it
            sample = await _ended(measuring, wanted.timing)
            last = crawler.statistics
        finally:
            # What is in flight is of no use any more, and finishing it may take seconds.
            for task in (running, measuring):
                task.cancel()
            await asyncio.gather(running, measuring, return_exceptions=True)
    failures = last.failures if last is not None else {}
    ended = last.done + last.failed if last is not None else 0
    return CrawlSample(replace(sample, failures=failures, ended=ended), course.first, course.last)


async def _ended(measuring: Awaitable[Sample], timing: Timing) -> Sample:
    try:
        return await measuring
    except TimeoutError:
        return Sample(problem=f"failed: too few pages ended within {timing.limit_s:g} s")


class _Course:
    """Seeds without end, and a sink that tells the window of every commit."""

    def __init__(self, crawler: Crawler, urls: Iterator[str]) -> None:
        self._crawler = crawler
        self._urls = urls
        self.window: Window | None = None
        self.first: Statistics | None = None
        self.last: Statistics | None = None

    def count(self) -> int:
        """Pages that have ended; what the crawl says of itself then is kept."""
        statistics = self._crawler.statistics
        if statistics is None:
            return 0
        self.first, self.last = self.first or statistics, statistics
        return statistics.done + statistics.failed

    async def seeds(self) -> AsyncIterator[Request]:
        """Each page again and again, every time as a request of its own.

        The crawl takes some thousand of them before it fetches, and then one for each page that it commits.
        """
        for number, url in enumerate(self._urls):
            yield Request(url, dedup_key=str(number))

    async def open(self) -> None:
        pass

    async def write(self, records: Sequence[Record]) -> None:  # noqa: ARG002  # a commit without items is one, too
        assert self.window is not None
        self.window.delivering()  # before it is counted, as the window has it

    async def close(self) -> None:
        pass


class _Nowhere:
    """Takes the records of failed pages, which are counted elsewhere."""

    async def open(self) -> None:
        pass

    async def write(self, records: Sequence[Record]) -> None:
        pass

    async def close(self) -> None:
        pass


def _from(values: Sequence[_Value], start: int) -> Iterator[_Value]:
    """The values over and over, beginning somewhere among them."""
    return itertools.cycle([*values[start % len(values) :], *values[: start % len(values)]])
