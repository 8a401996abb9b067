"""`scraper crawl`: one crawl, with its outputs, its progress and its summary."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scraper import urls
from scraper.cli import arguments
from scraper.cli.running import Interrupts, run
from scraper.crawler import Crawler
from scraper.errors import InvalidURL, ScraperError, UsageError
from scraper.metrics import Statistics
from scraper.report import CrawlReport, CrawlProgress, describe_environment, print_summary, render_crawl
from scraper.sinks import JsonLinesSink, Sink, sink_for, warnings_of


def add_command(commands: Any) -> None:
    parser = commands.add_parser("crawl", help="crawl from URLs", description="Crawl from one or more URLs.")
    parser.add_argument("urls", nargs="*", metavar="URL")
    parser.add_argument("--urls", dest="urls_file", metavar="FILE|-", help="further URLs, one a line")
    arguments.add_strategy(parser)
    arguments.add_limits(parser)
    group = parser.add_argument_group("outputs")
    group.add_argument("--output", metavar="FILE", help=".jsonl .csv .sqlite .parquet, or - for JSON lines on stdout")
    group.add_argument("--failures", metavar="FILE", help="failed pages and why, as JSON lines")
    group.add_argument("--stats", metavar="FILE", help="the crawl's numbers, as JSON")
    group.add_argument("--report", metavar="FILE", help="the crawl in pictures, as one HTML file")
    group.add_argument("--quiet", action="store_true", help="no progress, no summary")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace) -> int:
    seeds = [*_checked(parsed.urls), *_from_file(parsed.urls_file)]
    if not seeds:
        raise UsageError("nothing to crawl: give at least one URL, or --urls FILE")
    for option in ("failures", "stats", "report"):
        arguments.check_writable(f"--{option}", getattr(parsed, option))
    crawler = Crawler(
        arguments.handler_name(parsed.handler),
        parser=parsed.parser,
        executor=parsed.executor,
        workers=parsed.workers,
        fetch=arguments.fetch_options(parsed),
        pace=arguments.pace_options(parsed),
        limits=arguments.limit_options(parsed),
    )
    sinks = [sink_for(parsed.output)] if parsed.output else []
    failures = JsonLinesSink(parsed.failures) if parsed.failures else None
    return run(_crawl(crawler, seeds, sinks, failures, parsed))


async def _crawl(
    crawler: Crawler, seeds: Sequence[str], sinks: Sequence[Sink], failures: Sink | None, parsed: argparse.Namespace
) -> int:
    interrupts = Interrupts(crawler.stop)
    progress = CrawlProgress(quiet=parsed.quiet)
    try:
        with interrupts.installed(), progress:
            async with crawler:
                await crawler.run(*seeds, sinks=sinks, failures=failures, on_snapshot=progress.update)
    except asyncio.CancelledError:
        if interrupts.signal is None:
            raise
    except UsageError:
        raise
    except ScraperError:
        _write_results(crawler.statistics, sinks, parsed)
        raise
    _write_results(crawler.statistics, sinks, parsed)
    return interrupts.status


def _write_results(statistics: Statistics | None, sinks: Sequence[Sink], parsed: argparse.Namespace) -> None:
    if statistics is None:
        return
    stats = statistics.to_dict()
    try:
        if parsed.stats:
            Path(parsed.stats).write_text(json.dumps(stats, indent=2) + "\n", encoding="utf-8")
        if parsed.report:
            Path(parsed.report).write_text(render_crawl(_report(stats)), encoding="utf-8")
    except OSError as error:
        raise ScraperError(f"{error.filename} cannot be written: {(error.strerror or str(error)).lower()}") from error
    if not parsed.quiet:
        print_summary(stats, output=parsed.output, warnings=[w for sink in sinks for w in warnings_of(sink)])


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
