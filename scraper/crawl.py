"""One crawl, from its seeds to its end: moves values from stage to stage and knows none of the stages.

frontier ─lease─► fetch ─response─► parsing ─extraction─► ended ─► commit ─► sinks, then frontier
   ▲  a task a request       a bounded backlog       one committer, many pages at a time  │
   └──────────────────────────────── discovered requests ─────────────────────────────────┘
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, Callable, Sequence
from typing import Literal, NamedTuple, Protocol

from scraper import urls
from scraper.errors import NotRunning, StateInDoubt
from scraper.model import Delivery, Extraction, Failure, Lease, Outcome, Request, Response, Skip, Stage, State
from scraper.options import LimitOptions, PaceOptions
from scraper.steps import Steps
from scraper.url_form import UrlForm

# A request that crawlers died with so often fails and is not fetched: the last time it was the only suspect.
_TOO_MANY_CRASHES = 3
# What fetched pages may take while they wait to be parsed: small beside any machine's memory.
_BACKLOG_BYTES = 64_000_000
# A commit takes what has ended, so that its fixed cost (one trip to a thread for each output) is shared.
_COMMIT_PAGES = 64
# How long an ended page waits for company. Nobody notices it beside a site's latency, and when there is nothing
# else to do it does not wait at all.
_COMMIT_LINGER_S = 0.01
# Seeds are read on while fewer requests wait than this: enough for hours of work at a bounded memory.
_SEEDS_AHEAD = 10_000
# Requests from a sitemap that are added together: a state file takes them in one transaction.
_LISTED_AT_ONCE = 100
# A crawl that was asked to stop waits so long for what is being fetched and parsed. A site or a handler that does not
# answer must not hold it for ever; what it had stays waiting.
_GRACE_S = 10.0
_SAMPLE_S = 0.25  # four points a second make a smooth line, and cost nothing


class _Counts(Protocol):
    @property
    def seen(self) -> int: ...
    @property
    def done(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def skipped(self) -> int: ...
    @property
    def waiting(self) -> int: ...


class CrawlFrontier(Protocol):
    """What a crawl needs of a frontier; see `scraper.frontier.Frontier`."""

    async def add(self, requests: Sequence[Request], *, are_seeds: bool = True) -> None: ...
    def lease(self, now_s: float) -> Lease | None: ...
    def fetched(self, lease: Lease, answer: Response | Failure | Skip | None, now_s: float) -> None: ...
    def hand_back(self, lease: Lease, now_s: float) -> None: ...
    def hold(self, host: str) -> None: ...
    def release(self, host: str) -> None: ...
    def next_ready_s(self) -> float | None: ...
    async def attend(self, changed: Callable[[], None]) -> None: ...
    async def settle(self, outcomes: Sequence[Outcome], now_s: float) -> list[Outcome]: ...
    async def commit(self, outcomes: Sequence[Outcome], delivery: Delivery) -> bool: ...
    def statistics(self) -> _Counts: ...


class CrawlFetcher(Protocol):
    """How leases are fetched."""

    async def fetch(self, lease: Lease) -> Response | Failure | Skip:
        """One attempt; gives the lease's slot back to the frontier."""


class CrawlManners(Protocol):
    """What is asked before a URL is fetched."""

    def is_known(self, url: str) -> bool:
        """Whether `verdict` can tell."""

    async def learn(self, url: str) -> None:
        """Tries once to find out what `verdict` needs for a URL and its site; in vain if the site is to rest first."""

    def verdict(self, lease: Lease) -> Skip | Failure | None:
        """Why a lease is not fetched; None if it is. To be asked once for each."""


class Parsed(NamedTuple):
    """What came back from parsing one page; seconds are wall time unless said otherwise.

    `seconds` are those of parser and handler, each wall and CPU; None if neither ran to an answer.
    """

    extraction: Extraction | Failure
    queue_s: float
    handoff_s: float
    return_s: float
    handoff_cpu_s: float
    return_cpu_s: float
    seconds: tuple[float, float, float, float] | None


