"""The crawler: wires the stages together. The one module that imports them all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from scraper import urls
from scraper.crawl import Crawl
from scraper.errors import HandlerNotImportable, InvalidOption, NotRunning, StateInDoubt, UsageError, WorkerStartFailed
from scraper.fetch import AioFetcher, Fetcher, Gate, OpenGate
from scraper.frontier import Frontier, MemoryFrontier
from scraper.frontier.pace import Pacer
from scraper.frontier.protocol import Answer
from scraper.frontier.retry import RetryPolicy
from scraper.handlers import import_under_way, name_of
from scraper.metrics import LagMeter, LagStatistics, LiveVerdict, Load, Recorder, Snapshot, Statistics, Usage, judge
from scraper.model import CacheCounts, Delivery, Failure, Item, Request, Skip, Stage
from scraper.offload import OffloadPool
from scraper.options import (
    PARSERS,
    ExecutorName,
    FetchOptions,
    LimitOptions,
    OffloadOptions,
    PaceOptions,
    ParserName,
    StateOptions,
    TrapOptions,
    UrlOptions,
    available_cpus,
    check_choice,
)
from scraper.robots import product_token
from scraper.sinks import Sink
from scraper.traps import Traps
from scraper.url_form import url_form
from scraper.urls import Scope
from scraper.wiring.beside import Beside
from scraper.wiring.detours import Detours
from scraper.wiring.manners import Manners
from scraper.wiring.output import ItemChannel, Output
from scraper.wiring.parsing import Parsing
from scraper.wiring.site_rules import SiteRules
from scraper.wiring.visits import Visits

_log = logging.getLogger("scraper")

Seed = str | Request
Seeds = Seed | Iterable[Seed] | AsyncIterable[Seed]

_TRAPS = TrapOptions()
_OUTLINE = "scraper.parse.outline:outline"


class Crawler:
    """Crawls sites with one handler, and parses where that is fastest for the handler.

    It makes no signal handlers and does not own the event loop. It runs one crawl at a time, and any number one
    after another; several crawlers may run at once, and may share a pool.

        async with Crawler(parse, parser="lxml") as crawler:
            async for item in crawler.stream("https://example.org/"):
                ...

    Args:
        handler: a top-level function or its name, for pages whose request names no other; None is the outline,
            which also follows every link in scope.
        parser: lxml, lexbor, html.parser or bs4.
        executor: auto, inline, thread, process or interpreter, for a pool of its own; None is what `offload` says,
            and auto without it.
        workers: threads or processes of a pool of its own; None is one for each CPU that may be used.
        offload: options of a pool of its own, such as a page's deadline; or a pool to share, which is not closed
            with the crawler.
        fetch: options, or a fetcher of your own, such as `MockFetcher` in tests.
        pace: how many requests may be under way, and how often one is tried.
        limits: where a crawl ends.
        urls: how URLs are rewritten before they are compared and fetched.
        traps: which links are taken to be endless; None: none are.
        state: a file that keeps the crawl, or its options. A crawl that was killed, or stopped, goes on where it was
            when it is run again with the same file; without one, a crawl lives and dies with its process.

    Raises:
        UsageError: an option or the handler is wrong; the message says what to change.
    """

    def __init__(
        self,
        handler: Callable[..., Any] | str | None = None,
        *,
        parser: ParserName = "lxml",
        executor: ExecutorName | None = None,
        workers: int | None = None,
        offload: OffloadPool | OffloadOptions | None = None,
        fetch: FetchOptions | Fetcher | None = None,
        pace: PaceOptions | None = None,
        limits: LimitOptions | None = None,
        urls: UrlOptions | None = None,
        traps: TrapOptions | None = _TRAPS,
        state: StateOptions | str | PathLike[str] | None = None,
    ) -> None:
        check_choice("parser", parser, PARSERS)
        self._handler = _OUTLINE if handler is None else name_of(handler)
        self._parser = parser
        self._offload = _offload(offload, executor, workers)
        self._fetch = fetch
        self._pace = pace or PaceOptions()
        if isinstance(fetch, FetchOptions) and fetch.cache is not None and fetch.cache.mode == "only":
            # No site is asked, so there is none to be polite to.
            self._pace = replace(self._pace, delay_s=0.0, rate_per_s=None, robots=False)
        self._limits = limits or LimitOptions()
        self._url_options = urls or UrlOptions()
        self._traps = traps
        self._state = StateOptions(path=state) if isinstance(state, str | PathLike) else state
        self._stack = AsyncExitStack()
        self._pool: OffloadPool | None = None
        self._fetcher: Fetcher | None = None
        self._run: _Run | None = None
        self._is_crawling = False
        self._streams: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        state = "crawling" if self._is_crawling else "idle" if self._pool else "closed"
        return f"<Crawler {self._handler} with {self._parser}, {state}{f': {self._run}' if self._is_crawling else ''}>"

    async def __aenter__(self) -> Self:
        script = import_under_way()
        if script is not None:
            raise HandlerNotImportable(
                f"{Path(script).name} starts a crawl while it is imported for its handler: "
                'put the crawl under if __name__ == "__main__"'
            )
        if self._pool is not None:
            raise NotRunning("this crawler is open already")
        async with AsyncExitStack() as stack:
            pool = self._offload
            if isinstance(pool, OffloadOptions):
                pool = await stack.enter_async_context(OffloadPool(options=pool))
            fetcher = self._fetch
            if fetcher is None or isinstance(fetcher, FetchOptions):
                options = fetcher or FetchOptions()
                connections = self._pace.concurrency
                gate = _CurrentGate(lambda: self._run)
                fetcher = await stack.enter_async_context(AioFetcher(options, gate, connections, self._is_named))
            stack.push_async_callback(self._end_streams)
            self._pool, self._fetcher = pool, fetcher
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool = self._fetcher = None
        await self._stack.aclose()

    async def run(
        self,
        *seeds: Seeds,
        sinks: Sequence[Sink | str | PathLike[str]] = (),
        failures: Sink | None = None,
        listed: AsyncIterable[Seed] | None = None,
        on_snapshot: Callable[[Snapshot], None] | None = None,
    ) -> Statistics:
        """Crawls from the seeds to the end, and gives the items to the sinks.

        Args:
            seeds: URLs, requests, or iterables of them; an async one is read while the crawl runs. User and password
                in a URL go with every request to its origin, and are kept in memory alone.
            sinks: where items go: sinks, which are opened and closed here, or paths, whose suffix says the format.
            failures: gets one record for each failed page: url, stage, reason, detail, attempts. Without it, their
                number and the first of them are logged.
            listed: URLs or requests that are crawled if the seeds' scope has them, such as `scraper.sitemaps()` gives;
                read while the crawl runs.
            on_snapshot: called on the event loop four times a second.

        Raises:
            UsageError: a seed, the handler, an output or the state file is refused; nothing was fetched. A seed of an
                async iterable that is no URL ends the crawl when it comes.
            WorkerStartFailed: the workers did not come up; nothing was fetched.
            SinkError: an output failed; `statistics` tells how far the crawl came.
            StateError: the state file failed; what was committed is kept.
            NotRunning: outside `async with`, while another crawl of this crawler runs, or because the pool that
                it shares was closed under it.
        """
        if self._pool is None or self._fetcher is None:
            raise NotRunning("the crawler is closed: use it inside async with")
        if self._is_crawling:
            raise NotRunning("this crawler is crawling: start another Crawler for a crawl at the same time")
        self._is_crawling = True
        try:
            first, later = _split(seeds, may_be_none=self._state is not None)
            token = self._product_token() if self._limits.respect_nofollow else None
            parsing = Parsing(self._pool, self._parser, self._handler, token)
            output = Output(sinks, failures, self._state)
            self._run = run = _Run(
                parsing=parsing,
                fetcher=self._fetcher,
                output=output,
                pace=self._pace,
                limits=self._limits,
                url_options=self._url_options,
                traps=Traps(self._traps, max_pages_per_host=self._limits.max_pages_per_host),
                state=self._state,
                agent=self._product_token() if self._heeds_robots() else None,
                on_snapshot=on_snapshot,
            )
            try:
                await run.crawl_all(first, later, _requests(listed))
            finally:
                await parsing.aclose()
            stats = run.statistics()
            if stats.failed and failures is None:
                _log.warning("%d of %d pages failed, such as %s", stats.failed, stats.seen, output.first_failure)
            return stats
        finally:
            self._is_crawling = False

    async def stream(self, *seeds: Seeds) -> AsyncGenerator[Item, None]:
        """Crawls, and yields items as pages are committed.

        A page is committed after its last item was taken, so a consumer that is slow slows the crawl, and one
        that breaks off leaves the page of its last item uncommitted: at least once, in other words. Leaving the
        loop ends the crawl; to crawl again at once after a `break`, write the loop inside
        `async with contextlib.aclosing(crawler.stream(...))`. Raises as `run` does.
        """
        channel = ItemChannel()
        crawl = asyncio.create_task(self._feed(channel, seeds))
        self._streams.add(crawl)
        try:
            while (batch := await channel.take()) is not None:
                for record in batch:
                    yield record.item
            await crawl
        finally:
            crawl.cancel()
            await asyncio.wait([crawl])
            self._streams.discard(crawl)

    async def _feed(self, channel: ItemChannel, seeds: tuple[Seeds, ...]) -> None:
        try:
            await self.run(*seeds, sinks=[channel])
        finally:
            channel.finish()

    async def _end_streams(self) -> None:
        for crawl in self._streams:
            crawl.cancel()
        if self._streams:
            await asyncio.wait(self._streams)

    async def add(self, *requests: Seed) -> None:
        """Adds seeds to the crawl that runs.

        Raises:
            NotRunning: no crawl runs.
            InvalidURL: one of them cannot be fetched; none was added.
        """
        if self._run is None or not self._is_crawling:
            raise NotRunning("no crawl is running to add to")
        await self._run.add([_request(seed) for seed in requests])

    def stop(self, reason: str = "stopped") -> None:
        """Ends the crawl that runs in good order: what is in flight is finished, nothing more is started."""
        if self._run is not None and self._is_crawling:
            self._run.crawl.stop(reason)

    @property
    def beside(self) -> Fetcher:
        """Fetches what is not a request of the crawl that runs, at the pace of its hosts.

        await crawler.run(url, listed=scraper.sitemaps(url, fetch=crawler.beside))
        """
        return Beside(lambda: self._run if self._is_crawling else None)

    @property
    def snapshot(self) -> Snapshot | None:
        """The crawl as it was at most a quarter of a second ago; None before the first."""
        return self._run.latest if self._run is not None else None

    @property
    def statistics(self) -> Statistics | None:
        """Numbers of the crawl that runs or ran last, also when it ended with an error; None before the first."""
        return self._run.statistics() if self._run is not None else None

    def _heeds_robots(self) -> bool:
        if self._pace.robots is not None:
            return self._pace.robots
        return self._fetch is None or isinstance(self._fetch, FetchOptions)

    def _product_token(self) -> str:
        """The name by which sites speak to this crawler; empty where nobody knows under which it goes."""
        options = FetchOptions() if self._fetch is None else self._fetch
        return product_token(options.agent) if isinstance(options, FetchOptions) else ""

    def _is_named(self, host_port: str) -> bool:
        if isinstance(self._fetch, FetchOptions) and not self._fetch.addresses.trust_seeds:
            return False
        return self._run is not None and self._run.is_named(host_port)


class _CurrentGate:
    """The gate of whatever crawl is running; the fetcher outlives it."""

    def __init__(self, run: Callable[[], _Run | None]) -> None:
        self._run = run

    @property
    def _gate(self) -> Gate:
        run = self._run()
        return OpenGate() if run is None else run.visits

    async def hop(self, request: Request, url: str) -> Skip | Failure | None:
        return await self._gate.hop(request, url)

    async def again(self, url: str) -> None:
        await self._gate.again(url)

    def left(self, url: str) -> None:
        self._gate.left(url)

    def replayed(self, url: str) -> None:
        self._gate.replayed(url)


class _Run:
    """The parts of one crawl, and what they tell about it."""

    def __init__(
        self,
        *,
        parsing: Parsing,
        fetcher: Fetcher,
        output: Output,
        pace: PaceOptions,
        limits: LimitOptions,
        url_options: UrlOptions,
        traps: Traps,
        state: StateOptions | None,
        agent: str | None,
        on_snapshot: Callable[[Snapshot], None] | None,
    ) -> None:
        self._parsing = parsing
        self._fetcher = fetcher
        self._cached_before = _cache_counts(fetcher)
        self._output = output
        self._on_snapshot = on_snapshot
        self._pace = pace
        self._scope = Scope(limits.scope)
        self._pacer = Pacer(pace)
        self._limits = limits
        self._frontier = self._make_frontier(state, limits, url_options)
        detours = Detours(self._frontier)
        self.visits = Visits(self._frontier, fetcher, self._admit_hop, detours, self._look)
        self._rules = self._make_rules(agent)
        self._traps = traps
        self._manners = Manners(self._pacer, self._rules, traps, detours)
        self._form = url_form(url_options)
        self._recorder = Recorder()
        self._lag = LagMeter(self._recorder.clock, self._on_tick)
        self._live = LiveVerdict()
        self.crawl = Crawl(
            frontier=self._frontier,
            fetcher=self.visits,
            manners=self._manners,
            form=self._form,
            parsing=parsing,
            output=output,
            recorder=self._recorder,
            pace=self._pace,
            limits=limits,
            on_sample=self._sample,
        )
        self.latest: Snapshot | None = None
        self._final: Statistics | None = None

    def __repr__(self) -> str:
        return repr(self.crawl)

    def _make_frontier(self, state: StateOptions | None, limits: LimitOptions, url_options: UrlOptions) -> Frontier:
        retry = RetryPolicy(self._pace)
        if state is None:
            return MemoryFrontier(scope=self._scope, pacer=self._pacer, retry=retry, max_depth=limits.max_depth)
        # 40 ms that only such a crawl needs, and file locks, which not every system has.
        from scraper.frontier.durable import DurableFrontier  # noqa: PLC0415

        depth = None if limits.max_depth is None else str(limits.max_depth)
        return DurableFrontier(
            state,
            about={
                "handler": self._parsing.title,
                "scope": limits.scope,
                "max-depth": depth,
                "failures": self._output.failures_name,
                "rewritten URLs": _in_words(url_options),
            },
            outputs=self._output.names,
            scope=self._scope,
            pacer=self._pacer,
            retry=retry,
            in_flight=self._parsing.capacity_pages + self._pace.concurrency,
            max_depth=limits.max_depth,
        )

    async def crawl_all(
        self, first: list[Request], later: AsyncIterable[Request], listed: AsyncIterable[Request]
    ) -> None:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._frontier.aclose)
            await self._frontier.open([self._as_seed(request) for request in first])
            if self._limits.max_pages_per_host is not None:
                self._traps.restore(await self._frontier.pages_by_host())
            try:
                await self._parsing.prepare()
                stack.push_async_callback(self._output.close)
                await self._commit(await self._output.open(await self._frontier.take_outputs()))
                await self._tidy_outputs(is_end=False)
            except (UsageError, WorkerStartFailed):
                self._frontier.disown()
                raise
            self._recorder.start()
            self._lag.start()
            try:
                await self.crawl.run(self._as_seeds(later), self._in_form(listed))
                if not self._frontier.statistics().waiting:
                    await self._commit(await self._output.finish())
                    await self._tidy_outputs(is_end=True)
            except StateInDoubt:
                self._output.leave()
                raise
            finally:
                self._lag.stop()
                self._sample()
                self._final = self.statistics()
                self._recorder.stop()

    async def add(self, requests: Sequence[Request]) -> None:
        await self.crawl.add([self._as_seed(request) for request in requests])

    def _as_seed(self, request: Request) -> Request:
        """A request of the user's as the crawl carries it: in its form, without a password, which the fetcher keeps."""
        if "@" in request.url and isinstance(self._fetcher, AioFetcher):
            request = request.with_url(self._fetcher.keep_credentials(urls.canonical(request.url)))
        return request if self._form is None else self._form.of_request(request)

    async def _as_seeds(self, requests: AsyncIterable[Request]) -> AsyncIterator[Request]:
        async for request in requests:
            yield self._as_seed(request)

    async def _in_form(self, requests: AsyncIterable[Request]) -> AsyncIterator[Request]:
        async for request in requests:
            yield request if self._form is None else self._form.of_request(request)

    async def _tidy_outputs(self, *, is_end: bool) -> None:
        """Cuts what crawlers left that died: before the first page, and when others died beside this one."""
        left = await self._frontier.adopt_outputs()
        await self._output.tidy(left, self._frontier.release_outputs, is_end=is_end)

    async def _commit(self, delivery: Delivery) -> None:
        """How the outputs stand, without a page."""
        if delivery != Delivery():
            await self._frontier.commit((), delivery)
            self._output.committed(delivery)

    def is_named(self, host_port: str) -> bool:
        """Whether the user named a host and port, which may then be at a private address."""
        return self._scope.is_named(host_port)

    def _make_rules(self, agent: str | None) -> SiteRules | None:
        if agent is None:
            return None
        return SiteRules(
            frontier=self._frontier,
            pacer=self._pacer,
            pace=self._pace,
            agent=agent,
            fetch=self.visits.run_errand,
        )

    async def run_errand(self, request: Request, max_body_bytes: int) -> Answer:
        return await self.visits.run_errand(request, max_body_bytes)

    async def robots_text(self, url: str) -> bytes | Failure | None:
        return None if self._rules is None else await self._rules.text(url)

    async def _admit_hop(self, request: Request, hop_url: str) -> Skip | Failure | None:
        """Why a redirect is not followed; None if it is."""
        if not self._is_in_scope(request, hop_url):
            return Skip("out_of_scope", f"redirected to {urls.without_credentials(hop_url)}")
        if not self._manners.is_known(hop_url):
            await self._manners.learn(hop_url)
        return self._manners.verdict_on_hop(hop_url)

    def _is_in_scope(self, request: Request, hop_url: str) -> bool:
        """Whether a redirect leads into scope. A seed that moved to www, or from there, takes its scope along."""
        if self._scope.admits(hop_url):
            return True
        has_moved = urls.host_port(request.url) != urls.host_port(hop_url) and urls.is_same_site(request.url, hop_url)
        if has_moved and self._scope.is_seed(request.url):
            self._frontier.widen(urls.origin(hop_url) + request.url.removeprefix(urls.origin(request.url)))
            return self._scope.admits(hop_url)
        return False

    def _on_tick(self, ticks: int, barred: int) -> None:
        self._recorder.looked(ticks, barred, self.crawl.waits_for, self.crawl.fetching)

    def _look(self) -> None:
        self.crawl.look()

    def _sample(self) -> None:
        counts = self._frontier.statistics()
        usage = self._recorder.usage(
            pages=self.crawl.pages,
            lag=self._lag,
            sink_wall_s=self.crawl.sink_s,
            sink_cpu_s=self._output.loop_cpu_s,
        )
        self.latest = self._recorder.snapshot(
            seen=counts.seen,
            done=counts.done,
            failed=counts.failed,
            skipped=counts.skipped,
            in_flight=self.crawl.in_flight,
            loop_lag_s=self._lag.take_recent_max_s(),
            verdict=self._live.update(usage, self._load),
        )
        if self._on_snapshot is not None:
            self._on_snapshot(self.latest)

    def statistics(self) -> Statistics:
        if self._final is not None:
            return self._final
        counts = self._frontier.statistics()
        recorder = self._recorder
        elapsed_s = recorder.elapsed_s
        late = self._lag.lateness
        worker_cpu_s = recorder.cpu_s(Stage.PARSE, Stage.EXTRACT)
        used = {strategy.executor for strategy in self._parsing.strategies()}
        in_processes, is_inline = "process" in used, "inline" in used
        return Statistics(
            seen=counts.seen,
            done=counts.done,
            failed=counts.failed,
            skipped=counts.skipped,
            waiting=counts.waiting,
            items=counts.items,
            bytes=counts.bytes,
            elapsed_s=elapsed_s,
            pages_per_s=self.crawl.pages / elapsed_s,
            cpu_s=recorder.process_cpu_s + (worker_cpu_s if in_processes else 0.0),
            parser=self._parsing.parser,
            executor=self._parsing.pool.executor,
            workers=self._parsing.pool.workers,
            strategies=self._parsing.strategies(),
            failures=counts.failures,
            skips=counts.skips,
            dropped=counts.dropped,
            retries=recorder.retries,
            stages=recorder.stages(is_parsing_on_loop=is_inline),
            loop_lag_ms=LagStatistics(late.quantile_s(0.5) * 1000, late.quantile_s(0.99) * 1000, late.max_s * 1000),
            verdict=judge(self._load(recorder.steady())),
            series=recorder.series(),
            stopped=self.crawl.stopped,
            cache=_cache_counts(self._fetcher, since=self._cached_before),
        )

    def _load(self, used: Usage) -> Load:
        busiest = max(self._parsing.strategies(), key=lambda strategy: strategy.pages, default=None)
        return Load(
            used=used,
            concurrency=self._pace.concurrency,
            per_host=self._pace.per_host,
            hosts=self._frontier.statistics().hosts_met,
            workers=self._parsing.pool.workers if busiest is None else busiest.workers,
            cores=available_cpus(),
            executor="inline" if busiest is None else busiest.executor,
            parser=self._parsing.parser,
            alternatives={} if busiest is None else self._parsing.predicted(busiest.handler),
        )


