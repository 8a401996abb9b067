"""The floor under every crawler on this machine: what fetching, parsing, joining links and serving cost on their own.

    python -m benchmarks.floor --site heavy

Each part is done in the leanest way known, with the same libraries, by one process that does nothing else. From them
follows a bound: no crawler that does this work on this machine gets more pages a second than

    C / (fetch + parse + links + server)        CPU seconds a page; C the machine's measured parallel capacity
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import time
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import aiohttp
import can_ada
import lxml.etree
import psutil
import uvloop
from selectolax.lexbor import LexborHTMLParser

from benchmarks.sites import prepare, serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.queues import SimpleQueue
    from multiprocessing.synchronize import Barrier

    from benchmarks.sites import Server, Site


@dataclass(frozen=True, slots=True)
class Floor:
    """CPU milliseconds a page, and the parallel capacity in processors."""

    fetch_ms: float
    server_ms: float
    parse_lxml_ms: float
    parse_lexbor_ms: float
    links_ms: float
    capacity: float
    fetch_pages_per_s: float

    def bound_pages_per_s(self, parser: str) -> float:
        """The bound for a crawl with this parser."""
        parse_ms = self.parse_lexbor_ms if parser == "lexbor" else self.parse_lxml_ms
        return self.capacity * 1000 / (self.fetch_ms + parse_ms + self.links_ms + self.server_ms)


def measure(site: Site, server: Server, concurrency: int = 32) -> Floor:
    """Measures everything once, about ten seconds."""
    worker = psutil.Process(server.pid)
    served_before_s = cpu_s(worker)
    spent_before_s, started = time.process_time(), time.perf_counter()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(fetch_all(site.urls(server.base_url), concurrency))
    fetch_wall_s, fetch_cpu_s = time.perf_counter() - started, time.process_time() - spent_before_s
    served_s = cpu_s(worker) - served_before_s
    bodies = site.bodies()
    hrefs = [lexbor_outline(body)[-1] for body in bodies]
    urls = site.urls(server.base_url)
    pages = len(bodies)
    return Floor(
        fetch_ms=fetch_cpu_s * 1000 / pages,
        server_ms=served_s * 1000 / pages,
        parse_lxml_ms=timed(lambda: [lxml_outline(body) for body in bodies]) * 1000 / pages,
        parse_lexbor_ms=timed(lambda: [lexbor_outline(body) for body in bodies]) * 1000 / pages,
        links_ms=timed(lambda: [distinct_links(url, of) for url, of in zip(urls, hrefs, strict=True)]) * 1000 / pages,
        capacity=parallel_capacity(site.name),
        fetch_pages_per_s=pages / fetch_wall_s,
    )


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def timed(work: Callable[[], object]) -> float:
    """CPU seconds of a piece of work, the least of three: what disturbs it can only add."""
    spent = []
    for _ in range(3):
        before = time.process_time()
        work()
        spent.append(time.process_time() - before)
    return min(spent)


async def fetch_all(urls: list[str], concurrency: int) -> None:
    """The bare loop: nothing but requests, bodies read and dropped."""
    waiting = iter(urls)

    async def worker(session: aiohttp.ClientSession) -> None:
        for url in waiting:
            async with session.get(url) as response:
                response.raise_for_status()
                await response.read()

    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        await asyncio.gather(*(worker(session) for _ in range(concurrency)))


XPATHS = {
    name: lxml.etree.XPath(path)
    for name, path in {
        "title": "string(//title)",
        "h1": "string(//h1)",
        "description": "string(//meta[@name='description']/@content)",
        "canonical": "string(//link[@rel='canonical']/@href)",
        "lang": "string(/html/@lang)",
        "hrefs": "//a/@href",
    }.items()
}


def lxml_outline(body: bytes) -> tuple[Any, ...]:
    tree = lxml.etree.fromstring(body, lxml.etree.HTMLParser())
    return tuple(xpath(tree, smart_strings=False) for xpath in XPATHS.values())


def lexbor_outline(body: bytes) -> tuple[Any, ...]:
    tree = LexborHTMLParser(body)
    found = [tree.css_first(selector) for selector in ("title", "h1")]
    texts = [node and " ".join(node.text().split()) for node in found]
    marked = [tree.css_first(selector) for selector in ("meta[name=description]", "link[rel=canonical]", "html")]
    values = [node and node.attributes for node in marked]
    return (*texts, *values, [node.attributes["href"] or "" for node in tree.css("a[href]")])


def distinct_links(url: str, hrefs: list[str]) -> set[str]:
    base = can_ada.parse(url)
    return {(base + href).href for href in {href.partition("#")[0] for href in hrefs}}


def parallel_capacity(site_name: str, turns: int = 3, seconds: float = 0.7) -> float:
    """How many processors' worth of parsing all processors do together: their rate, by the rate of one alone.

    Alternates between the two and takes the median, since a machine's clock and neighbours change.
    """
    processors = len(os.sched_getaffinity(0))
    ratios = []
    for _ in range(turns):
        alone = parse_rate(site_name, 1, seconds)
        ratios.append(parse_rate(site_name, processors, seconds) / alone)
    return statistics.median(ratios)


def parse_rate(site_name: str, processes: int, seconds: float) -> float:
    """Pages parsed a second by so many processes at once."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    rates = context.SimpleQueue()
    started = [context.Process(target=parse_for, args=(site_name, seconds, barrier, rates)) for _ in range(processes)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    return float(sum(rates.get() for _ in started))


def parse_for(site_name: str, seconds: float, barrier: Barrier, rates: SimpleQueue[float]) -> None:
    """Parses the site's pages over and over for a while; reports pages a second."""
    bodies = prepare(site_name).bodies()[:200]
    barrier.wait()
    started = time.perf_counter()
    pages = 0
    while (elapsed_s := time.perf_counter() - started) < seconds:
        lexbor_outline(bodies[pages % len(bodies)])
        pages += 1
    rates.put(pages / elapsed_s)


def median(measured: list[Floor]) -> Floor:
    """The median of each figure."""
    return Floor(
        **{field.name: statistics.median(getattr(one, field.name) for one in measured) for field in fields(Floor)}
    )


def describe(floor: Floor) -> str:
    processors = len(os.sched_getaffinity(0))
    bounds = ", ".join(f"{parser} {floor.bound_pages_per_s(parser):,.0f}" for parser in ("lexbor", "lxml"))
    return f"""CPU ms a page, each part alone:
  fetch {floor.fetch_ms:.2f} ({floor.fetch_pages_per_s:,.0f} pages/s), server {floor.server_ms:.2f}
  parse and outline: lexbor {floor.parse_lexbor_ms:.2f}, lxml {floor.parse_lxml_ms:.2f}
  links {floor.links_ms:.2f}
parallel capacity C = {floor.capacity:.2f} of {processors} processors
bound C / (fetch + parse + links + server): {bounds} pages/s"""


def main() -> None:
    parser = argparse.ArgumentParser(description="What the parts of a crawl cost on their own.")
    parser.add_argument("--site", default="heavy")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    site = prepare(options.site)
    with serve(site) as server:
        for _ in range(options.rounds):
            floor = measure(site, server)
            print(json.dumps(asdict(floor)) if options.json else describe(floor), flush=True)


if __name__ == "__main__":
    main()
