"""URLs that sites list of themselves, fetched: the Sitemap lines of robots.txt, then sitemaps, indexes and feeds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime

from scraper import urls
from scraper.fetch import AioFetcher, Fetcher, OpenGate
from scraper.frontier.retry import RetryPolicy
from scraper.model import Failure, Request, Response, Skip
from scraper.options import FetchOptions, PaceOptions
from scraper.robots import Robots, is_absent, product_token
from scraper.sitemap import FileProblem, SitemapLimits, SitemapWalk, sitemaps_of

# What the protocol allows one sitemap to have, unpacked; sites with more say so in an index.
_MAX_SITEMAP_BYTES = 50 * 1024 * 1024


async def sitemaps(
    *sites: str,
    since: datetime | None = None,
    fetch: FetchOptions | Fetcher | None = None,
    limits: SitemapLimits | None = None,
) -> AsyncGenerator[str, None]:
    """The URLs that sites list in their sitemaps, one site after another, in canonical form; some may come twice.

        async for url in scraper.sitemaps("https://example.org/"):
            ...

    Args:
        sites: any URL of each site. Its robots.txt names its sitemaps; where it names none, /sitemap.xml is read.
        since: aware; leaves out what has certainly not changed since then.
        fetch: options, or a fetcher of your own.
        limits: what is read at most.

    Raises:
        InvalidURL: a site's URL cannot be fetched.
        InvalidOption: `since` has no time zone.
    """
    async with aclosing(aiter(SiteListing(sites, since=since, fetch=fetch, limits=limits))) as listed:
        async for url in listed:
            yield url


class SiteListing:
    """What `sitemaps` gives, with what was wrong on the way. It is iterated once.

    Args:
        sites, since, fetch, limits: as for `sitemaps`.

    Attributes:
        count: URLs given so far.
        problems: files that were not fetched, or not read to their end.

    Raises:
        InvalidURL: a site's URL cannot be fetched.
    """

    def __init__(
        self,
        sites: Sequence[str],
        *,
        since: datetime | None = None,
        fetch: FetchOptions | Fetcher | None = None,
        limits: SitemapLimits | None = None,
    ) -> None:
        self._sites = {urls.origin(url): url for url in (urls.canonical(site) for site in sites)}
        self._since = since
        self._fetch = fetch
        self._limits = limits
        self._retry = RetryPolicy(PaceOptions())
        self._agent = product_token((fetch if isinstance(fetch, FetchOptions) else FetchOptions()).agent)
        self.count = 0
        self.problems: list[FileProblem] = []

    def __repr__(self) -> str:
        return f"<SiteListing of {len(self._sites)} sites: {self.count:,} URLs, {len(self.problems)} problems>"

    async def __aiter__(self) -> AsyncGenerator[str, None]:
        if self._fetch is not None and not isinstance(self._fetch, FetchOptions):
            async for url in self._walk(self._fetch):
                yield url
            return
        options = self._fetch or FetchOptions()
        options = replace(options, max_body_bytes=max(options.max_body_bytes, _MAX_SITEMAP_BYTES))
        named = {urls.host_port(url) for url in self._sites.values() if options.addresses.trust_seeds}
        async with AioFetcher(options, OpenGate(), 1, named.__contains__) as fetcher:
            for site in self._sites.values():
                fetcher.keep_credentials(site)
            async for url in self._walk(fetcher):
                yield url

    async def _walk(self, fetcher: Fetcher) -> AsyncIterator[str]:
        async def get(url: str) -> bytes | Failure | Skip:
            return await self._get(fetcher, url)

        for origin, site in self._sites.items():
            place = f"{origin}/robots.txt"
            robots = await get(place)
            if isinstance(robots, Failure) and not is_absent(robots.reason):
                detail = robots.detail if robots.reason == "robots_unreachable" else f"not read: {robots.reason}"
                self.problems.append(FileProblem(place, "robots_unreachable", detail))
                continue
            named = Robots.parse(robots, self._agent).sitemaps if isinstance(robots, bytes) else ()
            walk = SitemapWalk(sitemaps_of(site, named), fetch=get, since=self._since, limits=self._limits)
            async for url in walk:
                self.count += 1
                yield url
            self.problems += walk.statistics.shown

    async def _get(self, fetcher: Fetcher, url: str) -> bytes | Failure | Skip:
        attempts = 0
        while True:
            answer = await fetcher.fetch(Request(url, accept=("*/*",)))
            if isinstance(answer, Response):
                return answer.body
            attempts += 1
            wait_s = self._retry.wait_s(answer, attempts) if isinstance(answer, Failure) else None
            if wait_s is None:
                return answer
            await asyncio.sleep(wait_s)
