"""Whole crawls of a real site over real sockets."""

import asyncio
import gc
import signal
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, Self

import psutil
import pytest

from fixtures_server import SiteOptions
from fixtures_server.pytest_plugin import StartServer
from scraper import (
    Crawler,
    Failure,
    FetchOptions,
    InvalidURL,
    LimitOptions,
    MemorySink,
    MockFetcher,
    NotRunning,
    OffloadPool,
    PaceOptions,
    Request,
    Response,
    SinkError,
    Snapshot,
    Statistics,
    UsageError,
)
from scraper.model import Stage
from scraper.options import PARSERS, ExecutorName, ParserName
from scraper.sinks import Record
from tests.crawler import handlers

SITE = SiteOptions(pages=60, page_bytes=6_000, links_per_page=10)


def check_sum(stats: Statistics) -> None:
    assert stats.seen == stats.done + stats.failed + stats.skipped + stats.waiting
    assert sum(stats.failures.values()) == stats.failed
    assert sum(stats.skips.values()) == stats.skipped


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("executor", ["inline", "thread", "process"])
async def test_every_page_is_found_once_with_every_strategy(
    fixture_server: StartServer, parser: ParserName, executor: ExecutorName
) -> None:
    site = fixture_server(SITE)
    await site.reset()
    sink = MemorySink()
    async with Crawler(parser=parser, executor=executor, workers=2) as crawler:
        stats = await crawler.run(site.url, sinks=[sink])
    assert {item["url"] for item in sink.items} == site.urls()
    assert stats.done == stats.seen == stats.items == len(sink.items) == len(site.urls())
    check_sum(stats)
    fetched = Counter(entry.path for entry in await site.access_log())
    assert set(fetched.values()) == {1}
    assert stats.executor == executor
    assert [(s.executor, s.pages) for s in stats.strategies] == [(executor, stats.done)]
    for stage in ("queue", "fetch", "handoff", "parse", "extract", "return", "commit"):
        assert stats.stages[stage].count == stats.done, stage
    assert stats.stages["parse"].cpu_s > 0


async def test_auto_takes_threads_for_lxml_and_processes_for_python(fixture_server: StartServer) -> None:
    site = fixture_server(SITE)
    for parser, executor in (("lxml", "thread"), ("html.parser", "process")):
        async with Crawler(parser=parser) as crawler:  # type: ignore[arg-type]
            stats = await crawler.run(site.url, sinks=[MemorySink()])
        assert stats.strategies[0].executor == executor
        assert stats.strategies[0].why


async def test_a_stream_gives_every_item(fixture_server: StartServer) -> None:
    site = fixture_server(SITE)
    async with Crawler(handlers.follow_all) as crawler:
        found = {item["url"] async for item in crawler.stream(site.url)}
        assert found == site.urls()
        assert crawler.statistics is not None
        assert crawler.statistics.done == len(found)


async def test_a_consumer_that_stops_taking_stops_fetching(fixture_server: StartServer) -> None:
    """Without backpressure the crawl would read the whole site into memory while nobody takes items."""
    site = fixture_server(SiteOptions(pages=3000, page_bytes=6_000, links_per_page=20))
    await site.reset()
    async with Crawler(handlers.follow_all, executor="inline") as crawler, aclosing(crawler.stream(site.url)) as items:
        for _ in range(50):
            await anext(items)
        fetched, before = len(await site.access_log()), -1
        while fetched != before:
            await asyncio.sleep(0.3)
            fetched, before = len(await site.access_log()), fetched
    assert 50 <= fetched < 1000


async def test_leaving_a_stream_ends_the_crawl_and_frees_the_crawler(fixture_server: StartServer) -> None:
    site = fixture_server(SITE)
    async with Crawler(handlers.follow_all) as crawler:
        async with aclosing(crawler.stream(site.url)) as items:
            await anext(items)
        stats = await crawler.run(site.url, sinks=[MemorySink()])
    assert stats.done == len(site.urls())


async def test_crawls_run_one_after_another_and_several_crawlers_at_once(fixture_server: StartServer) -> None:
    site = fixture_server(SITE)

    async def crawl(crawler: Crawler) -> int:
        return (await crawler.run(site.url, sinks=[MemorySink()])).done

    async with (
        OffloadPool(executor="thread", workers=2) as pool,
        Crawler(offload=pool) as one,
        Crawler(offload=pool) as two,
    ):
        assert tuple(await asyncio.gather(crawl(one), crawl(two))) == (len(site.urls()),) * 2
        assert await crawl(one) == len(site.urls())
        with pytest.raises(NotRunning, match="at the same time"):
            await asyncio.gather(crawl(one), crawl(one))


