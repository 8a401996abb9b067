"""What a site lists of itself, over a fetcher, and crawls that begin with it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import scraper
from scraper import Crawler, Failure, InvalidURL, LimitOptions, MemorySink, MockFetcher, Response
from scraper.listing import SiteListing
from scraper.model import Stage
from tests.crawler import handlers
from tests.fetch.peer import Peer, Step
from tests.fetch.peer import answer as http_answer

SITE = "http://shop.test/"


def answer(url: str, body: str, content_type: str) -> Response:
    return Response(url, 200, (("Content-Type", content_type),), body.encode(), len(body), 0.0)


def sitemap(*urls: str) -> str:
    entries = "".join(f"<url><loc>{url}</loc></url>" for url in urls)
    return f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{entries}</urlset>'


def site(*urls: str, named: str | None = None) -> MockFetcher:
    where = f"{SITE}sitemap.xml" if named is None else named
    pages: dict[str, bytes | Response] = dict.fromkeys((SITE, *urls), b"<title>page</title>")
    pages[where] = answer(where, sitemap(*urls), "application/xml")
    if named is not None:
        pages[f"{SITE}robots.txt"] = answer(f"{SITE}robots.txt", f"Sitemap: {named}\n", "text/plain")
    return MockFetcher(pages)


async def listed(fetcher: MockFetcher) -> list[str]:
    return [url async for url in scraper.sitemaps(SITE, fetch=fetcher)]


async def test_the_usual_place_is_read_where_robots_names_none() -> None:
    assert await listed(site(f"{SITE}a", f"{SITE}b")) == [f"{SITE}a", f"{SITE}b"]


async def test_the_places_that_robots_names_are_read() -> None:
    assert await listed(site(f"{SITE}a", named="http://cdn.test/maps.xml")) == [f"{SITE}a"]


async def test_a_site_that_asks_for_a_password_gets_it() -> None:
    """Its robots.txt and its sitemaps are behind it as well."""
    found = sitemap("http://shop.test/a").encode()
    async with Peer((Step.ASKED, http_answer(b"", status="404 Not Found"), Step.ASKED, http_answer(found))) as peer:
        site = f"http://me:s3cret@127.0.0.1:{peer.port}/"
        assert [url async for url in scraper.sitemaps(site)] == ["http://shop.test/a"]
    assert [request.split()[1] for request in peer.requests] == [b"/robots.txt", b"/sitemap.xml"]
    for request in peer.requests:
        assert b"\r\nAuthorization: Basic bWU6czNjcmV0\r\n" in request


async def test_a_file_that_fails_for_the_moment_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(wait_s: float) -> None:
        waits.append(wait_s)

    answers: list[Response | Failure] = [
        Failure(Stage.FETCH, "http_503", retryable=True),
        answer(SITE, sitemap(f"{SITE}a"), "text/xml"),
    ]
    fetcher = MockFetcher({f"{SITE}sitemap.xml": lambda _: answers.pop(0)})
    monkeypatch.setattr("scraper.listing.asyncio.sleep", sleep)
    assert await listed(fetcher) == [f"{SITE}a"]
    assert waits[0] > 0


async def test_what_is_wrong_is_told() -> None:
    listing = SiteListing([SITE], fetch=MockFetcher({}))
    assert [url async for url in listing] == []
    assert [(problem.url, problem.reason) for problem in listing.problems] == [(f"{SITE}sitemap.xml", "http_404")]


def test_a_site_that_is_no_url_is_refused() -> None:
    with pytest.raises(InvalidURL):
        SiteListing(["shop"])


@pytest.mark.parametrize("has_state", [False, True])
async def test_a_crawl_takes_what_is_listed_and_in_scope(tmp_path: Path, has_state: bool) -> None:
    mine = [f"{SITE}{number}" for number in range(250)]
    fetcher = site(*mine, "http://elsewhere.test/", f"{SITE}0")
    state = tmp_path / "state" if has_state else None
    sink = MemorySink()
    async with Crawler(handlers.only_url, fetch=fetcher, executor="inline", state=state) as crawler:
        stats = await crawler.run(SITE, sinks=[sink], listed=scraper.sitemaps(SITE, fetch=fetcher))
    assert sorted(item["url"] for item in sink.items) == sorted([SITE, *mine])
    assert stats.dropped["out_of_scope"] == 1
    assert stats.dropped["duplicate"] == 1


@pytest.mark.parametrize("has_state", [False, True])
async def test_what_is_listed_does_not_widen_the_scope(tmp_path: Path, has_state: bool) -> None:
    """With the scope of a folder, a listed page elsewhere on the host stays out, and so does what it links to."""
    inside, outside = f"{SITE}docs/a", f"{SITE}private/b"
    fetcher = MockFetcher(
        {
            f"{SITE}docs/": b"start",
            inside: f'<a href="{SITE}private/c">c</a>'.encode(),
            f"{SITE}sitemap.xml": answer(SITE, sitemap(inside, outside), "text/xml"),
        }
    )
    state = tmp_path / "state" if has_state else None
    limits = LimitOptions(scope="prefix")
    async with Crawler(handlers.follow_all, fetch=fetcher, limits=limits, executor="inline", state=state) as crawler:
        stats = await crawler.run(f"{SITE}docs/", listed=scraper.sitemaps(SITE, fetch=fetcher))
    assert (stats.done, stats.failed) == (2, 0)
    assert stats.dropped["out_of_scope"] == 2


async def test_a_listing_that_fails_ends_the_crawl() -> None:
    async def broken() -> AsyncIterator[str]:
        yield SITE
        raise RuntimeError("no more")

    async with Crawler(handlers.only_url, fetch=site(), executor="inline") as crawler:
        with pytest.raises(RuntimeError, match="no more"):
            await asyncio.wait_for(crawler.run(SITE, listed=broken()), 20)


@pytest.mark.parametrize(("reason", "reads"), [("http_404", True), ("http_503", False), ("timeout", False)])
async def test_a_site_whose_robots_txt_cannot_be_had_is_not_asked_for_sitemaps(reason: str, reads: bool) -> None:
    """Without one it may be; where it is not known whether there is one, nothing may be fetched."""
    fetcher = MockFetcher(
        {
            f"{SITE}robots.txt": Failure(Stage.FETCH, reason),
            f"{SITE}sitemap.xml": answer(SITE, sitemap(f"{SITE}a"), "text/xml"),
        }
    )
    listing = SiteListing([SITE], fetch=fetcher)
    assert [url async for url in listing] == ([f"{SITE}a"] if reads else [])
    assert len(fetcher.requests) == 1 + reads
    assert [problem.reason for problem in listing.problems] == ([] if reads else ["robots_unreachable"])
