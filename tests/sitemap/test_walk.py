"""From a site to its pages: indexes of indexes, loops, scope, bounds, and a loop that others get to use."""

import asyncio
import gzip
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from scraper.errors import InvalidURL
from scraper.model import Failure, Skip, Stage
from scraper.sitemap import (
    STEP_BYTES,
    Entry,
    FileProblem,
    Form,
    SitemapLimits,
    SitemapWalk,
    WalkStatistics,
    sitemaps_of,
)
from scraper.urls import Scope
from tests.sitemap import samples

SITE = "https://example.org"
GONE = Failure(Stage.FETCH, "http_404", "not found")


class Site:
    """A fetch over files that are given, which notes what it was asked for."""

    def __init__(self, files: Mapping[str, bytes | Failure | Skip]) -> None:
        self.files = {f"{SITE}{path}" if path.startswith("/") else path: body for path, body in files.items()}
        self.asked: list[str] = []

    async def fetch(self, url: str) -> bytes | Failure | Skip:
        self.asked.append(url)
        await asyncio.sleep(0)
        return self.files.get(url, GONE)


async def taken(walk: SitemapWalk) -> list[str]:
    return [url async for url in walk]


def walk_of(site: Site, *paths: str, **limits: int) -> SitemapWalk:
    return SitemapWalk([f"{SITE}{path}" for path in paths], fetch=site.fetch, limits=SitemapLimits(**limits))


async def test_a_tree_of_several_levels_with_loops() -> None:
    site = Site(
        {
            "/index.xml": samples.index(f"{SITE}/index.xml", f"{SITE}/a/index.xml", f"{SITE}/pages.xml"),
            "/a/index.xml": samples.index(f"{SITE}/b/index.xml", f"{SITE}/index.xml", f"{SITE}/pages.xml#again"),
            "/b/index.xml": samples.index(f"{SITE}/c/pages.xml.gz", f"{SITE}/a/index.xml", f"{SITE}/c/index.xml"),
            "/c/index.xml": samples.index(f"{SITE}/never.xml"),
            "/c/pages.xml.gz": gzip.compress(samples.urlset(f"{SITE}/3", f"{SITE}/1")),
            "/pages.xml": samples.urlset(f"{SITE}/1", f"{SITE}/2"),
        }
    )
    walk = walk_of(site, "/index.xml")
    assert await taken(walk) == [f"{SITE}/{n}" for n in (1, 2, 3, 1)]
    assert len(site.asked) == len(set(site.asked)) == 6
    assert walk.statistics == WalkStatistics(
        files=6, urls=4, left_out={"sitemap_repeated": 4, "sitemap_too_deep": 1}, problems={}, shown=()
    )
    assert await taken(walk) == []


async def test_entries_carry_their_dates_and_canonical_urls() -> None:
    body = (
        b"<urlset><url><loc>HTTPS://EXAMPLE.org:443/a/../\xc3\xa9#x</loc><lastmod>2024-05-01</lastmod></url></urlset>"
    )
    walk = walk_of(Site({"/s.xml": body}), "/s.xml")
    assert [entry async for entry in walk.entries()] == [
        Entry(f"{SITE}/%C3%A9", datetime(2024, 5, 1, tzinfo=UTC), Form.URLSET)
    ]


async def test_scope_decides_which_pages_and_foreign_files_are_used() -> None:
    scope = Scope("prefix")
    scope.include(f"{SITE}/blog/")
    site = Site(
        {
            "/index.xml": samples.index(
                "https://www.example.org/www.xml",
                "https://example.com/foreign.xml",
                "/relative.xml",
                "ftp://example.org/",
            ),
            "https://www.example.org/www.xml": samples.urlset(
                f"{SITE}/blog/1", f"{SITE}/about", "https://example.com/blog/1", "javascript:alert(1)", "http://["
            ),
            "https://cdn.example.net/index.xml": samples.index("https://cdn.example.net/pages.xml"),
            "https://cdn.example.net/pages.xml": samples.urlset(f"{SITE}/blog/2"),
        }
    )
    starts = [f"{SITE}/index.xml", "https://cdn.example.net/index.xml"]
    walk = SitemapWalk(starts, fetch=site.fetch, admits=scope.admits)
    assert sorted(await taken(walk)) == [f"{SITE}/blog/1", f"{SITE}/blog/2"]
    assert walk.statistics.left_out == {"out_of_scope": 2, "invalid_url": 4, "sitemap_out_of_scope": 1}
    assert "https://example.com/foreign.xml" not in site.asked


async def test_files_that_fail_or_break_do_not_end_the_walk() -> None:
    site = Site(
        {
            "/skipped.xml": Skip("out_of_scope", "redirected"),
            "/page.xml": b"<!doctype html><p>Not found",
            "/broken.xml": samples.urlset(f"{SITE}/1")[:-1],
            "/good.xml": samples.urlset(f"{SITE}/2"),
        }
    )
    paths = ("/gone.xml", "/skipped.xml", "/page.xml", "/broken.xml", "/good.xml")
    walk = SitemapWalk(
        [f"https://me:secret@example.org{paths[0]}", *(f"{SITE}{path}" for path in paths[1:])], fetch=site.fetch
    )
    assert await taken(walk) == [f"{SITE}/1", f"{SITE}/2"]
    statistics = walk.statistics
    assert statistics.files == 3
    assert statistics.problems == {"http_404": 1, "out_of_scope": 1, "html": 1, "truncated": 1}
    assert statistics.shown[0] == FileProblem(f"{SITE}/gone.xml", "http_404", "not found")
    assert "secret" not in repr(statistics)