def open_sockets() -> int:
    return sum(connection.status == "ESTABLISHED" for connection in psutil.Process().net_connections())


@pytest.mark.parametrize("executor", ["inline", "thread", "process"])
@pytest.mark.parametrize("parser", ["lxml", "html.parser"])
async def test_cancellation_leaves_nothing_alive(
    fixture_server: StartServer, executor: ExecutorName, parser: ParserName
) -> None:
    site = fixture_server(SiteOptions(pages=3000, page_bytes=6_000, links_per_page=20))
    threads, tasks, sockets = set(threading.enumerate()), asyncio.all_tasks(), open_sockets()
    started = asyncio.Event()

    def notice(snapshot: Snapshot) -> None:
        if snapshot.done:
            started.set()

    async def crawl() -> None:
        async with Crawler(handlers.slow, parser=parser, executor=executor, workers=2) as crawler:
            await crawler.run(site.url, sinks=[MemorySink()], on_snapshot=notice)

    task = asyncio.create_task(crawl())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gc.collect()
    assert asyncio.all_tasks() == tasks
    assert [t for t in threading.enumerate() if t not in threads and not t.name.startswith("AnyIO")] == []
    assert all("offload" not in " ".join(child.cmdline()) for child in psutil.Process().children())
    assert open_sockets() <= sockets


async def test_max_pages_is_exact(fixture_server: StartServer) -> None:
    site = fixture_server(SITE)
    sink = MemorySink()
    async with Crawler(limits=LimitOptions(max_pages=17)) as crawler:
        stats = await crawler.run(site.url, sinks=[sink])
    assert stats.done == len(sink.items) == 17
    assert stats.waiting > 0
    assert stats.stopped == "max_pages"
    check_sum(stats)


async def test_max_depth_stops_at_the_links_of_that_depth(fixture_server: StartServer) -> None:
    site = fixture_server(SITE)
    async with Crawler(limits=LimitOptions(max_depth=0)) as crawler:
        stats = await crawler.run(site.url, sinks=[MemorySink()])
    assert stats.done == 1
    assert stats.dropped["too_deep"] > 0


async def test_max_time_stops_in_order(fixture_server: StartServer) -> None:
    site = fixture_server(SiteOptions(pages=3000, page_bytes=6_000, links_per_page=20))
    async with Crawler(handlers.slow, executor="thread", limits=LimitOptions(max_time_s=0.3)) as crawler:
        stats = await crawler.run(site.url, sinks=[MemorySink()])
    assert stats.stopped == "max_time"
    assert 0 < stats.done < 200
    assert stats.items == stats.done
    check_sum(stats)


async def test_stop_finishes_what_is_in_flight(fixture_server: StartServer) -> None:
    site = fixture_server(SiteOptions(pages=3000, page_bytes=6_000, links_per_page=20))
    sink = MemorySink()
    async with Crawler() as crawler:

        def stop(snapshot: Snapshot) -> None:
            if snapshot.done:
                crawler.stop("enough")

        stats = await crawler.run(site.url, sinks=[sink], on_snapshot=stop)
    assert stats.stopped == "enough"
    assert stats.items == stats.done == len(sink.items) < 3000


async def test_seeds_come_from_an_async_iterable_and_while_it_runs(fixture_server: StartServer) -> None:
    site = fixture_server(SITE)
    sink = MemorySink()
    async with Crawler(handlers.only_url) as crawler:

        async def seeds() -> AsyncIterator[str]:
            yield site.url_of(1)
            await asyncio.sleep(0)
            await crawler.add(site.url_of(2), Request(site.url_of(3)))
            yield site.url_of(4)

        await crawler.run(seeds(), [site.url_of(5)], sinks=[sink])
        with pytest.raises(NotRunning):
            await crawler.add(site.url)
    assert {item["url"] for item in sink.items} == {site.url_of(n) for n in range(1, 6)}


