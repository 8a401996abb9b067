"""Crawls keep to what sites ask for: told by what the sites were asked."""

import asyncio
import functools
import logging
import math
import sqlite3
from itertools import pairwise
from pathlib import Path

import pytest

from scraper import (
    AddressOptions,
    Crawler,
    Failure,
    FetchOptions,
    LimitOptions,
    MemorySink,
    MockFetcher,
    PaceOptions,
    Request,
    Response,
    Skip,
    Statistics,
)
from scraper.listing import SiteListing
from scraper.wiring import site_rules
from tests.crawler import handlers
from tests.crawler.sites import Answer, Asked, Sites, page, redirect, robots, status

SHOP = "shop.test"
OTHER = "other.test"

# Retries that do not take a test's time.
QUICK = PaceOptions(backoff_s=0.001, max_backoff_s=0.001)


async def crawl(
    sites: Sites,
    *seeds: str,
    pace: PaceOptions = QUICK,
    limits: LimitOptions | None = None,
    fetch: FetchOptions | None = None,
    state: Path | None = None,
) -> tuple[Statistics, list[str]]:
    """What a crawl came to, and the paths and hosts of its items."""
    sink = MemorySink()
    crawler = Crawler(
        handlers.follow_all,
        executor="inline",
        fetch=fetch or sites.fetch_options(),
        pace=pace,
        limits=limits,
        state=state,
    )
    async with crawler:
        stats = await crawler.run(*(seeds or (sites.url(SHOP),)), sinks=[sink])
    assert stats.seen == stats.done + stats.failed + stats.skipped + stats.waiting
    return stats, sorted(str(item["url"]).partition(f":{sites.port}")[2] for item in sink.items)


def gaps_s(log: list[Asked]) -> list[float]:
    """From each answer to the next request."""
    return [after.start_s - (before.end_s or math.inf) for before, after in pairwise(log)]


async def test_robots_txt_is_asked_for_first_and_once() -> None:
    pages: dict[str, Answer] = {"/": page("/a", "/b", "/private/x"), "/a": page(), "/b": page("/private/y")}
    async with Sites({SHOP: {**pages, "/robots.txt": robots("User-agent: *", "Disallow: /private/")}}) as sites:
        stats, found = await crawl(sites)
    assert found == ["/", "/a", "/b"]
    assert stats.skips == {"robots": 2}
    asked = sites.asked(SHOP)
    assert asked[0] == "/robots.txt"
    assert sorted(asked[1:]) == ["/", "/a", "/b"]


async def test_nothing_is_fetched_while_robots_txt_is_on_its_way() -> None:
    came = asyncio.Event()

    async def late() -> bytes:
        await came.wait()
        return robots("User-agent: *", "Disallow: /b")

    pages: dict[str, Answer] = {"/a": page(), "/b": page(), "/robots.txt": late}
    async with Sites({SHOP: pages, OTHER: {"/": page()}}) as sites:
        crawling = asyncio.create_task(crawl(sites, sites.url(SHOP, "/a"), sites.url(SHOP, "/b"), sites.url(OTHER)))
        while "/" not in sites.asked(OTHER):  # one site's silence holds up no other
            await asyncio.sleep(0.001)
        assert sites.asked(SHOP) == ["/robots.txt"]
        came.set()
        stats, found = await crawling
    assert found == ["/", "/a"]
    assert stats.skips == {"robots": 1}


async def test_the_group_that_names_the_crawler_counts() -> None:
    text = robots("User-agent: *", "Disallow: /", "", "User-agent: ExampleBot", "Disallow: /b")
    async with Sites({SHOP: {"/": page("/a", "/b"), "/a": page(), "/b": page(), "/robots.txt": text}}) as sites:
        _, found = await crawl(sites, fetch=sites.fetch_options(user_agent="ExampleBot/2.0"))
        nobody, _ = await crawl(sites)
    assert found == ["/", "/a"]
    assert nobody.skips == {"robots": 1}


@pytest.mark.parametrize("answer", ["404 Not Found", "403 Forbidden", "410 Gone"])
async def test_without_a_robots_txt_everything_may_be_fetched(answer: str) -> None:
    async with Sites({SHOP: {"/": page("/a"), "/a": page(), "/robots.txt": status(answer)}}) as sites:
        _, found = await crawl(sites)
    assert found == ["/", "/a"]
    assert sites.asked(SHOP).count("/robots.txt") == 1


