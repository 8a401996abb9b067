"""What a crawl does while its handler runs away: every page that behaves ends, and the event loop stays on time.

    python -m benchmarks.hostile [--pages N] [--deadline S]

Of the site's pages every tenth ends its worker, and in each hundred one loops, one lets a regular expression keep the
GIL, one nests 60,000 elements for lexbor, whose time grows with the square, and one allocates 1 GB and more. It
checks that all others are done, that each offender failed for its own reason, and prints the loop's lag.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from selectolax.lexbor import LexborHTMLParser

from fixtures_server import FixtureServer, SiteOptions
from scraper import Crawler, Links, OffloadOptions, Page
from scraper.sinks import Record

LIMIT_BYTES = 800_000_000
"""Of a worker's memory, below what the page that allocates asks for."""


def number_of(url: str) -> int:
    digits = url.rstrip("/").rsplit("/", 1)[-1]
    return int(digits) if digits.isdigit() else -1


def misdeed(number: int) -> str | None:
    """What the page of a number does, in the words of the failure that it must get."""
    match number % 100:
        case 11 | 22 | 33:
            return "parse_timeout"
        case 44:
            return "out_of_memory"
    return "worker_crashed" if number > 0 and number % 10 == 0 else None


def handler(page: Page) -> Iterator[Any]:
    yield Links(tuple(page.links()))
    number = number_of(page.url)
    match number % 100:
        case 11:
            while True:
                pass
        case 22:
            re.match(r"(a+)+b", "a" * 40)
        case 33:
            for _ in range(100):
                LexborHTMLParser("<div>" * 60_000)
        case 44:
            bytearray(1_000_000_000)
    if misdeed(number) == "worker_crashed":
        ctypes.string_at(0)
    yield {"url": page.url}


class Failures:
    """A sink for the failed pages: number and reason."""

    def __init__(self) -> None:
        self.reasons: dict[int, str] = {}

    async def open(self) -> None:
        pass

    async def write(self, records: Sequence[Record]) -> None:
        self.reasons |= {number_of(record.url): record.item["reason"] for record in records}

    async def close(self) -> None:
        pass


async def measure(pages: int, deadline_s: float) -> int:
    """Crawls in two processes and prints what came of it; the exit status is 0 if every page ended as it must."""
    failures = Failures()
    offload = OffloadOptions(executor="process", workers=2, deadline_s=deadline_s, memory_bytes=LIMIT_BYTES)
    site = SiteOptions(pages=pages, page_bytes=30_000, links_per_page=30)
    async with FixtureServer(site) as server, Crawler(handler, parser="lexbor", offload=offload) as crawler:
        stats = await crawler.run(server.url, failures=failures)
    expected = {number: reason for number in range(pages) if (reason := misdeed(number)) is not None}
    print(f"{stats.done} done, {stats.failed} failed in {stats.elapsed_s:.1f} s: {dict(stats.failures)}")
    print(f"loop lag p99 {stats.loop_lag_ms.p99:.1f} ms, max {stats.loop_lag_ms.max:.1f} ms")
    wrong = {number: (reason, failures.reasons.get(number)) for number, reason in expected.items()}
    wrong = {number: pair for number, pair in wrong.items() if pair[0] != pair[1]}
    innocent = failures.reasons.keys() - expected.keys()
    print(f"offenders: {dict(Counter(expected.values()))}; wrongly ended: {wrong}; innocent and failed: {innocent}")
    is_complete = stats.done + stats.failed == stats.seen == pages
    return 0 if is_complete and not wrong and not innocent else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=400)
    parser.add_argument("--deadline", type=float, default=1.0)
    parsed = parser.parse_args()
    return asyncio.run(measure(parsed.pages, parsed.deadline))


if __name__ == "__main__":
    sys.exit(main())