async def test_refused_before_the_first_request(fixture_server: StartServer) -> None:
    site = fixture_server(SITE)
    async with Crawler() as crawler:
        with pytest.raises(UsageError, match="nothing to crawl"):
            await crawler.run()
        with pytest.raises(InvalidURL):
            await crawler.run(site.url, "ftp://example.org/")
    with pytest.raises(NotRunning):
        await crawler.run(site.url)


async def test_a_handler_that_raises_loses_its_own_page_only(fixture_server: StartServer) -> None:
    site = fixture_server(SITE)
    sink, failures = MemorySink(), MemorySink()
    async with Crawler(handlers.raises_on_odd) as crawler:
        stats = await crawler.run([site.url_of(n) for n in range(60)], sinks=[sink], failures=failures)
    assert stats.failures == {"handler_raised": stats.failed}
    assert stats.failed == 30 - (0 if site.url_of(1).endswith("1") else 1)
    assert stats.done + stats.failed == 60
    assert {item["stage"] for item in failures.items} == {"extract"}
    assert len(failures.items) == stats.failed
    assert all("ValueError: odd" in item["detail"] for item in failures.items)
    assert not any(item["url"].endswith("7") for item in sink.items)
    check_sum(stats)


async def test_a_page_that_kills_its_worker_fails_alone(fixture_server: StartServer) -> None:
    site = fixture_server(SITE)
    sink = MemorySink()
    async with Crawler(handlers.exits_on_seven, executor="process", workers=2) as crawler:
        stats = await crawler.run(*(site.url_of(n) for n in range(60)), sinks=[sink])
    assert stats.failures == {"worker_crashed": 1}
    assert stats.done == len(sink.items) == 59
    check_sum(stats)


@pytest.mark.parametrize("executor", ["thread", "process"])
async def test_requests_name_the_handler_of_their_page_and_carry_data(
    fixture_server: StartServer, executor: ExecutorName
) -> None:
    site = fixture_server(SITE)
    sink = MemorySink()
    async with Crawler(handlers.hands_over, executor=executor) as crawler:
        stats = await crawler.run(site.url, sinks=[sink])
    assert Counter(item["by"] for item in sink.items) == {"hands_over": 1, "receives": 3}
    assert {item["from"] for item in sink.items if item["by"] == "receives"} == {site.url}
    assert sorted(strategy.pages for strategy in stats.strategies) == [1, 3]


async def test_redirects_lead_to_one_page_each(fixture_server: StartServer) -> None:
    """Three addresses that lead to one page are one page and two skips."""
    site = fixture_server(SITE)
    target = site.url_of(5)
    seeds = [site.fault("redirect", to=target, key=n) for n in range(3)]
    sink = MemorySink()
    async with Crawler(handlers.only_url) as crawler:
        stats = await crawler.run(*seeds, sinks=[sink])
    assert [item["url"] for item in sink.items] == [target]
    assert stats.skips == {"duplicate_redirect": 2}
    check_sum(stats)


async def test_a_redirect_out_of_scope_is_skipped(fixture_server: StartServer) -> None:
    here, there = fixture_server(SITE), fixture_server(SiteOptions(pages=2, page_bytes=6_000))
    async with Crawler(handlers.only_url) as crawler:
        stats = await crawler.run(here.fault("redirect", to=there.url), sinks=[MemorySink()])
    assert stats.skips == {"out_of_scope": 1}


async def test_a_failed_attempt_is_repeated_and_the_page_is_done(fixture_server: StartServer) -> None:
    site = fixture_server(SITE)
    sink = MemorySink()
    pace = PaceOptions(retries=3, backoff_s=0.01)
    async with Crawler(handlers.only_url, pace=pace) as crawler:
        stats = await crawler.run(site.fault("flaky", key="crawler"), sinks=[sink])
    assert stats.done == 1
    assert stats.retries == 2


async def test_seeds_that_fail_are_failed_pages(fixture_server: StartServer) -> None:
    site = fixture_server(SITE)
    pace = PaceOptions(retries=0)
    async with Crawler(pace=pace) as crawler:
        stats = await crawler.run(site.fault("status", code=404), "http://127.0.0.1:9/", sinks=[MemorySink()])
    assert stats.failures == {"http_404": 1, "connection_refused": 1}


