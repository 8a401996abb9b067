"""`scraper crawl`: one crawl, with its outputs, its progress and its summary."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shlex
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from scraper import urls
from scraper.cli import arguments
from scraper.cli.environment import describe_environment
from scraper.cli.running import Interrupts, run
from scraper.cli.series import time_points
from scraper.crawler import Crawler
from scraper.errors import InvalidURL, ScraperError, SinkError, UsageError, WorkerStartFailed
from scraper.report import (
    CrawlReport,
    FailedPage,
    ProgressDisplay,
    console_for,
    print_summary,
    render_crawl,
)
from scraper.sinks import JsonLinesSink, Record, Sink, sink_for, warnings_of


def add_command(commands: Any) -> None:
    parser = commands.add_parser("crawl", help="crawl from URLs", description="Crawl from one or more URLs.")
    parser.add_argument("urls", nargs="*", metavar="URL")
    parser.add_argument("--urls", dest="urls_file", metavar="FILE|-", help="further URLs, one a line")
    arguments.add_strategy(parser)
    arguments.add_limits(parser)
    arguments.add_state(parser)
    group = parser.add_argument_group("outputs")
    group.add_argument("--output", metavar="FILE", help=".jsonl .csv .sqlite .parquet, or - for JSON lines on stdout")
    group.add_argument("--failures", metavar="FILE", help="failed pages and why, as JSON lines")
    group.add_argument("--stats", metavar="FILE", help="the crawl's numbers, as JSON")
    group.add_argument("--report", metavar="FILE", help="the crawl in pictures, as one HTML file")
    group.add_argument("--quiet", action="store_true", help="no progress, no summary")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace) -> int:
    seeds = [*_checked(parsed.urls), *_from_file(parsed.urls_file)]
    state = arguments.state_options(parsed)
    if not seeds and (state is None or not Path(state.path).exists()):
        raise UsageError("nothing to crawl: give at least one URL, or --urls FILE")
    for option in ("failures", "stats", "report"):
        arguments.check_writable(f"--{option}", getattr(parsed, option))
    arguments.check_distinct({f"--{o}": getattr(parsed, o) for o in ("output", "failures", "stats", "report")})
    crawler = Crawler(
        arguments.handler_name(parsed.handler),
        parser=parsed.parser,
        offload=arguments.offload_options(parsed),
        fetch=arguments.fetch_options(parsed),
        pace=arguments.pace_options(parsed),
        limits=arguments.limit_options(parsed),
        state=state,
    )
    return run(_Command(parsed, crawler, seeds).run())


class _Command:
    """One crawl from the command line, from its progress to its files."""

    def __init__(self, parsed: argparse.Namespace, crawler: Crawler, seeds: Sequence[str]) -> None:
        self._parsed = parsed
        self._crawler = crawler
        self._seeds = seeds
        self._sinks = [sink_for(parsed.output)] if parsed.output else []
        self._failures = _Failures(JsonLinesSink(parsed.failures) if parsed.failures else None)
        self._console = console_for(sys.stderr, is_quiet=parsed.quiet)

    async def run(self) -> int:
        crawler = self._crawler
        interrupts = Interrupts(self._stop)
        try:
            # What a handler prints in this process must not stand among the items, and in worker processes it does not.
            with interrupts.installed(), self._progress() as progress, redirect_stdout(sys.stderr):
                async with crawler:
                    await crawler.run(
                        *self._seeds,
                        sinks=self._sinks,
                        failures=self._failures,
                        on_snapshot=None if self._parsed.quiet else progress.update,
                    )
        except asyncio.CancelledError:
            if interrupts.signal is None:
                raise
        except (UsageError, WorkerStartFailed):
            raise
        except ScraperError:
            self._tell()
            raise
        self._tell()
        return interrupts.status

    def _stop(self, reason: str) -> None:
        self._crawler.stop(reason)
        self._console.print("Finishing what is under way. Once more stops at once.")

    def _progress(self) -> ProgressDisplay:
        # Items that scroll through the same terminal would be torn by lines that are redrawn.
        shares_terminal = self._parsed.output == "-" and sys.stdout.isatty()
        return ProgressDisplay(self._console, is_live=False if shares_terminal else None)

    def _tell(self) -> None:
        """Prints the summary, and writes the statistics and the report."""
        statistics = self._crawler.statistics
        if statistics is None:
            return
        parsed, stats = self._parsed, statistics.to_dict()
        warnings = tuple(warning for sink in self._sinks for warning in warnings_of(sink))
        print_summary(self._console, stats, output=parsed.output, failed_pages=self._failures.first, warnings=warnings)
        if parsed.stats:
            _write("--stats", parsed.stats, json.dumps(stats, indent=2) + "\n")
        if parsed.report:
            report = CrawlReport(
                title=urls.without_credentials(self._seeds[0]),
                command=_command_line(),
                stats=stats,
                series=time_points(statistics.series),
                environment=describe_environment(),
                failed_pages=self._failures.first,
                output=parsed.output,
                warnings=warnings,
            )
            _write("--report", parsed.report, render_crawl(report))


class _Failures:
    """The failures' output, if there is one, and the first few of them for the summary."""

    _SHOWN = 5

    def __init__(self, sink: Sink | None) -> None:
        self._sink = sink
        self.first: tuple[FailedPage, ...] = ()

    async def open(self) -> None:
        if self._sink is not None:
            await self._sink.open()

    async def write(self, records: Sequence[Record]) -> None:
        room = self._SHOWN - len(self.first)
        self.first += tuple(
            FailedPage(record.url, record.item["stage"], record.item["reason"], record.item["detail"])
            for record in records[: max(room, 0)]
        )
        if self._sink is not None:
            await self._sink.write(records)

    async def close(self) -> None:
        if self._sink is not None:
            await self._sink.close()


def _command_line() -> str:
    """The command as it was typed, without passwords in its URLs."""
    return shlex.join(["scraper", *(re.sub(r"//[^/@\s]*@", "//", word) for word in sys.argv[1:])])


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
