"""What a report is made of: plain values, so that any crawl, bench or file of numbers can become one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OK = "ok"
"""The status of a row that was measured to its end."""


@dataclass(frozen=True, slots=True)
class TimePoint:
    """A crawl at one moment.

    Args:
        at_s: since the start.
        pages_per_s: pages that ended a second, since the point before.
        waiting: requests that have no end yet.
        in_flight: of these, the ones under way.
        loop_lag_ms: worst lateness of the event loop since the point before.
        failed: pages that failed until now.
    """

    at_s: float
    pages_per_s: float
    waiting: int
    in_flight: int
    loop_lag_ms: float
    failed: int


@dataclass(frozen=True, slots=True)
class FailedPage:
    """One page that failed, for the lists of examples; `reason` is what statistics count by."""

    url: str
    stage: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class CrawlReport:
    """One crawl.

    Args:
        title: such as the first seed.
        command: as it was typed.
        stats: the numbers in the form of the `--stats` file; what is missing is left out of the report.
        series: in the order of time.
        environment: name to value, such as Python, CPUs, versions.
        failed_pages: the first few, as examples.
        output: where the items are; None if nowhere.
        warnings: sentences about the output.
    """

    title: str
    command: str
    stats: Mapping[str, Any]
    series: tuple[TimePoint, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    failed_pages: tuple[FailedPage, ...] = ()
    output: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One strategy: a parser and the place where it ran.

    Args:
        parser, executor: by name.
        workers: threads or processes; 0 in line.
        pages: that were crawled.
        pages_per_s: throughput.
        loop_lag_p50_ms, loop_lag_p99_ms, loop_lag_max_ms: the event loop's lateness.
        cpu_s_per_page: of all processes.
        rss_mb: peak memory of all processes.
        status: "ok", or in a word why there are no numbers.
        series: in the order of time.
    """

    parser: str
    executor: str
    workers: int
    pages: int
    pages_per_s: float
    loop_lag_p50_ms: float
    loop_lag_p99_ms: float
    loop_lag_max_ms: float
    cpu_s_per_page: float
    rss_mb: float
    status: str = OK
    series: tuple[TimePoint, ...] = ()


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """Several strategies on the same pages.

    Args:
        title: what was compared.
        command: as it was typed.
        site: the pages, in a few words.
        rows: in the order in which they are shown; rows of one parser belong together.
        environment: name to value, such as Python, CPUs, versions.
    """

    title: str
    command: str
    site: str
    rows: tuple[ComparisonRow, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
