"""Crawl as a good guest, and look at it from the site's side: what it was asked, how fast, and by whom.

    python examples/good_guest.py

The site wants 0.1 s between two requests, keeps a folder to itself, and lists a page in its sitemap that no page links
to. The state file says why pages were skipped.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import scraper
from fixtures_server import CorpusOptions, FixtureServer, LogEntry
from scraper import Crawler, FetchOptions, PaceOptions, Page

ROBOTS = """User-agent: *
Disallow: /private/
Crawl-delay: 0.1
"""
PAGES = {
    "index.html": "<a href=/a.html>a</a> <a href=/b.html>b</a> <a href=/private/notes.html>notes</a>",
    "a.html": "<a href=/b.html>b</a> <a href=/missing.html>missing</a>",
    "b.html": "<a href=/private/drafts.html?page=2>drafts</a>",
    "orphan.html": "only the sitemap leads here",
    "private/notes.html": "not for robots",
}


def parse(page: Page) -> Iterator[Any]:
    yield {"url": page.url}
    yield from page.follow("a")


async def crawl(url: str, state: Path) -> None:
    me = FetchOptions(user_agent="ExampleBot/1.0", contact="https://example.org/bot")
    pace = PaceOptions(per_host=2, retries=1)
    async with Crawler(parse, executor="inline", parser="lexbor", fetch=me, pace=pace, state=state) as crawler:
        stats = await crawler.run(url, listed=scraper.sitemaps(url, fetch=crawler.beside))
    print(f"{stats.done} pages done, failed: {dict(stats.failures)}, skipped: {dict(stats.skips)}")


def tell(log: list[LogEntry]) -> None:
    """What the site saw."""
    for entry in log:
        print(f"  {entry.status}  {entry.path}")
    # Both times are the server's: an answer has to reach the crawler, and the next request has to come back.
    gap_s = min(after.time_s - before.time_s - (before.duration_s or 0.0) for before, after in pairwise(log))
    print(f"  at least {gap_s:.1f} s from one answer to the next request")
    print(f"  by {', '.join({entry.user_agent for entry in log})}")


async def main() -> None:
    with TemporaryDirectory() as name:
        site_folder, state = Path(name) / "site", Path(name) / "crawl.state"
        (site_folder / "private").mkdir(parents=True)
        for path, links in PAGES.items():
            (site_folder / path).write_text(f"<!doctype html><title>{path}</title>{links}", encoding="utf-8")
        (site_folder / "robots.txt").write_text(ROBOTS, encoding="utf-8")
        sitemap = site_folder / "sitemap.xml"
        sitemap.touch()  # the server looks once which files there are; its port, which these URLs need, comes later
        async with FixtureServer(CorpusOptions(site_folder)) as site:
            sitemap.write_text(f"<urlset><url><loc>{site.url}orphan.html</loc></url></urlset>", encoding="utf-8")
            await crawl(site.url, state)
            print("What was skipped, and why:", flush=True)
            command = [sys.executable, "-m", "scraper", "state", str(state), "--export", "skipped"]
            await asyncio.to_thread(subprocess.run, command, check=True)
            print("What the site saw:")
            tell(await site.access_log())


if __name__ == "__main__":
    asyncio.run(main())
