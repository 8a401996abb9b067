"""`scraper demo`: a local site, one crawl a strategy, a table and a report."""

from __future__ import annotations

import argparse
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fixtures_server import FixtureServer, SiteOptions
from scraper.cli import arguments
from scraper.cli.running import run
from scraper.crawler import Crawler
from scraper.errors import ScraperError, UsageError
from scraper.metrics import Statistics
from scraper.options import PARSERS, ExecutorName, LimitOptions, PaceOptions, ParserName, available_cpus, check_positive
from scraper.report import (
    ComparisonReport,
    ComparisonRow,
    comparison_table,
    describe_environment,
    print_comparison,
    render_comparison,
    time_points,
)

_EXECUTORS: tuple[ExecutorName, ...] = ("inline", "thread", "process")
# Long enough for a rate that repeats within a few per cent, short enough for twelve crawls in a minute.
_SECONDS_A_CRAWL = 3.0
_SITE = SiteOptions(pages=3000, page_bytes=40_000, links_per_page=60)


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "demo",
        help="see on a local site how parser and executor change throughput",
        description="Crawls a local site once a strategy, and writes a table and an HTML report.",
    )
    parser.add_argument("--report", default="out/demo.html", metavar="FILE", help="default: out/demo.html")
    parser.add_argument(
        "--seconds", type=float, default=_SECONDS_A_CRAWL, metavar="S", help="for each of the twelve crawls"
    )
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace) -> int:
    check_positive("--seconds", parsed.seconds)
    report = Path(parsed.report)
    try:
        report.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--report {report}: {error.strerror}") from error
    arguments.check_writable("--report", parsed.report)
    return run(_demo(parsed.seconds, report))


async def _demo(seconds: float, path: Path) -> int:
    rows: list[ComparisonRow] = []
    async with FixtureServer(_SITE) as site:
        for parser in PARSERS:
            for executor in _EXECUTORS:
                rows.append(await _crawl(site.url, parser, executor, seconds))
                _say(rows[-1], len(PARSERS) * len(_EXECUTORS), len(rows))
    ...
    return 0
