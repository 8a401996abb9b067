"""What people look at: reports as HTML files, and tables, summaries and progress in a terminal.

Names are imported when first used: a report in HTML needs no terminal library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scraper.report.bench_page import render_bench as render_bench
    from scraper.report.bench_terminal import MeasuringDisplay as MeasuringDisplay
    from scraper.report.bench_terminal import print_bench as print_bench
    from scraper.report.bench_terminal import print_changes as print_changes
    from scraper.report.comparison_page import render_comparison as render_comparison
    from scraper.report.crawl_page import render_crawl as render_crawl
    from scraper.report.progress import ProgressDisplay as ProgressDisplay
    from scraper.report.terminal import console_for as console_for
    from scraper.report.terminal import print_comparison as print_comparison
    from scraper.report.terminal import print_summary as print_summary
    from scraper.report.terminal import result_line as result_line
    from scraper.report.values import ComparisonReport as ComparisonReport
    from scraper.report.values import ComparisonRow as ComparisonRow
    from scraper.report.values import CrawlReport as CrawlReport
    from scraper.report.values import FailedPage as FailedPage
    from scraper.report.values import TimePoint as TimePoint

_HOME = {
    "ComparisonReport": "scraper.report.values",
    "ComparisonRow": "scraper.report.values",
    "CrawlReport": "scraper.report.values",
    "FailedPage": "scraper.report.values",
    "MeasuringDisplay": "scraper.report.bench_terminal",
    "ProgressDisplay": "scraper.report.progress",
    "TimePoint": "scraper.report.values",
    "console_for": "scraper.report.terminal",
    "print_bench": "scraper.report.bench_terminal",
    "print_changes": "scraper.report.bench_terminal",
    "print_comparison": "scraper.report.terminal",
    "print_summary": "scraper.report.terminal",
    "render_bench": "scraper.report.bench_page",
    "render_comparison": "scraper.report.comparison_page",
    "render_crawl": "scraper.report.crawl_page",
    "result_line": "scraper.report.terminal",
}

__all__ = [
    "ComparisonReport",
    "ComparisonRow",
    "CrawlReport",
    "FailedPage",
    "MeasuringDisplay",
    "ProgressDisplay",
    "TimePoint",
    "console_for",
    "print_bench",
    "print_changes",
    "print_comparison",
    "print_summary",
    "render_bench",
    "render_comparison",
    "render_crawl",
    "result_line",
]


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
