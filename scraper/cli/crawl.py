"""`scraper crawl`: one crawl, with its outputs, its progress and its summary."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager, redirect_stdout
from os import PathLike
from pathlib import Path
from typing import Any

from scraper import command_line, urls
from scraper.cli import arguments
from scraper.cli.environment import describe_environment
from scraper.cli.running import Interrupts, run
from scraper.cli.series import time_points
from scraper.cli.watched import FirstFailures, Watched
from scraper.crawler import Crawler
from scraper.errors import InvalidURL, ScraperError, SinkError, StateRefused, UsageError, WorkerStartFailed
from scraper.frontier.state.reading import StateReader, StateSummary
from scraper.listing import SiteListing
from scraper.metrics import Snapshot
from scraper.report import CrawlReport, ProgressDisplay, console_for, print_summary, render_crawl
from scraper.report.terminal import print_resumption
from scraper.sinks import JsonLinesSink, Resumable, sink_for, warnings_of

# As examples, under the summary.
_MOST_SITEMAP_PROBLEMS = 3


def add_command(commands: Any) -> None:
    parser = commands.add_parser("crawl", help="crawl from URLs", description="Crawl from one or more URLs.")
    parser.add_argument("urls", nargs="*", metavar="URL")
    parser.add_argument("--urls", dest="urls_file", metavar="FILE|-", help="further URLs, one a line")
    parser.add_argument(
        "--sitemap", action="store_true", help="also what the sites list in their sitemaps, if in scope"
    )
    arguments.add_strategy(parser)
    arguments.add_limits(parser)
    arguments.add_addresses(parser)
    arguments.add_pace(parser)
    arguments.add_urls(parser)
    arguments.add_requests(parser)
    arguments.add_state(parser)
    arguments.add_cache(parser)
    group = parser.add_argument_group("outputs")
    group.add_argument("--output", metavar="FILE", help=".jsonl .csv .sqlite .parquet, or - for JSON lines on stdout")
    group.add_argument("--failures", metavar="FILE", help="failed pages and why, as JSON lines")
    group.add_argument("--stats", metavar="FILE", help="the crawl's numbers, as JSON")
    group.add_argument("--report", metavar="FILE", help="the crawl in pictures, as one HTML file")
    group.add_argument("--quiet", action="store_true", help="no progress, no summary")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace) -> int:
    seeds = [*_checked(parsed.urls), *_from_file(parsed.urls_file)]
    _check_files(parsed)
    state = arguments.state_options(parsed)
    if not seeds and (state is None or not Path(state.path).exists()):
        raise UsageError("nothing to crawl: give at least one URL, or --urls FILE")
    before = None if state is None else _before(state.path, must_hold=not seeds)
    crawler = Crawler(
        arguments.handler_name(parsed.handler),
        parser=parsed.parser,
        offload=arguments.offload_options(parsed),
        fetch=arguments.fetch_options(parsed),
        pace=arguments.pace_options(parsed),
        limits=arguments.limit_options(parsed),
        urls=arguments.url_options(parsed),
        traps=arguments.trap_options(parsed),
        state=state,
    )
    return run(_Command(parsed, crawler, seeds, before).run())


def _check_files(parsed: argparse.Namespace) -> None:
    for option in ("failures", "stats", "report"):
        arguments.check_writable(f"--{option}", getattr(parsed, option))
    paths = {f"--{option}": getattr(parsed, option) for option in ("output", "failures", "stats", "report")}
    arguments.check_distinct({"--cache": parsed.cache, **paths})
    output = paths.pop("--output")
    if parsed.state and output and _is_same_file(output, parsed.state) and Path(output).suffix.lower() != ".sqlite":
        raise UsageError(f"--state and --output name the same file, {output}: only a .sqlite holds both")
    arguments.check_distinct({"--state": parsed.state, "--cache": parsed.cache, **paths})


def _before(path: str | PathLike[str], *, must_hold: bool) -> StateSummary | None:
    """The crawl as earlier runs left it; None where the file does not hold one, of which the crawl will say more.

    Raises:
        StateRefused: it does not, and it must.
    """
    try:
        with StateReader(path) as state:
            return state.summary()
    except StateRefused:
        if must_hold:
            raise
        return None


class _Command:
    """One crawl from the command line, from its progress to its files."""

    def __init__(
        self, parsed: argparse.Namespace, crawler: Crawler, seeds: Sequence[str], before: StateSummary | None
    ) -> None:
        self._parsed = parsed
        self._crawler = crawler
        self._seeds = seeds
        self._before = before if before is not None and before.seen else None
        self._output = sink_for(parsed.output) if parsed.output else None
        if parsed.join and isinstance(self._output, Resumable) and not _is_same_file(parsed.output, parsed.state):
            self._output = Watched(self._output)
        self._listing = None
        if parsed.sitemap:
            sites = seeds or (() if before is None else before.seeds)
            self._listing = SiteListing(sites, fetch=crawler.beside)
        self._first_failures = FirstFailures()
        self._console = console_for(sys.stderr, is_quiet=parsed.quiet)

    async def run(self) -> int:
        crawler, parsed, first = self._crawler, self._parsed, self._first_failures
        failures = Watched(JsonLinesSink(parsed.failures), first.take) if parsed.failures else first
        interrupts = Interrupts(self._stop)
        try:
            # What a handler prints in this process must not stand among the items, and in worker processes it does not.
            with interrupts.installed(), self._progress() as progress, redirect_stdout(sys.stderr):
                async with crawler, self._listed() as listed:
                    await crawler.run(
                        *self._seeds,
                        sinks=[] if self._output is None else [self._output],
                        failures=failures,
                        listed=listed,
                        on_snapshot=None if parsed.quiet else progress,
                    )
        except asyncio.CancelledError:
            if interrupts.signal is None:
                raise
        except (UsageError, WorkerStartFailed):
            raise
        except ScraperError:
            self._tell(has_failed=True)
            raise
        self._tell()
        return interrupts.status

    @asynccontextmanager
    async def _listed(self) -> AsyncIterator[AsyncIterator[str] | None]:
        """What the sites of the start URLs list of themselves, if that was asked for."""
        if self._listing is None:
            yield None
            return
        async with aclosing(aiter(self._listing)) as listed:
            yield listed

    def _stop(self, reason: str) -> None:
        self._crawler.stop(reason)
        self._console.print("Finishing what is under way. Once more stops at once.")

    @contextmanager
    def _progress(self) -> Iterator[Callable[[Snapshot], None]]:
        # Items that scroll through the same terminal would be torn by lines that are redrawn.
        shares_terminal = self._parsed.output == "-" and sys.stdout.isatty()
        before, again = self._before, 0
        if before is not None and self._parsed.retry_failed:
            again = before.failed
        ended = 0 if before is None else before.done + before.failed - again
        display = ProgressDisplay(self._console, is_live=False if shares_terminal else None, ended_before=ended)
        is_told = False

        def update(snapshot: Snapshot) -> None:
            nonlocal is_told
            if not is_told:  # only now it is certain that the crawl was not refused
                is_told = True
                self._introduce(again)
            display.update(snapshot)

        with display:
            yield update

    def _introduce(self, again: int) -> None:
        """Says what is to be known before the first page; `again` are the failed ones that wait once more."""
        before, parsed = self._before, self._parsed
        if before is not None:
            print_resumption(
                self._console, parsed.state, seen=before.seen, done=before.done, waiting=before.waiting + again
            )
        sites = self._seeds or (() if before is None else before.seeds)
        if not arguments.is_introduced(parsed) and any(arguments.is_elsewhere(parsed, site) for site in sites):
            self._console.print("The sites do not learn who crawls them: say it with --contact URL|MAIL.")

    def _sitemap_warnings(self) -> Iterator[str]:
        if self._listing is None:
            return
        yield f"the sitemaps listed {self._listing.count:,} URLs"
        for problem in self._listing.problems[:_MOST_SITEMAP_PROBLEMS]:
            yield f"sitemap {problem.url}: {problem.detail or problem.reason}"

    def _tell(self, *, has_failed: bool = False) -> None:
        """Prints the summary, and writes the statistics and the report."""
        statistics = self._crawler.statistics
        if statistics is None:
            return
        parsed, before, first = self._parsed, self._before, self._first_failures.pages
        stats = {**statistics.to_dict(), "state": parsed.state, "resumed": before is not None}
        written = self._output.written if isinstance(self._output, Watched) else self._output
        output = written.output if isinstance(written, Resumable) else parsed.output
        warnings = (*(() if written is None else warnings_of(written)), *self._sitemap_warnings())
        print_summary(
            self._console,
            stats,
            output=output,
            failed_pages=first,
            warnings=warnings,
            done_before=0 if before is None else before.done,
            is_shared=parsed.join,
            has_failed=has_failed,
        )
        if parsed.stats:
            _write("--stats", parsed.stats, json.dumps(stats, indent=2) + "\n")
        if parsed.report:
            seeds = self._seeds or (() if before is None else before.seeds)
            report = CrawlReport(
                title=urls.without_credentials(seeds[0]) if seeds else parsed.state,
                command=command_line.shown(["scraper", *sys.argv[1:]]),
                stats=stats,
                series=time_points(statistics.series),
                environment=describe_environment(),
                failed_pages=first,
                output=output,
                warnings=warnings,
            )
            _write("--report", parsed.report, render_crawl(report))


def _is_same_file(one: str, other: str) -> bool:
    return Path(one).resolve() == Path(other).resolve()


def _write(option: str, path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise SinkError(f"{option} {path} failed: {(error.strerror or str(error)).lower()}") from error


def _checked(texts: Sequence[str]) -> list[str]:
    return [urls.canonical(text) for text in texts]


def _from_file(path: str | None) -> list[str]:
    if path is None:
        return []
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--urls {path} cannot be read: {error}") from error
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        url = line.strip()
        if url and not url.startswith("#"):
            try:
                found.append(urls.canonical(url))
            except InvalidURL as error:
                raise InvalidURL(f"--urls {path}, line {number}: {error}") from error
    return found