async def test_the_problems_that_are_shown_are_bounded() -> None:
    walk = walk_of(Site({}), *(f"/{n}.xml" for n in range(150)))
    assert await taken(walk) == []
    assert walk.statistics.problems == {"http_404": 150}
    assert len(walk.statistics.shown) == 100


async def test_the_number_of_files_is_bounded() -> None:
    """Each index lists two more of which nobody has heard."""
    asked: list[str] = []

    async def fetch(url: str) -> bytes:
        asked.append(url)
        return samples.index(f"{url}a", f"{url}b")

    walk = SitemapWalk([f"{SITE}/"], fetch=fetch, limits=SitemapLimits(files=10, index_depth=100))
    assert await taken(walk) == []
    assert len(asked) == 10
    assert walk.statistics.left_out == {"too_many_sitemaps": 11}


async def test_the_number_of_urls_is_bounded() -> None:
    site = Site({f"/{n}.xml": samples.urlset(*(f"{SITE}/{n}/{page}" for page in range(5))) for n in range(4)})
    paths = [f"/{n}.xml" for n in range(4)]
    walk = walk_of(site, *paths, urls=7)
    assert len(await taken(walk)) == 7
    assert walk.statistics.problems == {"too_many_urls": 1}
    assert walk.statistics.left_out == {"sitemap_unread": 2}
    assert await taken(walk) == []
    assert len(site.asked) == 2
    whole = walk_of(site, *paths, urls=20)
    assert len(await taken(whole)) == 20
    assert whole.statistics.problems == {}


async def test_since_spares_indexed_files_that_have_not_changed() -> None:
    body = (
        f"<sitemapindex><sitemap><loc>{SITE}/old.xml</loc><lastmod>2020-01-01</lastmod></sitemap>"
        f"<sitemap><loc>{SITE}/new.xml</loc><lastmod>2024-06-01</lastmod></sitemap></sitemapindex>"
    )
    site = Site({"/index.xml": body.encode(), "/new.xml": samples.URLSET.encode()})
    walk = SitemapWalk([f"{SITE}/index.xml"], fetch=site.fetch, since=datetime(2024, 5, 3, tzinfo=UTC))
    assert await taken(walk) == ["https://example.org/a?b=1&c=2"]
    assert site.asked == [f"{SITE}/index.xml", f"{SITE}/new.xml"]
    assert walk.statistics.left_out == {"older": 3}


async def test_others_get_their_turn_while_a_large_file_is_read() -> None:
    """Also where it has no entries to give."""
    filler = b"<!-- nothing to see here, for a long time to come -->" * 20_000
    walk = walk_of(Site({"/s.xml": b"<urlset>" + filler + b"</urlset>"}), "/s.xml")
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    assert await taken(walk) == []
    counting.cancel()
    assert turns > len(filler) // STEP_BYTES


async def test_a_walk_fetches_no_faster_than_its_urls_are_taken() -> None:
    site = Site({f"/{n}.xml": samples.urlset(f"{SITE}/{n}") for n in range(3)})
    walk = walk_of(site, "/0.xml", "/1.xml", "/2.xml")
    entries = walk.entries()
    await anext(entries)
    assert site.asked == [f"{SITE}/0.xml"]
    await entries.aclose()
    assert repr(walk) == "<SitemapWalk: 1 URLs of 1 files, 2 files to read>"


async def test_a_file_that_is_left_early_still_counts_what_it_left_out() -> None:
    walk = walk_of(Site({"/s.xml": samples.urlset("", f"{SITE}/1", f"{SITE}/2")}), "/s.xml")
    entries = walk.entries()
    await anext(entries)
    await entries.aclose()
    assert walk.statistics.left_out == {"no_loc": 1}


async def test_what_the_fetch_raises_is_raised() -> None:
    async def fetch(url: str) -> bytes:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await taken(SitemapWalk([f"{SITE}/s.xml"], fetch=fetch))


def test_a_start_that_cannot_be_fetched_is_refused() -> None:
    with pytest.raises(InvalidURL, match="not an absolute URL"):
        SitemapWalk(["sitemap.xml"], fetch=Site({}).fetch)


def test_a_site_names_its_sitemaps_wherever_they_are() -> None:
    named = ["https://example.org/first.xml", "https://cdn.example.net/second.xml.gz", "/third.xml", "javascript:no"]
    assert sitemaps_of("https://EXAMPLE.org/deep/page?x", [*named, "third.xml"]) == [
        f"{SITE}/first.xml",
        "https://cdn.example.net/second.xml.gz",
        f"{SITE}/third.xml",
    ]


@pytest.mark.parametrize("named", [[], ["http://[", "mailto:me@example.org"]])
def test_without_a_named_one_it_is_the_usual_place(named: list[str]) -> None:
    assert sitemaps_of("https://me:secret@example.org:8443/page", named) == ["https://example.org:8443/sitemap.xml"]


def test_a_site_that_cannot_be_fetched_is_refused() -> None:
    with pytest.raises(InvalidURL, match="not an absolute URL"):
        sitemaps_of("example.org")
