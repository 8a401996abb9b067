"""Crawls that lack one thing each, for real, and what they say about themselves.

Where the network would only add noise, a fetcher answers from memory after a given time.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest

from fixtures_server import SiteOptions
from fixtures_server.pytest_plugin import StartServer
from scraper import Crawler, LimitOptions, MockFetcher, PaceOptions, Request, Response, Sink, Snapshot, Statistics
from scraper.metrics.verdict import Bottleneck
from scraper.options import ExecutorName, available_cpus
from scraper.sinks import Record
from tests.crawler import limited

PAGE = b"<title>A page</title>"
# Other programs that take so many CPUs may be what a crawl lacks.
CROWD = 0.35
# On a machine that others use too, some of these crawls take their time to come so far.
PAGES = 50
# On one CPU there is nowhere else to go.
HAS_ROOM = available_cpus() > 1
ELSEWHERE = "executor process" if HAS_ROOM else "less work"
MORE_WORKERS = f"{available_cpus()} workers instead of 1" if HAS_ROOM else "less work"


class Answers(MockFetcher):
    """Answers every request after the same time."""

    def __init__(self, latency_s: float = 0.0) -> None:
        super().__init__({})
        self._latency_s = latency_s

    async def fetch(self, request: Request) -> Response:
        await asyncio.sleep(self._latency_s)
        headers = (("Content-Type", "text/html"),)
        return Response(request.url, 200, headers, PAGE, len(PAGE), self._latency_s)


class SleepingSink:
    """An output on the other side of a slow network."""

    async def open(self) -> None:
        pass

    async def write(self, records: Sequence[Record]) -> None:
        if records:
            await asyncio.sleep(0.1)

    async def close(self) -> None:
        pass


class ComputingSink(SleepingSink):
    """An output that computes on the event loop."""

    async def write(self, records: Sequence[Record]) -> None:
        until_s = time.thread_time() + 0.003 * len(records)
        while time.thread_time() < until_s:
            pass


def urls(hosts: int = 1) -> list[str]:
    """More than any crawl here gets through."""
    return [f"http://site{number % hosts}.test/{number}" for number in range(12_000)]


@dataclass
class Told:
    """What a crawl said about itself, and how many CPUs other programs took meanwhile."""

    stats: Statistics
    others: float
    snapshots: list[Snapshot] = field(default_factory=list)

    def assert_limited_by(self, bottleneck: Bottleneck, *numbers: str, advice: str) -> None:
        """Or by the CPUs, where other programs took them: then that is as true."""
        verdict = self.stats.verdict
        assert verdict.is_certain, verdict
        assert 1.0 <= verdict.predicted_gain <= 8.0
        if self.others > CROWD and verdict.bottleneck == "cores":
            return
        assert verdict.bottleneck == bottleneck, (verdict, self.others)
        assert advice in verdict.advice
        for number in numbers:
            assert number in verdict.evidence
        assert self.snapshots[-1].bottleneck == bottleneck or self.others > CROWD, self.snapshots


async def crawl(
    handler: Callable[..., Any],
    seeds: str | list[str],
    *,
    fetch: MockFetcher | None = None,
    executor: ExecutorName = "inline",
    workers: int = 1,
    concurrency: int = 32,
    per_host: int = 32,
    sink: Sink | None = None,
    time_s: float = 1.2,
) -> Told:
    """A crawl that is stopped in the middle of its work, after some time and enough pages to judge by."""
    snapshots: list[Snapshot] = []

    def observe(snapshot: Snapshot) -> None:
        if not snapshots or not is_over(snapshots[-1]):
            snapshots.append(snapshot)
        if is_over(snapshot):
            crawler.stop()

    def is_over(snapshot: Snapshot) -> bool:
        return snapshot.elapsed_s >= time_s and snapshot.done >= PAGES

    async with Crawler(
        handler,
        executor=executor,
        workers=workers,
        fetch=fetch,
        pace=PaceOptions(concurrency=concurrency, per_host=per_host),
        limits=LimitOptions(max_time_s=15 * time_s),
    ) as crawler:
        before_s, machine_s, own_s = time.perf_counter(), busy_s(), own_cpu_s()
        stats = await crawler.run(seeds, sinks=[sink] if sink is not None else [], on_snapshot=observe)
        passed_s = time.perf_counter() - before_s
        others = (busy_s() - machine_s - own_cpu_s() + own_s) / passed_s
    return Told(stats, others, snapshots)


def busy_s() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.system + times.nice + getattr(times, "steal", 0.0) + getattr(times, "irq", 0.0))


def own_cpu_s() -> float:
    """Of this process and of those that it has started: the workers and the server."""
    here = psutil.Process()
    cpu_s = 0.0
    for process in (here, *here.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        cpu_s += times.user + times.system
    return cpu_s


async def test_slow_sites_are_the_limit_of_a_crawl_whose_slots_all_wait_for_them() -> None:
    told = await crawl(limited.wants_nothing, urls(hosts=8), fetch=Answers(0.2), per_host=8)
    told.assert_limited_by("latency", "of 32 slots were waiting for answers", advice="a concurrency of ")
    assert told.stats.verdict.predicted_gain > 1.2 or told.others > CROWD


async def test_a_slow_server_is_the_limit_over_a_real_network(fixture_server: StartServer) -> None:
    site = fixture_server(SiteOptions(pages=3_000, page_bytes=3_000, links_per_page=10, latency_s=0.1))
    told = await crawl(limited.follows, site.url, time_s=3.0)  # it takes six answers' time until all slots are taken
    told.assert_limited_by("latency", "ms an answer", advice="a higher concurrency")


async def test_pages_that_are_found_one_after_another_wait_for_their_latency(fixture_server: StartServer) -> None:
    """No concurrency helps where only one page is known at a time."""
    site = fixture_server(SiteOptions(pages=500, page_bytes=3_000, links_per_page=1, fan_out=1, latency_s=0.02))
    told = await crawl(limited.follows, site.url)
    told.assert_limited_by("latency", "every known page was under way", advice="more seeds")


async def test_a_limit_of_two_requests_to_one_host_is_politeness() -> None:
    told = await crawl(limited.wants_nothing, urls(), fetch=Answers(0.05), per_host=2)
    told.assert_limited_by("politeness", "1 host, 2 requests at a time", "2.0 of 32", advice="a higher limit a host")


@pytest.mark.parametrize("workers", [1, 2])
async def test_python_in_threads_lacks_the_gil(workers: int) -> None:
    told = await crawl(limited.computes, urls(), fetch=Answers(), executor="thread", workers=workers)
    told.assert_limited_by("gil", f"{workers} thread", "CPUs busy", "GIL taken", advice=ELSEWHERE)


async def test_python_in_one_process_lacks_computing_time() -> None:
    told = await crawl(limited.computes, urls(), fetch=Answers(), executor="process", workers=1)
    told.assert_limited_by("parse_cpu", "1 process parsed", "of that on a CPU", "event loop was", advice=MORE_WORKERS)


async def test_handlers_that_wait_want_more_workers_and_no_cpu() -> None:
    told = await crawl(limited.sleeps, urls(), fetch=Answers(), executor="thread", workers=2)
    told.assert_limited_by("parse_cpu", "2 threads parsed", advice="4 workers instead of 2: they wait")


async def test_python_in_line_is_computing_time_that_belongs_elsewhere() -> None:
    """No thread waits for the GIL there, so it is not what is lacking."""
    told = await crawl(limited.computes, urls(), fetch=Answers())
    told.assert_limited_by("parse_cpu", "with parsing in line", advice=ELSEWHERE)


@pytest.mark.parametrize(
    ("sink", "number"), [(SleepingSink(), "waited for the outputs"), (ComputingSink(), "with the outputs")]
)
async def test_an_output_that_is_slow_is_the_limit(sink: Sink, number: str) -> None:
    told = await crawl(limited.wants_nothing, urls(), fetch=Answers(0.01), sink=sink)
    told.assert_limited_by("sink", number, advice="a faster output")


async def test_thousands_of_new_links_on_every_page_are_the_commits_work() -> None:
    told = await crawl(limited.links_to_many, urls()[:300], fetch=Answers(), executor="process", workers=1)
    told.assert_limited_by("commit", "with commits", advice="fewer links")


async def test_tiny_pages_that_nothing_is_made_of_are_the_fetchers_work(fixture_server: StartServer) -> None:
    """The server takes a CPU too, so on two of them both may run out."""
    site = fixture_server(SiteOptions(pages=30_000, page_bytes=2_500, links_per_page=4))
    told = await crawl(limited.wants_nothing, sorted(site.urls())[:20_000])
    verdict = told.stats.verdict
    assert verdict.bottleneck in ("fetch_cpu", "cores"), (verdict, told.others)
    assert "event loop" in verdict.evidence


@pytest.fixture
def burning() -> Iterator[None]:
    """Two programs on every CPU that do nothing but compute."""
    code = "import sys; print(flush=True)\nwhile True: pass"
    programs = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(2 * available_cpus())
    ]
    try:
        for program in programs:
            assert program.stdout is not None
            program.stdout.readline()
        yield
    finally:
        for program in programs:
            program.kill()
            program.communicate()


@pytest.mark.usefixtures("burning")
@pytest.mark.parametrize(("executor", "workers"), [("inline", 1), ("thread", 2), ("process", 1)])
async def test_a_crawl_on_cpus_that_others_use_up_lacks_cpus(executor: ExecutorName, workers: int) -> None:
    told = await crawl(limited.computes, urls(), fetch=Answers(), executor=executor, workers=workers)
    verdict = told.stats.verdict
    assert verdict.bottleneck == "cores", verdict
    assert "with this crawl" in verdict.evidence
    assert "with other programs" in verdict.evidence
    assert "other programs" in verdict.advice
    assert verdict.predicted_gain > 1.2


@pytest.mark.usefixtures("burning")
async def test_a_crawl_that_needs_no_cpu_does_not_lack_them() -> None:
    told = await crawl(limited.wants_nothing, urls(hosts=8), fetch=Answers(0.4), per_host=8)
    assert told.stats.verdict.bottleneck == "latency", told.stats.verdict


async def test_a_crawl_of_a_few_pages_says_that_it_was_too_short() -> None:
    told = await crawl(limited.wants_nothing, urls()[:5], fetch=Answers(0.01))
    verdict = told.stats.verdict
    assert not verdict.is_certain
    assert "too short to tell" in verdict.evidence
    assert verdict.predicted_gain == 1.0
    assert all(snapshot.bottleneck is None for snapshot in told.snapshots)


async def test_what_limits_a_crawl_is_told_while_it_runs() -> None:
    told = await crawl(limited.wants_nothing, urls(), fetch=Answers(0.05), per_host=2)
    shown = [snapshot for snapshot in told.snapshots if snapshot.bottleneck is not None]
    assert shown
    assert {snapshot.bottleneck for snapshot in shown} == {"politeness"}
    assert shown[-1].limited_by == "politeness (2 at a time to 1 host)"