async def test_a_name_is_sent_to_the_address_it_was_given(fixture_server: StartServer) -> None:
    from urllib.parse import urlsplit

    from scraper import Resolve

    site = fixture_server(SITE)
    port = urlsplit(site.url).port
    assert port is not None
    fetch = FetchOptions(resolve=(Resolve(host="shop.test", port=port, address="127.0.0.1"),))
    sink = MemorySink()
    async with Crawler(fetch=fetch) as crawler:
        await crawler.run(f"http://shop.test:{port}/", sinks=[sink])
    assert len(sink.items) == len(site.urls())


async def test_a_sink_that_fails_stops_the_crawl_and_says_so(fixture_server: StartServer) -> None:
    site = fixture_server(SITE)

    class Full(MemorySink):
        async def write(self, records: Any) -> None:
            if records:
                raise SinkError("disk full")

    async with Crawler() as crawler:
        with pytest.raises(SinkError, match="disk full"):
            await crawler.run(site.url, sinks=[Full()])
        assert crawler.statistics is not None
        assert crawler.statistics.done == 0


async def test_every_record_has_a_key_of_its_own(fixture_server: StartServer) -> None:
    site = fixture_server(SITE)
    keys: list[str] = []

    class Keys(MemorySink):
        async def write(self, records: Any) -> None:
            keys.extend(record.key for record in records if isinstance(record, Record))

    async with Crawler(handlers.many_items) as crawler:
        stats = await crawler.run(site.url, sinks=[Keys()])
    assert len(keys) == len(set(keys)) == stats.items == 10 * stats.done


async def test_a_site_can_be_played_without_a_network() -> None:
    pages = {
        "http://a.test/": b'<title>A</title><a href="/b">b</a><a href="/gone">gone</a>',
        "http://a.test/b": b"<title>B</title>",
    }
    sink = MemorySink()
    async with Crawler(fetch=MockFetcher(pages), executor="inline") as crawler:
        stats = await crawler.run("http://a.test/", sinks=[sink])
    assert sorted(item["title"] for item in sink.items) == ["A", "B"]
    assert stats.failures == {"http_404": 1}


async def test_signals_are_left_alone(fixture_server: StartServer) -> None:
    site = fixture_server(SITE)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)
    before = [signal.getsignal(number) for number in numbers]
    during: list[object] = []
    async with Crawler(handlers.slow, executor="process", limits=LimitOptions(max_pages=5)) as crawler:
        await crawler.run(
            site.url, on_snapshot=lambda _: during.append([signal.getsignal(number) for number in numbers])
        )
    assert during
    assert all(handlers_now == before for handlers_now in during)


async def test_the_pool_is_not_started_by_a_script_that_is_being_imported() -> None:
    from scraper import HandlerNotImportable
    from scraper.handlers import importing

    token = importing.set("shop.py")
    try:
        with pytest.raises(HandlerNotImportable, match=r"shop\.py.*__main__"):
            async with Crawler():
                pass
    finally:
        importing.reset(token)


async def test_a_crawler_tells_its_state() -> None:
    crawler = Crawler()
    assert "closed" in repr(crawler)
    async with crawler:
        assert "idle" in repr(crawler)


async def test_a_request_that_cannot_be_sent_fails_its_page_only() -> None:
    pages = {"http://a.test/": b"<a href=/b></a><a href=/c></a>", "http://a.test/b": b"x", "http://a.test/c": b"x"}
    async with Crawler(handlers.posts_text, fetch=MockFetcher(pages), executor="inline") as crawler:
        stats = await crawler.run("http://a.test/")
    assert (stats.done, stats.failures) == (2, {"handler_raised": 1})


@pytest.mark.parametrize("executor", ["inline", "thread", "process"])
async def test_a_panic_fails_its_page_everywhere_alike(executor: ExecutorName) -> None:
    async with Crawler(handlers.panics, executor=executor, fetch=MockFetcher({"http://a.test/": b"x"})) as crawler:
        stats = await crawler.run("http://a.test/")
    assert stats.failures == {"handler_raised": 1}