@pytest.mark.parametrize("answer", ["503 Service Unavailable", "500 Internal Server Error", "429 Too Many Requests"])
async def test_a_robots_txt_that_cannot_be_had_forbids_everything(answer: str) -> None:
    async with Sites({SHOP: {"/": page(), "/robots.txt": status(answer)}}) as sites:
        stats, found = await crawl(sites)
    assert found == []
    assert stats.failures == {"robots_unreachable": 1}
    assert sites.asked(SHOP) == ["/robots.txt"] * 7  # three times the retries of a page


async def test_a_robots_txt_that_fails_for_the_moment_is_asked_for_again() -> None:
    answers = [status("503 Service Unavailable"), robots("User-agent: *", "Disallow: /a")]
    async with Sites({SHOP: {"/": page("/a"), "/a": page(), "/robots.txt": lambda: answers.pop(0)}}) as sites:
        stats, found = await crawl(sites)
    assert found == ["/"]
    assert stats.skips == {"robots": 1}


async def test_a_host_that_cannot_be_reached_is_told_as_such() -> None:
    async with Sites({SHOP: {}}) as sites:
        pass
    stats, _ = await crawl(sites)
    assert stats.failures == {"connection_refused": 1}


async def test_redirects_of_a_robots_txt_are_followed_also_to_other_hosts() -> None:
    rules = robots("User-agent: *", "Disallow: /a")
    other: dict[str, bytes] = {"/rules": rules}
    async with Sites({SHOP: {"/": page("/a")}, OTHER: other}) as sites:
        sites._sites[SHOP]["/robots.txt"] = redirect(sites.url(OTHER, "/rules"))  # type: ignore[index]
        stats, _ = await crawl(sites, fetch=sites.fetch_options(addresses=private()))
    assert stats.skips == {"robots": 1}
    assert sites.asked(OTHER) == ["/rules"]


def private() -> AddressOptions:
    return AddressOptions(allow_private=True)


async def test_five_redirects_of_a_robots_txt_are_followed_and_not_six() -> None:
    rules = robots("User-agent: *", "Disallow: /a")
    chain = {f"/r{n}": redirect(f"/r{n + 1}") for n in range(1, 6)}
    five = {"/": page("/a"), "/a": page(), "/robots.txt": redirect("/r1"), **chain, "/r5": rules}
    six = {**five, "/r5": redirect("/r6"), "/r6": rules}
    async with Sites({SHOP: five, OTHER: six}) as sites:
        stats, found = await crawl(sites, sites.url(SHOP), sites.url(OTHER))
    assert stats.skips == {"robots": 1}
    assert found == ["/", "/", "/a"]


async def test_a_robots_txt_larger_than_a_page_may_be_is_cut() -> None:
    lines = ["User-agent: *", "Disallow: /a", *(f"Disallow: /{n:06}/{'x' * 80}" for n in range(7_000)), "Disallow: /b"]
    async with Sites({SHOP: {"/": page("/a", "/b"), "/b": page(), "/robots.txt": robots(*lines)}}) as sites:
        stats, found = await crawl(sites, fetch=sites.fetch_options(max_body_bytes=100_000))
    assert found == ["/", "/b"]
    assert stats.skips == {"robots": 1}


async def test_a_redirect_to_what_robots_txt_forbids_is_not_followed() -> None:
    pages = {"/": page("/go"), "/go": redirect("/private/x"), "/private/x": page()}
    async with Sites({SHOP: {**pages, "/robots.txt": robots("User-agent: *", "Disallow: /private")}}) as sites:
        stats, found = await crawl(sites)
    assert found == ["/"]
    assert stats.skips == {"robots": 1}
    assert "/private/x" not in sites.asked(SHOP)


async def test_a_redirect_to_another_host_asks_for_its_robots_txt_first() -> None:
    async with Sites({SHOP: {}, OTHER: {"/": page(), "/robots.txt": robots("User-agent: *", "Disallow: /b")}}) as sites:
        pages = sites._sites[SHOP]
        pages.update(  # type: ignore[attr-defined]
            {
                "/": page("/1", "/2"),
                "/1": redirect(sites.url(OTHER)),
                "/2": redirect(sites.url(OTHER, "/b")),
            }
        )
        stats, found = await crawl(
            sites, limits=LimitOptions(scope="any"), fetch=sites.fetch_options(addresses=private())
        )
    assert found == ["/", "/"]
    assert stats.skips == {"robots": 1}
    assert sites.asked(OTHER) == ["/robots.txt", "/"]


