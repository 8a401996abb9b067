"""Reports with numbers as a real crawl gives them."""

import math
from typing import Any

import pytest

from scraper.report import ComparisonReport, ComparisonRow, CrawlReport, FailedPage, TimePoint

ENVIRONMENT = {
    "Python": "3.11.7 (CPython)",
    "CPUs": "2",
    "System": "Linux x86_64",
    "lxml": "6.1.3",
    "selectolax": "1.0.2",
    "aiohttp": "3.14.5",
    "uvloop": "0.23.0",
}

# parser, executor, workers, pages/s, lag p50, p99, max, CPU ms a page, MB
MEASURED: tuple[tuple[str, str, int, float, float, float, float, float, float], ...] = (
    ("lxml", "inline", 0, 350, 14, 85, 120, 3.1, 62),
    ("lxml", "thread", 2, 520, 1.1, 18, 40, 3.4, 71),
    ("lxml", "process", 2, 500, 0.3, 4.6, 12, 3.7, 150),
    ("lexbor", "inline", 0, 560, 8, 52, 80, 1.9, 58),
    ("lexbor", "thread", 2, 745, 0.9, 14, 33, 2.1, 66),
    ("lexbor", "process", 2, 690, 0.3, 4.1, 11, 2.4, 140),
    ("html.parser", "inline", 0, 60, 30, 400, 520, 16.5, 51),
    ("html.parser", "thread", 2, 58, 12, 120, 310, 17.1, 55),
    ("html.parser", "process", 2, 95, 0.4, 5, 14, 17.4, 128),
    ("bs4", "inline", 0, 20.4, 55, 900, 1_300, 48.5, 66),
    ("bs4", "thread", 2, 19.1, 13, 230, 600, 52.0, 74),
    ("bs4", "process", 2, 32.7, 0.4, 6, 15, 51.2, 161),
)


def series(pages_per_s: float, pages: int, lag_ms: float, every_s: float = 0.25) -> tuple[TimePoint, ...]:
    """A course with a start, some waves and an end."""
    length = max(int(pages / pages_per_s / every_s), 2)
    points = []
    for at in range(length + 1):
        wave = 1 + 0.09 * math.sin(at * 1.7) + 0.05 * math.sin(at * 0.31 + pages_per_s)
        rise = min(1.0, (at + 1) / 3)
        points.append(
            TimePoint(
                at_s=at * every_s,
                pages_per_s=pages_per_s * wave * rise,
                waiting=max(int(pages * math.sin(math.pi * min(at / length, 1.0)) * 0.6), 0),
                in_flight=32 if at < length else 0,
                loop_lag_ms=lag_ms * (0.4 + 0.6 * abs(math.sin(at * 2.3))),
                failed=at // 9,
            )
        )
    return tuple(points)


@pytest.fixture
def comparison() -> ComparisonReport:
    rows = [
        ComparisonRow(
            parser, executor, workers, 300, rate, p50, p99, most, cpu_ms / 1000, mb, "ok", series(rate, 300, p99)
        )
        for parser, executor, workers, rate, p50, p99, most, cpu_ms, mb in MEASURED
    ]
    return ComparisonReport(
        title="Four parsers, three places to run them",
        command="scraper demo",
        site="300 synthetic pages of 30 KB, 40 links each, served by a process of its own on this machine.",
        rows=tuple(rows),
        environment=ENVIRONMENT,
    )


STATS: dict[str, Any] = {
    "seen": 1_769,
    "done": 1_480,
    "failed": 14,
    "skipped": 23,
    "waiting": 252,
    "items": 1_480,
    "bytes": 62_400_000,
    "elapsed_s": 24.7,
    "pages_per_s": 60.5,
    "parser": "html.parser",
    "executor": "thread",
    "workers": 2,
    "strategies": [
        {
            "handler": "scraper.outline:outline",
            "parser": "html.parser",
            "executor": "thread",
            "workers": 2,
            "pages": 1_494,
            "why": "as asked",
        }
    ],
    "failures": {"http_404": 9, "timeout": 3, "http_503": 2},
    "skips": {"content_type": 21, "duplicate_redirect": 2},
    "dropped": {"out_of_scope": 3_120, "duplicate": 88_412},
    "stages": {
        "queue": {"count": 1_480, "total_s": 71.0, "cpu_s": 0.0, "p50_ms": 41.0, "p99_ms": 130.0},
        "fetch": {"count": 1_503, "total_s": 92.2, "cpu_s": 1.9, "p50_ms": 38.0, "p99_ms": 410.0},
        "handoff": {"count": 1_480, "total_s": 0.4, "cpu_s": 0.2, "p50_ms": 0.2, "p99_ms": 1.4},
        "parse": {"count": 1_480, "total_s": 45.1, "cpu_s": 21.8, "p50_ms": 29.0, "p99_ms": 71.0},
        "extract": {"count": 1_480, "total_s": 2.0, "cpu_s": 1.1, "p50_ms": 1.2, "p99_ms": 5.0},
        "return": {"count": 1_480, "total_s": 8.8, "cpu_s": 0.3, "p50_ms": 5.1, "p99_ms": 31.0},
        "commit": {"count": 214, "total_s": 1.1, "cpu_s": 0.6, "p50_ms": 3.0, "p99_ms": 19.0},
    },
    "loop_lag_ms": {"p50": 9.8, "p99": 118.0, "max": 231.0},
    "verdict": {
        "bottleneck": "gil",
        "evidence": "threads were parsing 91% of the time but computed only 48% of that: one lock for all",
        "advice": "the process executor: this handler's Python holds the GIL",
        "predicted_gain": 1.58,
    },
}


@pytest.fixture
def crawl() -> CrawlReport:
    return CrawlReport(
        title="https://docs.example.org/",
        command="scraper crawl https://docs.example.org/ --parser html.parser --executor thread "
        "--max-pages 1494 --output pages.jsonl --report report.html",
        stats=STATS,
        series=series(60.5, 1_494, 140),
        environment=ENVIRONMENT,
        failed_pages=(
            FailedPage("https://docs.example.org/old/page.html", "fetch", "http_404", "404 Not Found"),
            FailedPage("https://docs.example.org/slow?q=1", "fetch", "timeout", "no answer within 30 s"),
        ),
        output="pages.jsonl",
    )
