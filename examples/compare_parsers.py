"""One handler, every parser, every executor: how much the choice matters for this handler.

A short run of each on a local site, so take the figures as a first impression.
"""

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

from fixtures_server import FixtureServer, SiteOptions
from scraper import Crawler, LimitOptions, Links, MemorySink, Page
from scraper.options import PARSERS, ExecutorName

EXECUTORS: tuple[ExecutorName, ...] = ("inline", "thread", "process")


def parse(page: Page) -> Iterator[Any]:
    """What all four parsers can do: title and links."""
    links = page.links()
    yield {"url": page.url, "title": page.title, "links": len(links)}
    yield Links(tuple(links))


async def main() -> None:
    pages = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    print(f"{'parser':<12} {'executor':<10} {'pages/s':>8} {'lag p99 ms':>11}")
    async with FixtureServer(SiteOptions(pages=pages, page_bytes=30_000, links_per_page=40)) as site:
        for parser in PARSERS:
            for executor in EXECUTORS:
                limits = LimitOptions(max_pages=pages)
                async with Crawler(parse, parser=parser, executor=executor, limits=limits) as crawler:
                    stats = await crawler.run(site.url, sinks=[MemorySink()])
                print(f"{parser:<12} {executor:<10} {stats.pages_per_s:>8.0f} {stats.loop_lag_ms.p99:>11.1f}")


if __name__ == "__main__":
    asyncio.run(main())
