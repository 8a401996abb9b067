"""Crawls with a state file: they stop, die and go on, and come to the same end."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import pytest

from fixtures_server import FixtureServer, SiteOptions
from fixtures_server.pytest_plugin import StartServer
from scraper import (
    Crawler,
    Failure,
    LimitOptions,
    MemorySink,
    MockFetcher,
    Request,
    SqliteSink,
    StateError,
    StateOptions,
    StateRefused,
    Statistics,
    UsageError,
)
from tests.crawler import handlers

SITE = SiteOptions(pages=80, page_bytes=3_000, links_per_page=10)


def urls_in(output: Path) -> Counter[str]:
    return Counter(json.loads(line)["url"] for line in output.read_text("utf-8").splitlines())


async def crawl(url: str, folder: Path, **options: Any) -> Statistics:
    limits = options.pop("limits", None)
    async with Crawler(handlers.follow_all, state=folder / "state", limits=limits, executor="inline") as crawler:
        return await crawler.run(url, sinks=[folder / "items.jsonl"], **options)


@pytest.mark.parametrize("executor", ["inline", "thread", "process", "auto"])
async def test_a_crawl_in_steps_gives_what_one_crawl_gives(
    fixture_server: StartServer, tmp_path: Path, executor: Any
) -> None:
    site = fixture_server(SITE)
    for pages in (20, 50, None):
        limits = LimitOptions(max_pages=pages)
        async with Crawler(handlers.follow_all, state=tmp_path / "state", limits=limits, executor=executor) as crawler:
            stats = await crawler.run(site.url, sinks=[tmp_path / "items.jsonl"])
    assert urls_in(tmp_path / "items.jsonl") == Counter(site.urls())
    assert stats.done == stats.items == SITE.pages
    assert stats.waiting == 0


async def test_a_limit_that_was_reached_before_ends_the_crawl_at_once(
    fixture_server: StartServer, tmp_path: Path
) -> None:
    site = fixture_server(SITE)
    first = await crawl(site.url, tmp_path, limits=LimitOptions(max_pages=20))
    again = await crawl(site.url, tmp_path, limits=LimitOptions(max_pages=20))
    assert (again.done, again.stopped) == (first.done, "max_pages")


async def test_counts_are_over_all_runs_and_rates_of_this_one(fixture_server: StartServer, tmp_path: Path) -> None:
    site = fixture_server(SITE)
    whole = await crawl(site.url, tmp_path)
    again = await crawl(site.url, tmp_path)
    assert (again.seen, again.done, again.items, again.bytes) == (whole.seen, whole.done, whole.items, whole.bytes)
    assert again.dropped == whole.dropped
    assert again.pages_per_s == 0


async def test_a_crawl_that_was_cancelled_goes_on(fixture_server: StartServer, tmp_path: Path) -> None:
    site = fixture_server(SITE)
    for pages in (5, 30):
        reached = asyncio.Event()
        async with Crawler(handlers.follow_all, state=tmp_path / "state", executor="inline") as crawler:
            sink = Watched(tmp_path / "items.jsonl", pages, reached)
            running = asyncio.create_task(crawler.run(site.url, sinks=[tmp_path / "items.jsonl", sink]))
            await asyncio.wait([running, asyncio.create_task(reached.wait())], return_when="FIRST_COMPLETED")
            running.cancel()
            await asyncio.wait([running])
        known = done_in(tmp_path / "state")
        assert set(urls_in(tmp_path / "items.jsonl")) == known, "what is in the output is what is done"
    await crawl(site.url, tmp_path)
    assert urls_in(tmp_path / "items.jsonl") == Counter(site.urls())


class Watched(MemorySink):
    """Tells when so many lines are in another output."""

    def __init__(self, output: Path, lines: int, reached: asyncio.Event) -> None:
        super().__init__()
        self._output = output
        self._lines = lines
        self._reached = reached

    async def write(self, records: Any) -> None:
        await super().write(records)
        if self._output.exists() and len(self._output.read_text("utf-8").splitlines()) >= self._lines:
            self._reached.set()


def done_in(state: Path) -> set[str]:
    with closing(sqlite3.connect(state)) as database:
        return {url for (url,) in database.execute("SELECT url FROM requests WHERE state = 1")}


async def test_items_in_the_state_file_itself(fixture_server: StartServer, tmp_path: Path) -> None:
    site = fixture_server(SITE)
    state = tmp_path / "crawl.sqlite"
    for pages in (30, None):
        limits = LimitOptions(max_pages=pages)
        async with Crawler(handlers.follow_all, state=state, limits=limits, executor="inline") as crawler:
            await crawler.run(site.url, sinks=[SqliteSink(state)])
    with closing(sqlite3.connect(state)) as database:
        found = Counter(url for (url,) in database.execute("SELECT url FROM items"))
    assert found == Counter(site.urls())


async def test_a_request_comes_back_from_the_file_as_it_was(tmp_path: Path) -> None:
    """With everything that a request can carry, in a run that began after the one that found it."""
    wanted = Request(
        "http://shop.test/search",
        handler=handlers.only_url,
        method="POST",
        headers={"X-Token": "7"},
        body=b"\x00q=1",
        data={"from": ["a", 1, None]},
        priority=3,
        dedup_key="search 1",
        accept=["application/json"],
    )
    pages = dict.fromkeys(("http://shop.test/", "http://shop.test/first", wanted.url), b"<title>a</title>")
    asked: list[Request] = []
    for limit in (1, None):
        fetch = MockFetcher(pages)
        limits = LimitOptions(max_pages=limit)
        async with Crawler(handlers.only_url, state=tmp_path / "state", limits=limits, fetch=fetch) as crawler:
            await crawler.run("http://shop.test/", Request("http://shop.test/first", priority=9), wanted)
        asked += fetch.requests
    assert [request.url for request in asked] == ["http://shop.test/first", wanted.url, "http://shop.test/"]
    assert asked[1] == wanted


async def test_stream_with_a_state_gives_a_page_again_that_was_not_taken_whole(
    fixture_server: StartServer, tmp_path: Path
) -> None:
    site = fixture_server(SITE)
    taken: list[str] = []
    async with Crawler(handlers.follow_all, state=tmp_path / "state", executor="inline") as crawler:
        async with aclosing(crawler.stream(site.url)) as items:
            async for item in items:
                taken.append(item["url"])
                if len(taken) == 10:
                    break
        taken += [item["url"] async for item in crawler.stream(site.url)]
    assert set(taken) == set(site.urls())


async def test_a_second_crawl_on_the_same_file_is_told_who_has_it(fixture_server: StartServer, tmp_path: Path) -> None:
    site = fixture_server(SITE)
    async with Crawler(handlers.follow_all, state=tmp_path / "state", executor="inline") as crawler:
        items = crawler.stream(site.url)
        await anext(items)
        with pytest.raises(StateRefused, match=f"in use by process {os.getpid()} "):
            await crawl(site.url, tmp_path)
        await items.aclose()
    assert (await crawl_without_output(site.url, tmp_path)).waiting == 0


async def crawl_without_output(url: str, folder: Path) -> Statistics:
    async with Crawler(handlers.follow_all, state=folder / "state", executor="inline") as crawler:
        return await crawler.run(url)


async def test_failed_pages_are_tried_again_when_asked(tmp_path: Path) -> None:
    pages: dict[str, bytes | Failure] = {"http://shop.test/": b"<a href=/b>b</a>"}

    async def run(*, retry_failed: bool) -> Statistics:
        state = StateOptions(path=tmp_path / "state", retry_failed=retry_failed)
        async with Crawler(handlers.follow_all, state=state, fetch=MockFetcher(pages)) as crawler:
            return await crawler.run("http://shop.test/", sinks=[tmp_path / "items.jsonl"])

    assert (await run(retry_failed=False)).failures == {"http_404": 1}
    pages["http://shop.test/b"] = b"b"
    assert (await run(retry_failed=False)).failures == {"http_404": 1}
    stats = await run(retry_failed=True)
    assert (stats.done, stats.failed, stats.failures) == (2, 0, {})
    assert urls_in(tmp_path / "items.jsonl") == Counter(["http://shop.test/", "http://shop.test/b"])


async def test_a_state_file_that_goes_away_ends_the_crawl(fixture_server: StartServer, tmp_path: Path) -> None:
    site = fixture_server(SITE)
    async with Crawler(handlers.follow_all, state=tmp_path / "state", executor="inline") as crawler:
        items = crawler.stream(site.url)
        await anext(items)
        (tmp_path / "state").unlink()
        with pytest.raises(StateError, match="deleted or replaced"):
            [item async for item in items]


def test_a_page_that_ends_the_crawler_fails_in_the_end_and_the_rest_is_done(tmp_path: Path) -> None:
    """In line, a handler that crashes takes the crawler along. Twice; then its page runs alone, where it can crash."""
    with FixtureServer(SITE) as site:
        statuses = [run_to_its_end(site.url, tmp_path, "crashes_on_seven", "inline") for _ in range(3)]
    assert statuses == [-signal.SIGKILL, -signal.SIGKILL, 0]
    assert list(ends(tmp_path).values()) == ["worker_crashed"]
    assert sum(urls_in(tmp_path / "items.jsonl").values()) == SITE.pages - 1


def test_a_page_that_ends_the_crawler_from_a_worker_fails_the_third_time(tmp_path: Path) -> None:
    with FixtureServer(SITE) as site:
        statuses = [run_to_its_end(site.url, tmp_path, "kills_its_parent_on_seven", "process") for _ in range(4)]
    assert statuses == [-signal.SIGKILL] * 3 + [0]
    assert list(ends(tmp_path).values()) == ["crashes"]
    assert sum(urls_in(tmp_path / "items.jsonl").values()) == SITE.pages - 1


def run_to_its_end(url: str, folder: Path, handler: str, executor: str) -> int:
    command = [sys.executable, "-m", "scraper", "crawl", url, "--handler", f"tests.crawler.handlers:{handler}"]
    command += ["--executor", executor, "--workers", "1", "--quiet", "--per-host", "2"]
    command += ["--state", str(folder / "state"), "--output", str(folder / "items.jsonl")]
    return subprocess.run(command, timeout=50, check=False, cwd=Path(__file__).parents[2]).returncode


def ends(folder: Path) -> dict[str, str]:
    with closing(sqlite3.connect(folder / "state")) as database:
        query = "SELECT url, reason FROM ends JOIN requests ON number = request"
        return dict(database.execute(query).fetchall())


@pytest.mark.parametrize("wrong", ["handler", "output"])
async def test_a_refused_command_leaves_no_state_that_would_refuse_the_corrected_one(
    fixture_server: StartServer, tmp_path: Path, wrong: str
) -> None:
    site = fixture_server(SITE)
    output = tmp_path / "items.jsonl"
    if wrong == "output":
        output.write_text("an earlier result\n")
    name = "tests.crawler.handlers:folow_all" if wrong == "handler" else "tests.crawler.handlers:follow_all"
    with pytest.raises(UsageError):
        async with Crawler(name, state=tmp_path / "state", executor="inline") as crawler:
            await crawler.run(site.url, sinks=[output])
    assert not (tmp_path / "state").exists()
    output.unlink(missing_ok=True)
    assert (await crawl(site.url, tmp_path)).done == SITE.pages


async def test_what_is_added_while_the_crawl_comes_to_its_end_is_crawled(tmp_path: Path) -> None:
    """Adding takes a moment in the file's thread; the crawl waits for it."""
    pages = {"http://shop.test/": b"first", "http://shop.test/late": b"late"}
    async with Crawler(handlers.only_url, state=tmp_path / "state", fetch=MockFetcher(pages)) as crawler:
        adding: list[asyncio.Task[None]] = []

        class Adds(MemorySink):
            async def write(self, records: Any) -> None:
                await super().write(records)
                if records and not adding:
                    adding.append(asyncio.create_task(crawler.add("http://shop.test/late")))
                    await asyncio.sleep(0)

        sink = Adds()
        stats = await crawler.run("http://shop.test/", sinks=[sink])
        await adding[0]
    assert stats.waiting == 0
    assert [item["url"] for item in sink.items] == list(pages)


async def test_adding_many_seeds_can_be_cancelled(tmp_path: Path) -> None:
    seeds = [f"http://shop.test/{number}" for number in range(20_000)]
    async with Crawler(handlers.only_url, state=tmp_path / "state", fetch=MockFetcher({})) as crawler:
        running = asyncio.create_task(crawler.run(seeds))
        while not (tmp_path / "state").exists():
            await asyncio.sleep(0.001)
        running.cancel()
        await asyncio.wait([running])
    with closing(sqlite3.connect(tmp_path / "state")) as database:
        assert database.execute("SELECT count(*) FROM requests").fetchone()[0] < len(seeds)