async def test_a_crawl_delay_lies_between_an_answer_and_the_next_request() -> None:
    pages = {"/": page("/a", "/b", "/c"), "/a": page(), "/b": redirect("/d"), "/c": page(), "/d": page()}
    async with Sites({SHOP: {**pages, "/robots.txt": robots("User-agent: *", "Crawl-delay: 0.05")}}) as sites:
        _, found = await crawl(sites)
    assert found == ["/", "/a", "/c", "/d"]
    assert len(sites.log) == 6
    assert min(gaps_s(sites.log)) >= 0.05


async def test_a_delay_of_the_users_holds_for_every_site() -> None:
    pages = {"/": page("/a"), "/a": page()}
    async with Sites({SHOP: pages, OTHER: pages}) as sites:
        pace = PaceOptions(delay_s=0.05)
        await crawl(sites, sites.url(SHOP), sites.url(OTHER), pace=pace)
    for host in (SHOP, OTHER):
        assert min(gaps_s([entry for entry in sites.log if entry.host == host])) >= 0.05


async def test_a_crawl_delay_is_kept_to_up_to_a_bound_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    async with Sites({SHOP: {"/": page(), "/robots.txt": robots("User-agent: *", "Crawl-delay: 1e9")}}) as sites:
        with caplog.at_level(logging.WARNING, logger="scraper"):
            _, found = await crawl(sites, pace=PaceOptions(max_crawl_delay_s=0.05))
    assert found == ["/"]
    assert "1e+09 s between requests; 0.05 s are kept to" in caplog.text


@pytest.mark.parametrize("wanted", ["-1", "NaN", "soon"])
async def test_a_crawl_delay_that_is_no_time_is_none(wanted: str) -> None:
    async with Sites({SHOP: {"/": page(), "/robots.txt": robots("User-agent: *", f"Crawl-delay: {wanted}")}}) as sites:
        _, found = await crawl(sites)
    assert found == ["/"]


async def test_robots_txt_can_be_left_alone() -> None:
    async with Sites({SHOP: {"/": page(), "/robots.txt": robots("User-agent: *", "Disallow: /")}}) as sites:
        _, found = await crawl(sites, pace=PaceOptions(robots=False))
    assert found == ["/"]
    assert sites.asked(SHOP) == ["/"]


async def test_a_fetcher_of_the_users_own_is_asked_for_robots_txt_only_where_that_is_wanted() -> None:
    for wanted, asked in ((None, []), (True, ["http://shop.test/robots.txt"])):
        fetcher = MockFetcher({"http://shop.test/": b"<title>x</title>"})
        async with Crawler(handlers.only_url, executor="inline", fetch=fetcher, pace=PaceOptions(robots=wanted)) as one:
            stats = await one.run("http://shop.test/")
        assert stats.done == 1
        assert [request.url for request in fetcher.requests] == [*asked, "http://shop.test/"]


async def test_requests_in_a_second_are_bounded_over_all_sites() -> None:
    pages = {"/": page()}
    hosts = [f"s{n}.test" for n in range(6)]
    async with Sites(dict.fromkeys(hosts, pages)) as sites:
        pace = PaceOptions(rate_per_s=20, robots=False)
        await crawl(sites, *map(sites.url, hosts), pace=pace)
    starts = [entry.start_s for entry in sites.log]
    assert len(starts) == 6
    assert (
        starts[-1] - starts[0] >= 5 / 20 - 0.15
    )  # a tenth of a second may be made up for, and the server notes it late


