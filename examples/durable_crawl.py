"""A crawl that is killed and goes on: kill this script at any moment, then start it again.

    python examples/durable_crawl.py

It ends itself with SIGKILL three times, and then shows that nothing is missing and nothing is there twice.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fixtures_server import FixtureServer, SiteOptions
from scraper import Crawler, Page, Snapshot

PAGES = 500
KILLS = 3


def parse(page: Page) -> Iterator[Any]:
    yield {"url": page.url, "title": page.title}
    yield from page.follow("a")


async def crawl(url: str, folder: Path, pages: int) -> None:
    """Goes on with the crawl in this folder, or begins it; dies when so many pages are done."""

    def watch(now: Snapshot) -> None:
        if now.done >= pages:
            os.kill(os.getpid(), signal.SIGKILL)

    async with Crawler(parse, state=folder / "crawl.state") as crawler:
        stats = await crawler.run(url, sinks=[folder / "items.jsonl"], on_snapshot=watch)
    print(f"finished: {stats.done} pages, {stats.items} items")


def main() -> None:
    site = SiteOptions(pages=PAGES, latency_s=0.02)
    with FixtureServer(site) as server, tempfile.TemporaryDirectory() as folder:
        for number in range(1, KILLS + 2):
            pages = PAGES * number // (KILLS + 1) if number <= KILLS else PAGES + 1
            command = [sys.executable, __file__, server.url, folder, str(pages)]
            status = subprocess.run(command, check=False).returncode  # noqa: S603  this script itself
            print("killed" if status == -signal.SIGKILL else f"exit status {status}")
        items = [json.loads(line) for line in (Path(folder) / "items.jsonl").read_text("utf-8").splitlines()]
        print(f"{len(items)} items of {len({item['url'] for item in items})} pages in the file")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(crawl(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
    else:
        main()
