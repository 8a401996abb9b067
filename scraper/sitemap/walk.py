"""All sitemaps of a site, one after another, as one stream of URLs."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from scraper import urls
from scraper.errors import InvalidURL
from scraper.sitemap.reader import SitemapReader, check_since
from scraper.sitemap.values import Entry, Fetch, SitemapLimits

_MAX_SHOWN_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class FileProblem:
    """Why a file was not fetched, or not read to its end.

    Args:
        url: without credentials.
        reason: as in `Problem`, or what the fetch says.
        detail: a sentence for the person who reads it.
    """

    url: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkStatistics:
    """How far a walk came.

    Args:
        files: that were fetched and read.
        urls: that were given.
        left_out: reason and count of entries and files that were left out; the package's table has the reasons.
        problems: reason and count of files with a problem.
        shown: the first hundred of them.
    """

    files: int
    urls: int
    left_out: Mapping[str, int]
    problems: Mapping[str, int]
    shown: tuple[FileProblem, ...]


class _File(NamedTuple):
    url: str
    depth: int


class SitemapWalk:
    """The pages that sitemaps list, through indexes of indexes, each file at most once.

    Iterating gives canonical URLs, which may repeat: nothing is kept of them, so a walk of millions takes no more
    memory than its largest file. It fetches one file at a time, as fast as its URLs are taken:

        async for url in SitemapWalk(["https://example.org/sitemap.xml"], fetch=fetch):
            ...

    Files are parsed on the event loop, as far as URLs are taken, in steps of 0.2 ms with a turn for others between
    them: parsing is Python for the most part, and a thread would take turns with the loop five milliseconds at a time.

    Args:
        starts: URLs of sitemaps, such as `sitemaps_of` gives them; they are used wherever they are.
        fetch: gets a file. Pace, retries, and which addresses may be asked are its business.
        admits: whether a page's canonical URL is wanted; None admits all. An indexed file is used if it is on the
            site of its index, or is admitted.
        since: leaves out pages, and indexed files, that have certainly not changed since then; see `SitemapReader`.
        limits: what is read at most.

    Raises:
        InvalidURL: a start cannot be fetched.
        InvalidOption: `since` has no time zone.
    """

    def __init__(
        self,
        starts: Iterable[str],
        *,
        fetch: Fetch,
        admits: Callable[[str], bool] | None = None,
        since: datetime | None = None,
        limits: SitemapLimits | None = None,
    ) -> None:
        check_since(since)
        self._fetch = fetch
        self._admits = admits
        self._since = since
        self._limits = limits or SitemapLimits()
        self._known: set[str] = set()
        self._waiting: deque[_File] = deque()
        self._files = self._urls = 0
        self._left_out: Counter[str] = Counter()
        self._problems: Counter[str] = Counter()
        self._shown: list[FileProblem] = []
        for start in starts:
            self._add_file(urls.canonical(start), 0)

    def __repr__(self) -> str:
        return f"<SitemapWalk: {self._urls:,} URLs of {self._files:,} files, {len(self._waiting):,} files to read>"

    @property
    def statistics(self) -> WalkStatistics:
        """How far the walk came; of the file that is being read, what is left out is counted at its end."""
        return WalkStatistics(
            files=self._files,
            urls=self._urls,
            left_out=dict(self._left_out),
            problems=dict(self._problems),
            shown=tuple(self._shown),
        )

    async def __aiter__(self) -> AsyncIterator[str]:
        async with aclosing(self.entries()) as entries:
            async for entry in entries:
                yield entry.loc

    async def entries(self) -> AsyncGenerator[Entry, None]:
        """The pages' entries, with canonical URLs. What was given once is not given again by a second call."""
        while self._waiting:
            file = self._waiting.popleft()
            body = await self._fetch(file.url)
            if not isinstance(body, bytes):
                self._note(file, body.reason, body.detail)
                continue
            self._files += 1
            reader = SitemapReader(self._limits, since=self._since)
            try:
                for found in _steps(reader, body):
                    for entry in found:
                        page = self._sorted(entry, file)
                        if page is None:
                            continue
                        if self._urls >= self._limits.urls:
                            self._end(file)
                            return
                        self._urls += 1
                        yield page
                    await asyncio.sleep(0)
            finally:
                self._left_out.update(reader.left_out)
            if reader.problem is not None:
                self._note(file, reader.problem.reason, reader.problem.detail)

    def _sorted(self, entry: Entry, file: _File) -> Entry | None:
        """The entry if it is a page to be given. What is a file goes to the others."""
        try:
            url = urls.canonical(entry.loc)
        except InvalidURL:
            self._left_out["invalid_url"] += 1
            return None
        if entry.is_index:
            self._add_indexed(url, file)
            return None
        if self._admits is not None and not self._admits(url):
            self._left_out["out_of_scope"] += 1
            return None
        return Entry(url, entry.lastmod, entry.form)

    def _add_indexed(self, url: str, index: _File) -> None:
        if index.depth >= self._limits.index_depth:
            self._left_out["sitemap_too_deep"] += 1
        elif not urls.is_same_site(index.url, url) and self._admits is not None and not self._admits(url):
            self._left_out["sitemap_out_of_scope"] += 1
        elif not self._add_file(url, index.depth + 1):
            self._left_out["sitemap_repeated"] += 1

    def _add_file(self, url: str, depth: int) -> bool:
        """Whether the file is new."""
        if url in self._known:
            return False
        if len(self._known) >= self._limits.files:
            self._left_out["too_many_sitemaps"] += 1
        else:
            self._known.add(url)
            self._waiting.append(_File(url, depth))
        return True

    def _end(self, file: _File) -> None:
        self._note(file, "too_many_urls", f"the walk ends in it, after {self._urls:,} URLs")
        self._left_out["sitemap_unread"] += len(self._waiting)
        self._waiting.clear()

    def _note(self, file: _File, reason: str, detail: str) -> None:
        self._problems[reason] += 1
        if len(self._shown) < _MAX_SHOWN_PROBLEMS:
            self._shown.append(FileProblem(urls.without_credentials(file.url), reason, detail))


def _steps(reader: SitemapReader, body: bytes) -> Iterator[list[Entry]]:
    yield from reader.feed(body)
    yield from reader.close()
