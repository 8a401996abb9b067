"""Which links become requests, and in which form: traps, rewritten URLs, pages that say nofollow."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from scraper import (
    Crawler,
    LimitOptions,
    MemorySink,
    MockFetcher,
    PaceOptions,
    Request,
    StateRefused,
    Statistics,
    TrapOptions,
    UrlOptions,
)
from tests.crawler import handlers
from tests.crawler.sites import Sites, page, redirect, robots

Pages = Mapping[str, bytes | Callable[[Request], bytes]]

SITE = "http://site.test/"


def html(*links: str, head: str = "") -> bytes:
    anchors = "".join(f"<a href={link}>x</a>" for link in links)
    return f"<head>{head}</head>{anchors}".encode()


async def crawl(
    pages: Pages,
    *seeds: str,
    urls: UrlOptions | None = None,
    traps: TrapOptions | None = None,
    limits: LimitOptions | None = None,
    state: Path | None = None,
) -> tuple[Statistics, list[str]]:
    fetcher, sink = MockFetcher({SITE + path: answer for path, answer in pages.items()}), MemorySink()
    crawler = Crawler(
        handlers.follow_all, executor="inline", fetch=fetcher, urls=urls, traps=traps, limits=limits, state=state
    )
    async with crawler:
        stats = await crawler.run(*(seeds or (SITE,)), sinks=[sink])
    assert stats.seen == stats.done + stats.failed + stats.skipped + stats.waiting
    return stats, sorted(str(item["url"]).removeprefix(SITE) for item in sink.items)


async def test_links_that_grow_without_end_are_skipped() -> None:
    pages = {"news/" * depth: html("news/") for depth in range(12)}
    stats, found = await crawl(pages, traps=TrapOptions())
    assert stats.skips == {"trap_repeated_segments": 1}
    assert found[-1] == "news/" * 4
    stats, found = await crawl(pages, limits=LimitOptions(max_depth=9))
    assert (stats.skips, len(found)) == ({}, 10)


async def test_a_page_with_a_new_session_id_each_time_is_fetched_once() -> None:
    visits = 0

    def visit(_: Request) -> bytes:
        nonlocal visits
        visits += 1
        return html(f"/page?PHPSESSID={visits:032x}")

    pages = {"": visit, **{f"page?PHPSESSID={n:032x}": visit for n in range(1, 40)}}
    stats, found = await crawl(pages, traps=TrapOptions())
    assert stats.skips == {"trap_session_id": 1}
    assert len(found) == 2


async def test_pages_of_a_host_have_a_budget_over_all_runs(tmp_path: Path) -> None:
    pages = {"": html(*(f"/{n}" for n in range(9))), **{str(n): html() for n in range(9)}}
    state = tmp_path / "crawl.state"
    first, _ = await crawl(pages, limits=LimitOptions(max_pages_per_host=4, max_pages=3), state=state)
    assert (first.done, first.waiting) == (3, 7)
    second, _ = await crawl(pages, limits=LimitOptions(max_pages_per_host=4), state=state)
    assert (second.done, second.skips, second.waiting) == (4, {"host_budget": 6}, 0)


async def test_what_is_skipped_does_not_use_up_the_pages_of_a_crawl() -> None:
    endless = [f"/{'x/' * 6}{n}" for n in range(300)]
    pages = {"": html(*endless, "/a", "/b"), "a": html(), "b": html()}
    stats, found = await crawl(pages, traps=TrapOptions(), limits=LimitOptions(max_pages=3))
    assert found == ["", "a", "b"]
    assert stats.skipped <= 300


async def test_rewritten_urls_are_one_page_wherever_they_come_from(tmp_path: Path) -> None:
    """Seeds, links, and pages behind redirects."""
    pages = {
        "/": page("/a?y=2&x=1&utm_source=b", "/a?x=1&y=2", "/old"),
        "/a?x=1&y=2": page(),
        "/old": redirect("/a?y=2&x=1&gclid=5"),
        "/a?y=2&x=1&gclid=5": page(),
    }
    async with Sites({"site.test": pages}) as sites:
        crawler = Crawler(
            handlers.follow_all,
            executor="inline",
            fetch=sites.fetch_options(),
            urls=UrlOptions(sort_query=True, drop_tracking=True),
            state=tmp_path / "crawl.state",
        )
        async with crawler:
            stats = await crawler.run(sites.url("site.test", "/?utm_campaign=x"))
    assert sites.asked("site.test")[:2] == ["/robots.txt", "/"]
    assert (stats.done, stats.skips) == (2, {"duplicate_redirect": 1})


async def test_a_state_of_urls_in_another_form_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "crawl.state"
    pages = {"": html()}
    await crawl(pages, urls=UrlOptions(sort_query=True), state=state)
    with pytest.raises(StateRefused, match="rewritten URLs sort-query"):
        await crawl(pages, state=state)
    await crawl(pages, urls=UrlOptions(sort_query=True), state=state)


@pytest.mark.parametrize("respects", [True, False])
async def test_pages_that_say_nofollow_are_heard_if_asked_for(respects: bool) -> None:
    pages: Pages = {
        "": html("/a", "/b"),
        "a": html("/c", head='<meta name="robots" content="nofollow">'),
        "b": html("/d"),
        "c": html(),
        "d": html(),
    }
    stats, found = await crawl(pages, limits=LimitOptions(respect_nofollow=respects))
    assert found == (["", "a", "b", "d"] if respects else ["", "a", "b", "c", "d"])
    assert stats.dropped.get("nofollow", 0) == respects


async def test_what_is_forbidden_takes_no_time_of_a_sites_delay() -> None:
    """With one delay each it would not end within the time that a test has."""
    links = [f"/private/{n}" for n in range(500)]
    pages = {"/": page(*links), "/robots.txt": robots("User-agent: *", "Disallow: /private/", "Crawl-delay: 0.2")}
    async with Sites({"site.test": pages}) as sites:
        crawler = Crawler(handlers.follow_all, executor="inline", fetch=sites.fetch_options(), pace=PaceOptions())
        async with crawler:
            stats = await crawler.run(sites.url("site.test"))
    assert stats.skips == {"robots": 500}
