"""Small pages: what a crawl costs its main process beyond fetching, when parsing runs in other processes.

    python -m benchmarks.fetch_cpu --rounds 5

Synthetic pages of 5 KB with 10 links. The crawl finds them by their links, from the first; the bare loop gets their
addresses and does nothing but fetch them, with the same client, loop and concurrency. Each is a process of its own,
and its CPU time is counted from the first request to the last page, imports and the start of workers apart.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from benchmarks.floor import fetch_all
from fixtures_server.options import SiteOptions
from fixtures_server.process import FixtureServer
from scraper import Crawler
from scraper.options import PaceOptions, ParserName
from scraper.sinks import JsonLinesSink

KINDS = ("bare", "crawl", "crawl to JSON lines")
CONCURRENCY = 32


async def bare(urls: list[str]) -> float:
    before = time.process_time()
    await fetch_all(urls, CONCURRENCY)
    return time.process_time() - before


async def crawl(urls: list[str], parser: ParserName, output: Path | None) -> float:
    pace = PaceOptions(concurrency=CONCURRENCY, per_host=CONCURRENCY)
    sinks = [JsonLinesSink(output)] if output else []
    async with Crawler(parser=parser, executor="process", pace=pace) as crawler:
        before = time.process_time()
        done = (await crawler.run(urls[0], sinks=sinks)).done
        spent_s = time.process_time() - before
    assert done == len(urls), f"{done} pages of {len(urls)}"
    return spent_s


def measure_here(kind: str, urls: list[str], parser: ParserName, folder: Path) -> float:
    """CPU milliseconds a page of this process."""
    output = folder / "items.jsonl" if kind == KINDS[2] else None
    gc.freeze()  # both settings as on the command line
    gc.set_threshold(10_000)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        spent_s = runner.run(bare(urls) if kind == KINDS[0] else crawl(urls, parser, output))
    return spent_s * 1000 / len(urls)


def measure_in_child(kind: str, list_file: Path, parser: str) -> float:
    command: list[str] = [
        sys.executable,
        "-m",
        "benchmarks.fetch_cpu",
        "--child",
        kind,
        "--urls",
        str(list_file),
        "--parser",
        parser,
    ]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(ran.stdout)


def main() -> None:
    arguments = argparse.ArgumentParser(description="What small pages cost the main process.")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--pages", type=int, default=3000)
    arguments.add_argument("--parser", default="lexbor", choices=["lxml", "lexbor", "html.parser", "bs4"])
    arguments.add_argument("--child", choices=KINDS, help=argparse.SUPPRESS)
    arguments.add_argument("--urls", type=Path, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.child:
        urls = json.loads(options.urls.read_text())
        print(measure_here(options.child, urls, options.parser, options.urls.parent))
        return
    order = random.Random(1)  # noqa: S311 - an order to be repeated, no secret
    spent: dict[str, list[float]] = {kind: [] for kind in KINDS}
    site_options = SiteOptions(pages=options.pages, page_bytes=5_000, links_per_page=10)
    with FixtureServer(site_options) as site, tempfile.TemporaryDirectory() as folder:
        list_file = Path(folder) / "urls.json"
        list_file.write_text(json.dumps([site.url_of(page) for page in range(options.pages)]))
        for _ in range(options.rounds):
            for kind in order.sample(KINDS, len(KINDS)):
                spent[kind].append(measure_in_child(kind, list_file, options.parser))
    for kind, each in spent.items():
        ratio = statistics.median(one / least for one, least in zip(each, spent[KINDS[0]], strict=True))
        figures = f"{statistics.median(each):.3f} ms of CPU a page ({min(each):.3f} to {max(each):.3f})"
        print(f"{kind:20} {figures}, {ratio:.2f} times the bare loop")


if __name__ == "__main__":
    main()
