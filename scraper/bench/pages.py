"""Where the pages come from: a synthetic site, a folder of saved pages, or a site that the user names."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from fixtures_server import Corpus, CorpusOptions, FixtureServer, OptionsRefused, SiteOptions, SyntheticSite
from scraper import urls
from scraper.crawler import Crawler
from scraper.errors import UsageError
from scraper.fetch import AioFetcher, Fetcher, OpenGate
from scraper.model import Failure, Request, Response, Skip
from scraper.options import FetchOptions, LimitOptions, PaceOptions
from scraper.parse.extract import encode_task

# As long as an article, with as many links, and few enough pages to be held in memory.
SITE = SiteOptions(pages=400, page_bytes=20_000, links_per_page=30)

# What is held in memory of a folder: more would not change a median, and 100 MB fit beside the workers.
MOST_PAGES = 1_000
MOST_BYTES = 100_000_000
# What is asked of a site that belongs to somebody else, before the measured crawls ask for the same again.
MOST_FETCHED = 100
# To the local server, which bears it; a site of the user's own keeps the crawler's usual pace.
_LOCAL_PACE = PaceOptions(concurrency=32, per_host=32, retries=0)
_POLITE_PACE = PaceOptions(retries=0)

_GOLDEN_RATIO = (1 + 5**0.5) / 2

Ranked = TypeVar("Ranked")

# The pages stand in a local server's place: what relative links in them are joined with.
_ORIGIN = "http://127.0.0.1"


@dataclass(frozen=True, slots=True)
class Pages:
    """Pages to parse, and where to crawl the same ones.

    Args:
        title: what they are, in a few words.
        tasks: what a worker gets of each, as a crawl would hand it over.
        urls: where each is to be fetched; empty if only parsing is measured.
        server_pid: of the local server that has them; None for a site elsewhere.
        pace: how fast that may be crawled.
        max_depth: links followed from each page in a crawl: on the synthetic site they lead to the same pages, in
            saved ones to pages that are not there.
    """

    title: str
    tasks: tuple[tuple[Any, ...], ...]
    urls: tuple[str, ...] = ()
    server_pid: int | None = None
    pace: PaceOptions = _LOCAL_PACE
    max_depth: int | None = 0

    @property
    def mean_bytes(self) -> float:
        return sum(len(task[-1]) for task in self.tasks) / len(self.tasks)


@asynccontextmanager
async def synthetic_pages(seed: int, *, is_served: bool) -> AsyncIterator[Pages]:
    """Pages that are the same on every machine, and a server that has them."""
    options = SiteOptions(SITE.pages, SITE.page_bytes, SITE.links_per_page, seed=seed)
    site = SyntheticSite(options)
    order = range(options.pages)
    tasks = tuple(_task(site.path_of(page), site.render(page)) for page in order)
    title = f"{options.pages} synthetic pages with {options.links_per_page} links each"
    if not is_served:
        yield Pages(title, tasks)
        return
    async with FixtureServer(options) as server:
        found = tuple(server.url_of(page) for page in order)
        yield Pages(title, tasks, found, server.pid, max_depth=None)


def read_folder(folder: str) -> Corpus:
    """The saved pages in a folder.

    Raises:
        UsageError: no such folder, or no page in it.
    """
    try:
        corpus = Corpus(CorpusOptions(Path(folder)))
    except OptionsRefused as error:
        raise UsageError(f"--pages {folder}: {error}") from error
    if not _saved(corpus):
        raise UsageError(f"--pages {folder}: there is no HTML file in it")
    return corpus


@asynccontextmanager
async def saved_pages(corpus: Corpus, seed: int, *, is_served: bool) -> AsyncIterator[Pages]:
    """Pages of a folder, as many as fit, and a server that has them."""
    found = _saved(corpus)
    chosen = random.Random(seed).sample(found, min(len(found), MOST_PAGES))  # noqa: S311  # not a secret
    tasks = {}
    room = MOST_BYTES
    for path in chosen:
        resource = corpus.resource(path)
        if resource is not None and resource.status == 200 and len(resource.body) <= room:
            tasks[path] = _task(path, resource.body, resource.content_type)
            room -= len(resource.body)
    order = evenly(sorted(tasks, key=lambda path: len(tasks[path][-1])))
    left_out = f" of {len(found)}" if len(tasks) < len(found) else ""
    title = f"{len(tasks)}{left_out} saved pages from {corpus.options.directory.name}"
    ordered = tuple(tasks[path] for path in order)
    if not is_served:
        yield Pages(title, ordered)
        return
    async with FixtureServer(corpus.options) as server:
        origin = server.url.rstrip("/")
        yield Pages(title, ordered, tuple(origin + path for path in order), server.pid)


@asynccontextmanager
async def fetched_pages(url: str) -> AsyncIterator[Pages]:
    """The first pages of a site, fetched once.

    Raises:
        UsageError: none could be fetched.
    """
    seen = _Keeping(url)
    limits = LimitOptions(max_pages=MOST_FETCHED)
    async with (
        seen,
        Crawler(parser="lexbor", executor="thread", fetch=seen, pace=_POLITE_PACE, limits=limits) as crawler,
    ):
        await crawler.run(url)
    if not seen.found:
        raise UsageError(f"--url {urls.without_credentials(url)}: no page could be fetched ({seen.problem})")
    order = evenly(sorted(seen.found, key=lambda pair: len(pair[1].body)))
    tasks = tuple(encode_task(request, response) for request, response in order)
    title = f"{len(tasks)} pages of {urls.host_port(url)}"
    yield Pages(title, tasks, tuple(request.url for request, _ in order), pace=_POLITE_PACE)


class _WithinSite(OpenGate):
    async def hop(self, request: Request, url: str) -> Skip | None:
        return None if urls.is_same_site(request.url, url) else Skip("out_of_scope", f"redirected to {url}")


class _Keeping:
    """A fetcher that keeps what it fetched; it follows redirects within the site."""

    def __init__(self, url: str) -> None:
        named = urls.host_port(urls.canonical(url))
        self._fetcher: Fetcher = AioFetcher(FetchOptions(), _WithinSite(), _POLITE_PACE.concurrency, named.__eq__)
        self._site = url
        self.found: list[tuple[Request, Response]] = []
        self.problem = "it has none"

    async def fetch(self, request: Request) -> Response | Failure | Skip:
        answer = await self._fetcher.fetch(request)
        if isinstance(answer, Response):
            self.found.append((request, answer))
        else:
            self.problem = answer.reason
        return answer

    async def __aenter__(self) -> Self:
        await self._fetcher.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._fetcher.__aexit__(kind, error, trace)


def _saved(corpus: Corpus) -> list[str]:
    """Paths of the files, without the lists that the server makes of them."""
    return [path for path in corpus.paths() if not path.endswith("/")]


def _task(path: str, body: bytes, content_type: str = "text/html; charset=utf-8") -> tuple[Any, ...]:
    url = _ORIGIN + path
    response = Response(url, 200, (("Content-Type", content_type),), body, len(body), 0.0)
    return encode_task(Request.plain(url), response)


def evenly(ranked: Sequence[Ranked]) -> list[Ranked]:
    """The same in an order of which every stretch has small, middle and large ones alike.

    A slow parser gets through a few pages in the time of a measurement, and they have to stand for all. The k-th
    place goes to the rank that the fractional part of k times the golden ratio has among all of them, which is a
    sequence of low discrepancy (Weyl; Kuipers and Niederreiter, Uniform Distribution of Sequences).

    Args:
        ranked: in order of size.
    """
    places = sorted(range(len(ranked)), key=lambda at: at * _GOLDEN_RATIO % 1.0)
    ordered = list(ranked)
    for rank, place in enumerate(places):
        ordered[place] = ranked[rank]
    return ordered
