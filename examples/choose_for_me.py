"""Three handlers of different nature: what the probe says of each, what it predicts, and the crawl that confirms it.

    python examples/choose_for_me.py [--pages 400] [--budget 4]

The probe runs a handler on a few pages in a process of its own and sees what its thread does: waits, runs Python, or
computes in C with or without the GIL. From that and from what this machine costs the roofline predicts pages a second
for every executor. What fetching costs the crawl, and the server that shares the machine, is measured by a crawl whose
handler does nothing. Short crawls on a local site then show how far off the predictions are.
"""

import argparse
import asyncio
import re
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import psutil

from fixtures_server import FixtureServer, SiteOptions
from scraper import Crawler, MemorySink, PaceOptions, Page, Statistics
from scraper.offload.costs import LoopCost, Machine
from scraper.offload.machine import machine_async
from scraper.offload.probe.values import ProbeReport
from scraper.offload.roofline import Bound, candidates, predict
from scraper.options import ExecutorName, ParserName
from scraper.probing import probe

Handler = Callable[[Page], Iterator[dict[str, Any]]]

PARSER: ParserName = "lexbor"
PROBED = 20

# The system counts another process's CPU time in hundredths of a second.
CRAWLS = 3

# More than the workers of any strategy have at hand, so that none waits for fetching.
PACE = PaceOptions(concurrency=256, per_host=64)


def nothing(_: Page) -> Iterator[dict[str, Any]]:
    yield {}


def select(page: Page) -> Iterator[dict[str, Any]]:
    """Almost all of its time is lexbor's, which parses without the GIL."""
    yield {"title": page.title, "headings": len(page.css("h2")), "prices": len(page.css("table.prices td"))}


def count_words(page: Page) -> Iterator[dict[str, Any]]:
    """Python, from the first word to the last."""
    # Not findall: one call for the whole page would keep the GIL for a millisecond and more.
    words = Counter(match[0].lower() for match in re.finditer(r"\w+", page.text))
    longest = max(words, key=len)
    yield {"words": words.total(), "distinct": len(words), "longest": longest, "frequent": words.most_common(3)}


def look_up(page: Page) -> Iterator[dict[str, Any]]:
    """Asks another service for each page, and waits for its answer."""
    time.sleep(0.02)
    yield {"bytes": len(page.body)}


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:  # noqa: S310  # of the local site
        body: bytes = answer.read()
    return body


async def crawl(urls: list[str], handler: Handler, executor: ExecutorName, workers: int) -> Statistics:
    """One crawl, its workers being ready."""
    async with Crawler(handler, parser=PARSER, executor=executor, workers=workers, pace=PACE) as crawler:
        await crawler.run(urls[:workers])
        stats = await crawler.run(urls, sinks=[MemorySink()])
    assert stats.done == len(urls)
    return stats


async def cost_of_fetching(urls: list[str]) -> LoopCost:
    """CPU that a page takes the crawl and the server, whatever its handler does."""
    (server,) = psutil.Process().children()
    served = server.cpu_times()
    crawls = [await crawl(urls, nothing, "inline", 1) for _ in range(CRAWLS)]
    serving = server.cpu_times()
    pages = CRAWLS * len(urls)
    # In line, what runs around a handler is in the crawl's own process; the probe has that in its cost.
    around_s = sum(each.stages[stage].cpu_s for each in crawls for stage in ("parse", "extract"))
    cpu_s = (sum(each.cpu_s for each in crawls) - around_s) / pages
    server_s = serving.user + serving.system - served.user - served.system
    return LoopCost(cpu_s, cpu_s, max(server_s, 0.0) / pages)


def predictions(report: ProbeReport, loop: LoopCost, machine: Machine) -> list[Bound]:
    """For each executor with its best number of workers; the recommended one first, then by what is predicted."""
    recommended = (report.recommended, report.recommended_workers)
    bounds = [predict(*strategy, report.cost, loop, machine) for strategy in candidates(report.cost, machine)]
    best = {report.recommended: predict(*recommended, report.cost, loop, machine)}
    for bound in sorted(bounds, key=lambda bound: -bound.payloads_per_s):
        best.setdefault(bound.executor, bound)
    return list(best.values())


async def confirm(handler: Handler, report: ProbeReport, urls: list[str], loop: LoopCost, machine: Machine) -> None:
    """Crawls with what is recommended for a handler and with the next best."""
    shares = report.shares
    print(f"\n{handler.__name__}: {report.kind}, {report.cost.wall_s * 1000:.2g} ms a page")
    print(
        f"  {shares.waiting:.0%} waiting, {shares.python:.0%} Python, {shares.native:.0%} C without the GIL, "
        f"{shares.native_held:.0%} C that keeps it"
    )
    print(f"  {'':<24}{'predicted':>10}{'crawled':>10}{'off by':>9}   limit")
    for place, bound in enumerate(predictions(report, loop, machine)):
        name = f"{bound.executor} × {bound.workers}" + (", recommended" if place == 0 else "")
        row = f"  {name:<24}{bound.payloads_per_s:>10,.0f}"
        if place < 2:
            crawled = (await crawl(urls, handler, bound.executor, bound.workers)).pages_per_s
            row += f"{crawled:>10,.0f}{bound.payloads_per_s / crawled - 1:>+9.0%}"
        else:
            row += f"{'':>19}"
        print(f"{row}   {bound.limit}", flush=True)


async def main() -> None:
    arguments = argparse.ArgumentParser(description="Probe, prediction, and the crawl that confirms it.")
    arguments.add_argument("--pages", type=int, default=400, help="of each crawl")
    arguments.add_argument("--budget", type=float, default=4.0, metavar="S", help="for probing one handler")
    options = arguments.parse_args()
    count = options.pages
    machine = await machine_async()
    async with FixtureServer(SiteOptions(pages=count, page_bytes=60_000, links_per_page=60)) as site:
        urls = sorted(site.urls())
        pages = [await asyncio.to_thread(fetch, url) for url in urls[:PROBED]]
        await crawl(urls, nothing, "inline", 1)  # the server makes a page when it is asked for it first
        loop = await cost_of_fetching(urls)
        print(f"{count} pages of 60 KB; CPU for fetching one: {loop.cpu_s * 1000:.2g} ms here", end=", ")
        print(f"{loop.server_cpu_s * 1000:.2g} ms in the server, which shares the machine")
        for handler in (select, count_words, look_up):
            report = await probe(handler, pages, parser=PARSER, budget_s=options.budget, loop=loop)
            await confirm(handler, report, urls, loop, machine)


if __name__ == "__main__":
    asyncio.run(main())