async def test_a_later_run_asks_for_no_robots_txt_that_the_state_still_has(tmp_path: Path) -> None:
    pages = {"/": page("/a", "/b"), "/a": page(), "/b": page()}
    text = robots("User-agent: *", "Disallow: /b", "Crawl-delay: 0.05")
    async with Sites({SHOP: {**pages, "/robots.txt": text}}) as sites:
        state = tmp_path / "crawl.state"
        first, _ = await crawl(sites, limits=LimitOptions(max_pages=1), state=state)
        assert first.waiting
        second, _ = await crawl(sites, state=state)
    assert (second.done, second.skips) == (2, {"robots": 1})
    assert sites.asked(SHOP) == ["/robots.txt", "/", "/a"]
    assert gaps_s(sites.log)[-1] >= 0.05  # the earlier run may have ended a moment ago


async def test_attempts_are_not_used_up_by_waiting_for_robots_txt(tmp_path: Path) -> None:
    failing = [status("503 Service Unavailable")] * 2 + [page()]
    for state in (None, tmp_path / "crawl.state"):
        answers = list(failing)
        async with Sites({SHOP: {"/": functools.partial(answers.pop, 0)}}) as sites:
            stats, _ = await crawl(sites, state=state)
        assert stats.done == 1


@pytest.mark.parametrize("stop", ["at robots.txt", "in a turn"])
async def test_a_crawl_that_waits_for_a_site_can_be_stopped(stop: str) -> None:
    async def never() -> bytes:
        await asyncio.Event().wait()
        return b""

    text: Answer = never if stop == "at robots.txt" else robots("User-agent: *", "Crawl-delay: 60")
    async with Sites({SHOP: {"/": page(), "/robots.txt": text}}) as sites:
        crawler = Crawler(handlers.only_url, executor="inline", fetch=sites.fetch_options())
        async with crawler:
            crawling = asyncio.create_task(crawler.run(sites.url(SHOP)))
            while not sites.log:
                await asyncio.sleep(0.001)
            crawler.stop()
            stats = await crawling
    assert stats.waiting == 1
    assert stats.stopped == "stopped"


class Crowd(MockFetcher):
    """Counts how many requests are under way."""

    under_way = 0
    most = 0

    async def fetch(self, request: Request) -> Response | Failure | Skip:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        return await super().fetch(request)


async def test_those_who_ask_for_robots_txt_count_as_requests_under_way() -> None:
    seeds = [f"http://site{number}.test/" for number in range(20)]
    fetcher = Crowd(dict.fromkeys(seeds, b"<title>x</title>"))
    pace = PaceOptions(robots=True, concurrency=3)
    async with Crawler(handlers.only_url, executor="inline", fetch=fetcher, pace=pace) as crawler:
        stats = await crawler.run(*seeds)
    assert stats.done == 20
    assert fetcher.most == 3


async def test_a_site_that_is_to_be_asked_again_later_holds_up_no_other() -> None:
    later = status("429 Too Many Requests", "Retry-After: 60")
    async with Sites({SHOP: {"/robots.txt": later}, OTHER: {"/": page("/a"), "/a": page()}}) as sites:
        pace = PaceOptions(concurrency=1)
        crawler = Crawler(handlers.follow_all, executor="inline", fetch=sites.fetch_options(), pace=pace)
        async with crawler:
            crawling = asyncio.create_task(crawler.run(sites.url(SHOP), sites.url(OTHER)))
            while "/a" not in sites.asked(OTHER):
                await asyncio.sleep(0.001)
            crawler.stop()
            stats = await crawling
    assert stats.waiting >= 1
    assert sites.asked(SHOP) == ["/robots.txt"]


@pytest.mark.parametrize("has_state", [False, True])
async def test_seeds_keep_their_order_while_robots_txt_is_asked_for(tmp_path: Path, *, has_state: bool) -> None:
    paths = [f"/{number}" for number in range(5)]
    async with Sites({SHOP: {path: page() for path in paths}}) as sites:
        state = tmp_path / "crawl.state" if has_state else None
        seeds = [sites.url(SHOP, path) for path in paths]
        await crawl(sites, *seeds, pace=PaceOptions(concurrency=1), state=state)
    assert sites.asked(SHOP) == ["/robots.txt", *paths]


async def test_a_crawl_goes_on_after_something_was_fetched_beside_it() -> None:
    pages = {"/": page("/a"), "/a": page(), "/beside": page()}
    async with Sites({SHOP: pages}) as sites:
        pace = PaceOptions(delay_s=0.05, robots=False)
        crawler = Crawler(handlers.follow_all, executor="inline", fetch=sites.fetch_options(), pace=pace)
        async with crawler:
            crawling = asyncio.create_task(crawler.run(sites.url(SHOP)))
            while not sites.log:
                await asyncio.sleep(0.001)
            await crawler.beside.fetch(Request(sites.url(SHOP, "/beside")))
            async with asyncio.timeout(10):
                stats = await crawling
    assert stats.done == 2
    assert min(gaps_s(sites.log)) >= 0.05


