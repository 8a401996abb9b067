"""`scraper demo`: a local site, one crawl a strategy, a table and a report."""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import sys
from pathlib import Path
from typing import Any

import psutil

from fixtures_server import FixtureServer, SiteOptions
from scraper.cli import arguments
from scraper.cli.environment import describe_environment
from scraper.cli.running import Interrupts, run
from scraper.cli.series import time_points
from scraper.crawler import Crawler
from scraper.errors import UsageError
from scraper.metrics import Snapshot
from scraper.options import PARSERS, ExecutorName, LimitOptions, PaceOptions, ParserName, available_cpus, check_positive
from scraper.report import (
    ComparisonReport,
    ComparisonRow,
    ProgressDisplay,
    console_for,
    print_comparison,
    render_comparison,
    result_line,
)
from scraper.sinks import MemorySink

_EXECUTORS: tuple[ExecutorName, ...] = ("inline", "thread", "process")
# Long enough for a rate that repeats within some per cent, short enough for twelve crawls in a minute.
_SECONDS_A_CRAWL = 2.5
# Pages as long as real ones, and more of them than the fastest strategy can crawl in its time.
_SITE = SiteOptions(pages=20_000, page_bytes=40_000, links_per_page=60)


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "demo",
        help="see on a local site how parser and executor change throughput",
        description="Crawls a local site once a strategy, prints a table, and writes an HTML report.",
    )
    parser.add_argument("--report", default="out/demo.html", metavar="FILE", help="default: out/demo.html")
    parser.add_argument(
        "--seconds",
        type=float,
        default=_SECONDS_A_CRAWL,
        metavar="S",
        help=f"for each of the twelve crawls (default: {_SECONDS_A_CRAWL})",
    )
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace) -> int:
    check_positive("--seconds", parsed.seconds)
    path = Path(parsed.report)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--report {path}: {error.strerror}") from error
    arguments.check_writable("--report", parsed.report)
    return run(_Demo(parsed.seconds, path).run())


class _Demo:
    """Twelve crawls of one site, one after another."""

    def __init__(self, seconds: float, path: Path) -> None:
        self._seconds = seconds
        self._path = path
        self._console = console_for(sys.stderr)
        self._interrupts = Interrupts(self._stop)
        self._crawler: Crawler | None = None
        self._rows: list[ComparisonRow] = []

    async def run(self) -> int:
        try:
            with self._interrupts.installed():
                await self._measure()
        except asyncio.CancelledError:
            if self._interrupts.signal is None:
                raise
            return self._interrupts.status
        if not self._rows:
            return self._interrupts.status
        report = ComparisonReport(
            title="Four parsers, three places to run them",
            command="scraper demo",
            site=f"a local site with pages of {_SITE.page_bytes // 1000} KB and {_SITE.links_per_page} links, "
            f"about {self._seconds:g} s for each crawl",
            rows=tuple(self._rows),
            environment=describe_environment(),
        )
        self._path.write_text(render_comparison(report), encoding="utf-8")
        print_comparison(console_for(sys.stdout), self._rows)
        print(f"Report: {self._path.resolve().as_uri()}")
        return self._interrupts.status

    async def _measure(self) -> None:
        async with FixtureServer(_SITE) as site:
            if self._interrupts.signal is None:
                await self._warm_up(site.url)
            for parser, executor in itertools.product(PARSERS, _EXECUTORS):
                if self._interrupts.signal is None:
                    self._rows.append(await self._crawl(site, parser, executor))
                    self._console.print(result_line(self._rows[-1]))

    def _stop(self, reason: str) -> None:
        if self._crawler is not None:
            self._crawler.stop(reason)

    async def _warm_up(self, url: str) -> None:
        """Lets the server render its pages, and the interpreter load its modules, before anything is measured."""
        limits = LimitOptions(max_time_s=self._seconds)
        async with Crawler(parser="lexbor", executor="process", limits=limits) as crawler:
            self._crawler = crawler
            await crawler.run(url)

    async def _crawl(self, site: FixtureServer, parser: ParserName, executor: ExecutorName) -> ComparisonRow:
        gc.collect()  # what the crawl before left behind is not to be cleared away in this one's time
        limits = LimitOptions(max_time_s=self._seconds)
        most_bytes = 0
        with ProgressDisplay(self._console, title=f"{parser}, {executor}") as progress:

            def observe(snapshot: Snapshot) -> None:
                nonlocal most_bytes
                most_bytes = max(most_bytes, _resident_bytes(beside=site.pid))
                progress.update(snapshot)

            crawler = self._crawler = Crawler(
                parser=parser, executor=executor, pace=PaceOptions(per_host=32), limits=limits
            )
            async with crawler:
                stats = await crawler.run(site.url, sinks=[MemorySink()], on_snapshot=observe)
        pages = stats.done + stats.failed
        lag = stats.loop_lag_ms
        return ComparisonRow(
            parser=parser,
            executor=executor,
            workers=0 if executor == "inline" else available_cpus(),
            pages=pages,
            pages_per_s=stats.pages_per_s,
            loop_lag_p50_ms=lag.p50,
            loop_lag_p99_ms=lag.p99,
            loop_lag_max_ms=lag.max,
            cpu_s_per_page=stats.cpu_s / max(pages, 1),
            rss_mb=most_bytes / 1e6,
            status="ok" if stats.done else "no page was done",
            series=time_points(stats.series),
        )


def _resident_bytes(*, beside: int) -> int:
    """Memory of this process and its workers, without the server's."""
    this = psutil.Process()
    total = this.memory_info().rss
    for child in this.children(recursive=True):
        if child.pid != beside:
            try:
                total += child.memory_info().rss
            except psutil.Error:  # it ended in between
                continue
    return int(total)