class OneSlowOneFlaky:
    """A network on which `/flaky` fails the first time, and `/slow` waits to be released."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.asked: list[str] = []

    async def fetch(self, request: Request) -> Response | Failure:
        self.asked.append(request.url)
        if request.url.endswith("/slow"):
            await self.release.wait()
        elif len(self.asked) == 1:
            return Failure(Stage.FETCH, "http_503", retryable=True)
        return Response(request.url, 200, (("Content-Type", "text/html"),), b"x", 1, 0.0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


async def test_a_due_retry_does_not_spin_while_no_slot_is_free() -> None:
    """Its time has come and stays in the past: waking up for it again and again would burn a core."""
    network = OneSlowOneFlaky()
    pace = PaceOptions(concurrency=1, backoff_s=0.01)
    async with Crawler(handlers.only_url, executor="inline", fetch=network, pace=pace) as crawler:
        crawl = asyncio.create_task(crawler.run("http://a.test/flaky", "http://a.test/slow"))
        while len(network.asked) < 2:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        before_s = time.process_time()
        await asyncio.sleep(0.5)
        assert time.process_time() - before_s < 0.25
        network.release.set()
        stats = await crawl
    assert (stats.done, stats.retries) == (2, 1)


async def test_a_prefix_scope_is_not_widened_by_a_redirect_on_its_own_host(fixture_server: StartServer) -> None:
    """A login page outside of the folder would open the whole site."""
    site = fixture_server(SITE)
    async with Crawler(handlers.only_url, limits=LimitOptions(scope="prefix")) as crawler:
        stats = await crawler.run(site.fault("redirect", to="/page/1"), sinks=[MemorySink()])
    assert stats.skips == {"out_of_scope": 1}


async def test_a_shared_pool_that_is_closed_under_a_crawl_ends_it(fixture_server: StartServer) -> None:
    """Pages that were never tried must not be counted as failed."""
    site = fixture_server(SITE)
    async with OffloadPool(executor="thread", workers=1) as pool, Crawler(handlers.slow, offload=pool) as crawler:
        crawl = asyncio.create_task(crawler.run(site.url, sinks=[MemorySink()]))
        while crawler.snapshot is None:
            await asyncio.sleep(0.01)
        await pool.__aexit__(None, None, None)
        with pytest.raises(NotRunning, match="pool"):
            await crawl
        assert crawler.statistics is not None
        assert crawler.statistics.failed == 0


async def test_statistics_can_be_asked_for_after_a_refused_seed() -> None:
    async with Crawler() as crawler:
        with pytest.raises(InvalidURL):
            await crawler.run("nonsense")
        assert crawler.statistics is not None
        assert crawler.statistics.seen == 0


async def test_a_handler_that_does_not_return_cannot_hold_a_crawl_that_was_asked_to_stop(
    fixture_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = fixture_server(SITE)
    monkeypatch.setattr("scraper.crawl._GRACE_S", 0.2)
    limits = LimitOptions(max_time_s=0.5)
    async with Crawler(handlers.stuck_on_seven, executor="process", workers=2, limits=limits) as crawler:
        stats = await crawler.run(site.url, sinks=[MemorySink()])
    assert stats.stopped == "max_time"
    assert stats.waiting > 0
    assert stats.failed == 0
    check_sum(stats)


async def test_a_sink_may_be_a_path(fixture_server: StartServer, tmp_path: Path) -> None:
    site = fixture_server(SITE)
    async with Crawler(handlers.only_url) as crawler:
        await crawler.run(site.url, sinks=[tmp_path / "a.jsonl", str(tmp_path / "b.csv")])
    assert (tmp_path / "a.jsonl").read_text() == f'{{"url":"{site.url}"}}\n'
    assert site.url in (tmp_path / "b.csv").read_text()


async def test_failures_that_nobody_asked_for_are_logged(
    fixture_server: StartServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler that raises on every page would otherwise look like an empty site."""
    site = fixture_server(SITE)
    async with Crawler(handlers.panics, executor="thread") as crawler:
        await crawler.run(site.url)
        assert "1 of 1 pages failed" in caplog.text
        assert site.url in caplog.text
        caplog.clear()
        await crawler.run(site.url, failures=MemorySink())
        assert caplog.text == ""


@pytest.mark.parametrize("executor", ["inline", "process"])
async def test_a_request_with_a_body_gets_the_type_that_it_accepts(
    fixture_server: StartServer, executor: ExecutorName
) -> None:
    site = fixture_server(SITE)
    sink = MemorySink()
    async with Crawler(handlers.takes_json, executor=executor) as crawler:
        await crawler.run(site.url, sinks=[sink])
    [item] = sink.items
    assert item["answer"]["method"] == "POST"
    assert "hello" in str(item["answer"])