async def test_a_crawl_goes_on_after_what_waited_beside_it_was_given_up() -> None:
    async with Sites({SHOP: {"/": page("/a"), "/a": page()}}) as sites:
        pace = PaceOptions(delay_s=0.05, robots=False)
        crawler = Crawler(handlers.follow_all, executor="inline", fetch=sites.fetch_options(), pace=pace)
        async with crawler:
            crawling = asyncio.create_task(crawler.run(sites.url(SHOP)))
            while not sites.log:
                await asyncio.sleep(0.001)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await crawler.beside.fetch(Request(sites.url(SHOP, "/beside")))
            async with asyncio.timeout(10):
                stats = await crawling
    assert stats.done == 2
    assert sites.asked(SHOP) == ["/", "/a"]


async def test_a_site_that_cannot_be_reached_when_its_rules_are_old_is_crawled_by_those(tmp_path: Path) -> None:
    answers = [robots("User-agent: *", "Disallow: /b")]
    pages = {"/": page("/a", "/b"), "/a": page()}
    text: Answer = lambda: answers.pop() if answers else status("500 Internal Server Error")  # noqa: E731
    async with Sites({SHOP: {**pages, "/robots.txt": text}}) as sites:
        state = tmp_path / "crawl.state"
        await crawl(sites, limits=LimitOptions(max_pages=1), state=state)
        with sqlite3.connect(state) as database:
            database.execute("UPDATE robots SET until_s = 1")
        database.close()
        stats, _ = await crawl(sites, state=state)
    assert (stats.done, stats.failed, stats.skips) == (2, 0, {"robots": 1})
    assert sites.asked(SHOP) == ["/robots.txt", "/", *["/robots.txt"] * 7, "/a"]


async def test_a_later_run_keeps_to_the_users_delay_from_its_start(tmp_path: Path) -> None:
    async with Sites({SHOP: {"/": page("/a"), "/a": page()}}) as sites:
        state = tmp_path / "crawl.state"
        pace = PaceOptions(delay_s=0.05)
        await crawl(sites, pace=pace, limits=LimitOptions(max_pages=1), state=state)
        await crawl(sites, pace=pace, state=state)
    assert sites.asked(SHOP) == ["/robots.txt", "/", "/a"]
    assert min(gaps_s(sites.log)) >= 0.05


async def test_a_redirect_to_a_site_whose_robots_txt_cannot_be_had_yet_is_tried_again_later() -> None:
    answers = [status("503 Service Unavailable")]
    pages: dict[str, Answer] = {"/": page(), "/robots.txt": lambda: answers.pop() if answers else robots()}
    async with Sites({SHOP: {}, OTHER: pages}) as sites:
        sites._sites[SHOP]["/"] = redirect(sites.url(OTHER))  # type: ignore[index]
        limits, fetch = LimitOptions(scope="any"), sites.fetch_options(addresses=private())
        stats, _ = await crawl(sites, limits=limits, fetch=fetch)
    assert (stats.done, stats.retries) == (1, 1)
    assert sites.asked(SHOP) == ["/robots.txt", "/", "/"]
    assert sites.asked(OTHER) == ["/robots.txt", "/robots.txt", "/"]


async def test_more_sites_than_there_is_room_for_their_rules_are_crawled_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(site_rules, "_RULES_AT_HAND", 10)
    seeds = [f"http://site{number}.test/" for number in range(40)]
    pages = dict.fromkeys(seeds, b"<a href=/a>a</a><a href=/b>b</a>") | {url + "a": b"<p>a</p>" for url in seeds}
    text = Response("", 200, (("Content-Type", "text/plain"),), b"User-agent: *\nDisallow: /b", 27, 0.0)
    fetcher = MockFetcher(pages | {f"{url}robots.txt": text for url in seeds})
    pace = PaceOptions(robots=True, concurrency=3)
    async with Crawler(handlers.follow_all, executor="inline", fetch=fetcher, pace=pace) as crawler:
        stats = await crawler.run(*seeds)
    assert (stats.done, stats.skips) == (80, {"robots": 40})
    assert len(fetcher.requests) == 120