class CrawlRecorder(Protocol):
    """What a crawl tells its metrics; see `scraper.metrics.Recorder`."""

    items: int
    bytes: int
    retries: int

    def fetched(self, wall_s: float) -> None: ...
    def parsed(self, page: Parsed) -> None: ...
    def committed(self, pages: int, wall_s: float, cpu_s: float) -> None: ...


class Parsing(Protocol):
    """Where pages are parsed."""

    @property
    def capacity_pages(self) -> int:
        """How many pages are enough to keep every worker busy; more would only wait, in memory."""

    def submit(self, lease: Lease, response: Response, done: Callable[[Parsed], None]) -> None:
        """Parses a page and calls `done` once, on the event loop."""


class Output(Protocol):
    """Where committed pages go, in order, before the frontier forgets them."""

    async def write(self, outcomes: Sequence[Outcome]) -> Delivery:
        """Takes settled outcomes; returns when they are safe, and raises SinkError if they are not."""

    def committed(self, delivery: Delivery) -> None:
        """What was delivered is final."""

    async def take_back(self) -> None:
        """What was written and is not final goes again, where an output can do that."""


class Crawl:
    """One run. It makes tasks, and none is left when `run` returns or is cancelled.

    Args:
        frontier, fetcher, parsing, output, recorder: the stages.
        manners: what may be fetched.
        form: how URLs that pages give are rewritten; None: not at all.
        pace: how many requests may be under way.
        limits: where to stop.
        on_sample: called four times a second on the event loop.
    """

    def __init__(
        self,
        *,
        frontier: CrawlFrontier,
        fetcher: CrawlFetcher,
        manners: CrawlManners,
        form: UrlForm | None,
        parsing: Parsing,
        output: Output,
        recorder: CrawlRecorder,
        pace: PaceOptions,
        limits: LimitOptions,
        on_sample: Callable[[], None],
    ) -> None:
        self._frontier = frontier
        self._fetcher = fetcher
        self._manners = manners
        self._form = form
        self._parsing = parsing
        self._output = output
        self._recorder = recorder
        self._pace = pace
        self._limits = limits
        self._on_sample = on_sample
        self._most_in_flight = parsing.capacity_pages + pace.concurrency
        self._now_s = asyncio.get_running_loop().time
        self._fetching = 0
        self._fetches: set[asyncio.Task[None]] = set()
        self._asking = 0
        self._learning: set[asyncio.Task[None]] = set()
        self._backlog_pages = 0
        self._backlog_bytes = 0
        self._ended: list[Outcome] = []
        self._committing = 0
        self._pages_before = self._pages_ended = 0
        self._changed = asyncio.Event()
        self._commit_due = asyncio.Event()
        self._commit_timer: asyncio.TimerHandle | None = None
        self._is_starved = False
        self._has_ended = False
        self._has_patience = True
        self._grace_timer: asyncio.TimerHandle | None = None
        self._broken: NotRunning | None = None
        self._is_seeding = True
        self._adding = 0
        self._committed = asyncio.Event()
        self.stopped: str | None = None
        self._steps = Steps()
        self.sink_s = 0.0

    def __repr__(self) -> str:
        return (
            f"<Crawl {self._fetching} fetching, {self._backlog_pages} to parse, {len(self._ended)} to commit"
            f"{', stopping: ' + self.stopped if self.stopped else ''}>"
        )

    @property
    def in_flight(self) -> int:
        """Requests that were leased and are not committed."""
        return self._fetching + self._backlog_pages + len(self._ended) + self._committing

    @property
    def pages(self) -> int:
        """Pages that this run brought to an end, done or failed."""
        return self._pages_ended - self._pages_before

    @property
    def fetching(self) -> int:
        """Requests that are being fetched."""
        return self._fetching

    @property
    def waits_for(self) -> Literal["answers", "hosts", "links", "room", "nothing"]:
        """Why no further page is fetched at this moment; see `scraper.metrics.usage.WaitsFor`."""
        if self._fetching + self._asking >= self._pace.concurrency:
            return "answers"
        in_flight = self.in_flight
        if in_flight >= self._most_in_flight or self._backlog_bytes >= _BACKLOG_BYTES:
            return "room"
        if not self._may_lease():
            return "nothing"
        return "hosts" if self._frontier.statistics().waiting > in_flight else "links"

    def stop(self, reason: str) -> None:
        """Leases nothing more; what is in flight is finished and committed, except what takes longer than a grace."""
        if self.stopped is None:
            self.stopped = reason
            self._changed.set()
            self._grace_timer = asyncio.get_running_loop().call_later(_GRACE_S, self._give_up_waiting)

    def look(self) -> None:
        """Others may have committed, or there may be more to lease."""
        self._committed.set()
        self._changed.set()

    def _give_up_waiting(self) -> None:
        self._has_patience = False
        self._changed.set()

    async def add(self, requests: Sequence[Request], *, are_seeds: bool = True) -> None:
        """Admits further requests while the crawl runs.

        Args:
            requests: absolute URLs.
            are_seeds: they are in scope whatever the scope is; others are admitted if they are in scope.

        Raises:
            InvalidURL: one of them cannot be fetched; none was added.
            NotRunning: the crawl has come to its end.
        """
        if self._has_ended:
            raise NotRunning("the crawl has come to its end: nothing can be added")
        self._adding += 1
        try:
            await self._frontier.add(requests, are_seeds=are_seeds)
        finally:
            self._adding -= 1
            self._changed.set()

    async def run(self, seeds: AsyncIterable[Request], listed: AsyncIterable[Request]) -> None:
        """Crawls until nothing waits, a limit is reached or `stop` was called.

        Args:
            seeds: further seeds, read while the crawl runs.
            listed: requests that are crawled if they are in scope, read while the crawl runs.

        Raises:
            SinkError: an output failed; what was committed before is kept.
            InvalidURL: a seed cannot be fetched.
        """
        self._pages_before = self._pages_ended = self._pages_ended_so_far()
        self._stop_if_enough()
        timer = None
        if self._limits.max_time_s is not None:
            timer = asyncio.get_running_loop().call_later(self._limits.max_time_s, self.stop, "max_time")
        try:
            async with asyncio.TaskGroup() as group:
                seeding = group.create_task(self._seed(seeds, listed))
                sampling = group.create_task(self._sample())
                committing = group.create_task(self._commit_loop())
                attending = group.create_task(self._frontier.attend(self.look))
                await self._dispatch(group)
                self._has_ended = True
                for task in (seeding, sampling, committing, attending, *self._fetches, *self._learning):
                    task.cancel()
        except BaseExceptionGroup as errors:
            raise _first(errors) from errors
        finally:
            self._has_ended = True
            for handle in (timer, self._commit_timer, self._grace_timer):
                if handle is not None:
                    handle.cancel()

    def _pages_ended_so_far(self) -> int:
        counts = self._frontier.statistics()
        return counts.done + counts.failed

    async def _seed(self, seeds: AsyncIterable[Request], listed: AsyncIterable[Request]) -> None:
        try:
            async for request in seeds:
                await self.add([request])
                await self._wait_for_room()
            batch: list[Request] = []
            async for request in listed:
                batch.append(request)
                if len(batch) >= _LISTED_AT_ONCE:
                    await self.add(batch, are_seeds=False)
                    batch.clear()
                    await self._wait_for_room()
            await self.add(batch, are_seeds=False)
        finally:
            self._is_seeding = False
            self._changed.set()

    async def _wait_for_room(self) -> None:
        while self._frontier.statistics().waiting > _SEEDS_AHEAD:
            self._committed.clear()
            await self._committed.wait()

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(_SAMPLE_S)
            self._on_sample()

    async def _dispatch(self, group: asyncio.TaskGroup) -> None:
        """Starts a task for each request that may be fetched now, and sleeps until something changes."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            if self._broken is not None:
                raise self._broken
            while (lease := self._lease(group)) is not None:
                fetch = group.create_task(self._fetch(lease, group))
                self._fetches.add(fetch)
                fetch.add_done_callback(self._fetches.discard)
            if self._is_over():
                return
            if self._ended and (self._is_starved or self._is_idle()):
                self._commit_due.set()
            # Without room its time means nothing, and one that has come already would wake this task for ever.
            ready_s = self._frontier.next_ready_s() if self._may_lease() else None
            alarm = None if ready_s is None else loop.call_at(ready_s, self._changed.set)
            try:
                await self._changed.wait()
            finally:
                if alarm is not None:
                    alarm.cancel()

    def _lease(self, group: asyncio.TaskGroup) -> Lease | None:
        """Takes a lease that may be fetched, and a slot to fetch in, if both are to be had."""
        while self._may_lease():
            now_s = self._now_s()
            lease = self._frontier.lease(now_s)
            self._is_starved = lease is None
            if lease is None:
                return None
            url = lease.request.url
            if not self._manners.is_known(url):
                self._frontier.hand_back(lease, now_s)
                self._learn(url, group)
                continue
            end = self._manners.verdict(lease) if lease.crashes < _TOO_MANY_CRASHES else _crash_loop(lease)
            if end is None:
                self._fetching += 1
                return lease
            self._frontier.fetched(lease, None, now_s)
            self._end(Outcome(lease, State.SKIPPED if isinstance(end, Skip) else State.FAILED, end))
        return None

    def _learn(self, url: str, group: asyncio.TaskGroup) -> None:
        """Finds out what has to be known of a site, as one of the requests that may be under way. Nothing of the site
        is leased meanwhile.
        """
        host = urls.host_port(url)
        self._frontier.hold(host)
        self._asking += 1
        learning = group.create_task(self._learn_then_release(url, host))
        self._learning.add(learning)
        learning.add_done_callback(self._learning.discard)

    async def _learn_then_release(self, url: str, host: str) -> None:
        await self._manners.learn(url)
        self._asking -= 1
        self._frontier.release(host)
        self._changed.set()

    def _may_lease(self) -> bool:
        if self._fetching + self._asking >= self._pace.concurrency or self.stopped is not None:
            return False
        # Every request that is under way will need room in the backlog, so it counts here too.
        in_flight = self.in_flight
        if in_flight >= self._most_in_flight or self._backlog_bytes >= _BACKLOG_BYTES:
            return False
        max_pages = self._limits.max_pages
        return max_pages is None or self._pages_ended + in_flight < max_pages

    def _is_idle(self) -> bool:
        return not self._fetching and not self._backlog_pages

    def _is_over(self) -> bool:
        if self._ended or self._committing or (self._has_patience and not self._is_idle()):
            return False
        if self.stopped is not None:
            return True
        return not self._is_seeding and not self._adding and not self._frontier.statistics().waiting

    async def _fetch(self, first: Lease, group: asyncio.TaskGroup) -> None:
        """Fetches one request after another, as long as there are some: a task of its own for each costs more."""
        lease: Lease | None = first
        while lease is not None:
            started_s = time.perf_counter()
            result = await self._fetcher.fetch(lease)
            self._recorder.fetched(time.perf_counter() - started_s)
            self._fetching -= 1
            if isinstance(result, Response):
                self._parse(lease, result)
            elif isinstance(result, Failure):
                self._end(Outcome(lease, State.FAILED, result, latency_s=result.latency_s))
            else:
                self._end(Outcome(lease, State.SKIPPED, result))
            lease = self._lease(group)
        self._changed.set()

    def _parse(self, lease: Lease, response: Response) -> None:
        self._recorder.bytes += response.wire_bytes
        self._backlog_pages += 1
        self._backlog_bytes += len(response.body)
        self._parsing.submit(lease, response, lambda parsed: self._parsed(lease, response, parsed))

    def _parsed(self, lease: Lease, response: Response, parsed: Parsed) -> None:
        self._backlog_pages -= 1
        self._backlog_bytes -= len(response.body)
        self._recorder.parsed(parsed)
        found = parsed.extraction
        if isinstance(found, Failure) and found.reason == "pool_closed":  # no fault of the page, which was not tried
            self._broken = NotRunning("the pool that this crawl shares was closed before the crawl had ended")
            self._changed.set()
            return
        if isinstance(found, Failure):
            outcome = Outcome(
                lease,
                State.FAILED,
                found,
                response.url,
                latency_s=response.latency_s,
                wire_bytes=response.wire_bytes,
            )
        else:
            outcome = Outcome(
                lease,
                State.DONE,
                None,
                response.url,
                found.items,
                found.links,
                found.requests,
                response.latency_s,
                found.dropped,
                response.wire_bytes,
            )
        self._end(outcome if self._form is None else self._form.of_outcome(outcome))
        if not self._changed.is_set():
            self._changed.set()

    def _end(self, outcome: Outcome) -> None:
        self._ended.append(outcome)
        if len(self._ended) >= _COMMIT_PAGES:
            self._commit_due.set()
        elif len(self._ended) == 1:
            loop = asyncio.get_running_loop()
            self._commit_timer = loop.call_later(_COMMIT_LINGER_S, self._commit_due.set)

    async def _commit_loop(self) -> None:
        while True:
            await self._commit_due.wait()
            self._commit_due.clear()
            while self._ended:
                batch, self._ended = self._ended[:_COMMIT_PAGES], self._ended[_COMMIT_PAGES:]
                await self._commit(batch)

    async def _commit(self, batch: Sequence[Outcome]) -> None:
        started_s, started_cpu_s = time.perf_counter(), self._steps.cpu_s
        self._committing = len(batch)
        is_final = False
        while not is_final:
            settled = await self._steps.of(self._frontier.settle(batch, self._now_s()))
            sink_started_s = time.perf_counter()
            delivery = await self._output.write(settled)
            self.sink_s += time.perf_counter() - sink_started_s
            is_final = await self._steps.of(self._finish(settled, delivery))
        cpu_s = self._steps.cpu_s - started_cpu_s
        self._committing = 0
        self._recorder.committed(len(batch), time.perf_counter() - started_s, cpu_s)
        self._stop_if_enough()
        self._committed.set()
        self._changed.set()

    def _stop_if_enough(self) -> None:
        max_pages = self._limits.max_pages
        if max_pages is not None and self._pages_ended >= max_pages:
            self.stop("max_pages")

    async def _finish(self, settled: Sequence[Outcome], delivery: Delivery) -> bool:
        if not await self._frontier.commit(settled, delivery):
            await self._output.take_back()
            return False
        self._output.committed(delivery)
        self._count(settled)
        return True

    def _count(self, settled: Sequence[Outcome]) -> None:
        for outcome in settled:
            self._recorder.items += len(outcome.items)
            if outcome.state is State.WAITING:
                self._recorder.retries += 1
            elif outcome.state is not State.SKIPPED:
                self._pages_ended += 1


def _crash_loop(lease: Lease) -> Failure:
    detail = f"the crawler died {lease.crashes} times while it had this page, the last time without another suspect"
    return Failure(Stage.PARSE, "crashes", detail)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that made the others' tasks be cancelled: the first that is no group. One that leaves a commit in
    doubt comes before others, because it decides what becomes of the outputs.
    """
    in_doubt, _ = errors.split(StateInDoubt)
    first: BaseException = in_doubt or errors
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
