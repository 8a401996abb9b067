"""Crawl a site and print what its pages are about.

python examples/quickstart.py                       a local site of 30 pages
python examples/quickstart.py https://example.org/  a site of yours
"""

import asyncio
import sys

from fixtures_server import FixtureServer, SiteOptions
from scraper import Crawler, LimitOptions


async def crawl(url: str) -> None:
    async with Crawler(limits=LimitOptions(max_pages=100)) as crawler:
        async for item in crawler.stream(url):
            print(f"{item['status']}  {item['links']:>4} links  {item['url']}  {item['title']}")


async def main() -> None:
    if len(sys.argv) > 1:
        await crawl(sys.argv[1])
        return
    async with FixtureServer(SiteOptions(pages=30, page_bytes=8_000)) as site:
        await crawl(site.url)


if __name__ == "__main__":
    asyncio.run(main())