def _in_words(options: UrlOptions) -> str | None:
    """How URLs are rewritten; None if they are not."""
    flags = {
        "sort-query": options.sort_query,
        "drop-tracking": options.drop_tracking,
        "drop-session-ids": options.drop_session_ids,
    }
    words = [name for name, is_set in flags.items() if is_set]
    words += [f"drop-params {name}" for name in sorted(options.drop_parameters)]
    return ", ".join(words) or None


def _offload(
    offload: OffloadPool | OffloadOptions | None, executor: ExecutorName | None, workers: int | None
) -> OffloadPool | OffloadOptions:
    if not isinstance(offload, OffloadPool):
        options = offload or OffloadOptions()
        return replace(
            options,
            executor=options.executor if executor is None else executor,
            workers=options.workers if workers is None else workers,
        )
    if executor is not None or workers is not None:
        raise InvalidOption("offload is a pool, which has its executor and its workers: leave out executor and workers")
    return offload


def _cache_counts(fetcher: Fetcher, since: CacheCounts | None = None) -> CacheCounts | None:
    counts = fetcher.cache_counts if isinstance(fetcher, AioFetcher) else None
    return counts if counts is None or since is None else counts.since(since)


def _request(seed: Seed) -> Request:
    return Request(seed) if isinstance(seed, str) else seed


async def _requests(listed: AsyncIterable[Seed] | None) -> AsyncIterator[Request]:
    if listed is not None:
        async for seed in listed:
            yield _request(seed)


def _split(seeds: tuple[Seeds, ...], *, may_be_none: bool) -> tuple[list[Request], AsyncIterator[Request]]:
    first: list[Request] = []
    later: list[AsyncIterable[Seed]] = []
    for seed in seeds:
        if isinstance(seed, str):
            first.append(Request(seed))
        elif isinstance(seed, Request):
            first.append(seed)
        elif isinstance(seed, AsyncIterable):
            later.append(seed)
        else:
            first.extend(_request(one) for one in cast("Iterable[Seed]", seed))
    if not first and not later and not may_be_none:
        raise UsageError("nothing to crawl: give at least one URL")

    async def chained() -> AsyncIterator[Request]:
        for source in later:
            async for seed in source:
                yield _request(seed)

    return first, chained()