async def test_a_header_that_names_the_crawler_is_the_name_that_robots_txt_knows() -> None:
    text = robots("User-agent: ExampleBot", "Disallow: /b")
    async with Sites({SHOP: {"/": page("/a", "/b"), "/a": page(), "/b": page(), "/robots.txt": text}}) as sites:
        _, found = await crawl(sites, fetch=sites.fetch_options(headers={"user-agent": "ExampleBot/2.0"}))
    assert found == ["/", "/a"]


async def test_seeds_of_strangers_name_no_private_address() -> None:
    async with Sites({SHOP: {"/": page()}}) as sites:
        stats, _ = await crawl(sites, fetch=sites.fetch_options(addresses=AddressOptions(trust_seeds=False)))
    assert stats.failures == {"private_address": 1}
    assert sites.log == []


@pytest.mark.parametrize("keeps", [False, True])
async def test_redirects_to_a_slow_host_hold_up_no_other(tmp_path: Path, keeps: bool) -> None:
    """They wait for it in the frontier, use up no attempt, and ask for their redirect once more at most."""
    names = [str(n) for n in range(12)]
    slow = {"/robots.txt": robots("User-agent: *", "Crawl-delay: 0.1"), **{f"/{name}": page() for name in names}}
    async with Sites({SHOP: {}, OTHER: slow, "third.test": {}}) as sites:
        moved = {f"/{name}": redirect(sites.url(OTHER, f"/{name}")) for name in names}
        sites._sites[SHOP].update({"/": page(*moved), **moved})  # type: ignore[attr-defined]
        others = [f"/{n}" for n in range(60)]
        sites._sites["third.test"].update({"/": page(*others), **dict.fromkeys(others, page())})  # type: ignore[attr-defined]
        stats, _ = await crawl(
            sites,
            sites.url(SHOP),
            sites.url("third.test"),
            pace=PaceOptions(concurrency=8, backoff_s=0.001, max_backoff_s=0.001, max_retry_after_s=0.3),
            limits=LimitOptions(scope="any"),
            fetch=sites.fetch_options(addresses=private()),
            state=tmp_path / "crawl.state" if keeps else None,
        )
    assert (stats.done, stats.failed, stats.skipped) == (2 + 60 + 12, 0, 0)
    assert stats.retries == 0
    assert sorted(sites.asked(OTHER)) == sorted(["/robots.txt", *(f"/{name}" for name in names)])
    assert min(gaps_s([entry for entry in sites.log if entry.host == OTHER])) >= 0.1
    last_of_third = max(entry.start_s for entry in sites.log if entry.host == "third.test")
    before = [entry for entry in sites.log if entry.host == OTHER and entry.start_s < last_of_third]
    assert len(before) < len(names)


async def test_a_run_that_goes_on_keeps_to_the_delay_from_its_start(tmp_path: Path) -> None:
    pages = {"/": page("/a"), "/a": page()}
    async with Sites({SHOP: pages}) as sites:
        pace = PaceOptions(delay_s=0.1, robots=False)
        state = tmp_path / "crawl.state"
        await crawl(sites, pace=pace, limits=LimitOptions(max_pages=1), state=state)
        await crawl(sites, pace=pace, state=state)
    assert sites.asked(SHOP) == ["/", "/a"]
    assert min(gaps_s(sites.log)) >= 0.1


async def test_a_site_that_may_not_be_fetched_is_not_asked_for_sitemaps_beside_the_crawl() -> None:
    async with Sites({SHOP: {"/": page(), "/robots.txt": status("500 Internal Server Error")}}) as sites:
        crawler = Crawler(handlers.only_url, executor="inline", fetch=sites.fetch_options(), pace=QUICK)
        async with crawler:
            listing = SiteListing([sites.url(SHOP)], fetch=crawler.beside)
            stats = await crawler.run(sites.url(SHOP), listed=aiter(listing))
    assert stats.failures == {"robots_unreachable": 1}
    assert set(sites.asked(SHOP)) == {"/robots.txt"}
    assert [problem.reason for problem in listing.problems] == ["robots_unreachable"]
