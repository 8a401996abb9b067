"""Whole crawls with a cache: what a site is asked when they come again."""

import asyncio
from pathlib import Path

import pytest

from fixtures_server import SiteOptions
from fixtures_server.pytest_plugin import StartServer
from scraper import CacheOptions, Crawler, FetchOptions, MemorySink, PaceOptions, Statistics
from scraper.model import CacheCounts
from scraper.options import CacheModeName

SITE = SiteOptions(pages=30, page_bytes=3_000, links_per_page=5)
PACE = PaceOptions(robots=False)


async def crawl(url: str, cache: Path, mode: CacheModeName, pace: PaceOptions = PACE) -> tuple[Statistics, set[str]]:
    sink = MemorySink()
    fetch = FetchOptions(cache=CacheOptions(path=cache, mode=mode))
    async with Crawler(executor="inline", fetch=fetch, pace=pace) as crawler:
        stats = await crawler.run(url, sinks=[sink])
    return stats, {item["url"] for item in sink.items}


async def test_a_second_crawl_asks_the_site_for_nothing(fixture_server: StartServer, tmp_path: Path) -> None:
    site = fixture_server(SITE)
    cache = tmp_path / "cache"
    first, urls = await crawl(site.url, cache, "replay")
    assert urls == site.urls()
    assert first.cache == CacheCounts(stored=len(urls))
    await site.reset()
    modes: tuple[CacheModeName, ...] = ("replay", "only")
    for mode in modes:
        again, same = await crawl(site.url, cache, mode)
        assert same == urls
        assert again.cache == CacheCounts(replayed=len(urls))
        assert (again.done, again.failed, again.bytes) == (first.done, 0, 0)
    assert await site.access_log() == []


async def test_a_crawl_that_asks_nobody_waits_for_nobody(fixture_server: StartServer, tmp_path: Path) -> None:
    """Neither a delay nor robots.txt is for a site that is not asked; with the delay it would take half an hour."""
    site = fixture_server(SITE)
    await crawl(site.url, tmp_path / "cache", "replay")
    await site.reset()
    async with asyncio.timeout(20):
        stats, _ = await crawl(site.url, tmp_path / "cache", "only", PaceOptions(delay_s=60.0, rate_per_s=0.01))
    assert stats.done == len(site.urls())
    assert await site.access_log() == []


async def test_what_is_replayed_costs_neither_delay_nor_rate(fixture_server: StartServer, tmp_path: Path) -> None:
    site = fixture_server(SITE)
    await crawl(site.url, tmp_path / "cache", "replay", PaceOptions(robots=True))
    await site.reset()
    polite = PaceOptions(robots=True, delay_s=60.0, rate_per_s=0.01)
    async with asyncio.timeout(20):
        stats, _ = await crawl(site.url, tmp_path / "cache", "replay", polite)
    assert stats.done == len(site.urls())
    assert await site.access_log() == []


async def test_what_is_missing_fails_where_no_site_is_asked(fixture_server: StartServer, tmp_path: Path) -> None:
    site = fixture_server(SITE)
    cache = tmp_path / "cache"
    async with Crawler("tests.crawler.handlers:only_url", executor="inline", pace=PACE,
                       fetch=FetchOptions(cache=CacheOptions(path=cache))) as crawler:  # fmt: skip
        await crawler.run(site.url)
    await site.reset()
    stats, urls = await crawl(site.url, cache, "only")
    assert urls == {site.url}
    assert stats.done == 1
    assert stats.failures == {"not_cached": stats.failed}
    assert stats.failed > 0
    assert await site.access_log() == []


async def test_a_crawler_counts_each_of_its_crawls(fixture_server: StartServer, tmp_path: Path) -> None:
    site = fixture_server(SITE)
    fetch = FetchOptions(cache=CacheOptions(path=tmp_path / "cache"))
    async with Crawler(executor="inline", fetch=fetch, pace=PACE) as crawler:
        first = await crawler.run(site.url)
        second = await crawler.run(site.url)
    pages = len(site.urls())
    assert (first.cache, second.cache) == (CacheCounts(stored=pages), CacheCounts(replayed=pages))
    assert second.to_dict()["cache"] == {"replayed": pages, "revalidated": 0, "stored": 0, "trouble": None}


async def test_without_a_cache_nothing_is_said_of_one(fixture_server: StartServer) -> None:
    async with Crawler(executor="inline", pace=PACE) as crawler:
        stats = await crawler.run(fixture_server(SITE).url)
    assert stats.cache is None


@pytest.mark.parametrize("mode", ["replay", "revalidate"])
async def test_robots_txt_is_an_answer_like_any_other(
    fixture_server: StartServer, tmp_path: Path, mode: CacheModeName
) -> None:
    site = fixture_server(SITE)
    polite = PaceOptions(robots=True)
    first, urls = await crawl(site.url, tmp_path / "cache", mode, polite)
    await site.reset()
    again, same = await crawl(site.url, tmp_path / "cache", "replay", polite)
    assert same == urls
    assert again.done == first.done
    assert await site.access_log() == []
