"""What the metrics cost: crawls with the recorder and the lag meter, and with both doing nothing.

    python -m benchmarks.metrics_cost --rounds 7

Small pages, where the share is largest. CPU time of the main process, rounds interleaved, one process for each crawl.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import Any
from unittest import mock

import uvloop

from fixtures_server import FixtureServer, SiteOptions
from scraper import Crawler, PaceOptions
from scraper.metrics import LagMeter, Recorder

KINDS = ("without", "with")
SILENCED = (
    (Recorder, "fetched"),
    (Recorder, "parsed"),
    (Recorder, "committed"),
    (Recorder, "snapshot"),
    (LagMeter, "start"),
)
SITE = SiteOptions(pages=3000, page_bytes=5_000, links_per_page=10)


def nothing(*_: Any, **__: Any) -> None:
    """Stands in for whatever notes or adds up."""


async def crawl(url: str) -> float:
    pace = PaceOptions(per_host=32)
    async with Crawler(parser="lexbor", executor="process", pace=pace) as crawler:
        before_s = time.process_time()
        done = (await crawler.run(url)).done
        spent_s = time.process_time() - before_s
    assert done == SITE.pages
    return spent_s / done * 1000


def measure(kind: str, url: str) -> float:
    with ExitStack() as stack:
        if kind == "without":
            for owner, name in SILENCED:
                stack.enter_context(mock.patch.object(owner, name, nothing))
        return uvloop.run(crawl(url))


def main() -> None:
    arguments = argparse.ArgumentParser(description="What the metrics cost.")
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--child", choices=KINDS, help=argparse.SUPPRESS)
    arguments.add_argument("--url", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.child:
        print(measure(options.child, options.url))
        return
    order = random.Random(1)  # noqa: S311 - an order to be repeated, no secret
    spent: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with FixtureServer(SITE) as site:
        measure("with", site.url)  # the server renders its pages
        for _ in range(options.rounds):
            for kind in order.sample(KINDS, len(KINDS)):
                command = [sys.executable, "-m", "benchmarks.metrics_cost", "--child", kind, "--url", site.url]
                spent[kind].append(float(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout))
    for kind, each in spent.items():
        print(f"{kind:8} {statistics.median(each):.4f} ms of CPU a page ({min(each):.4f} to {max(each):.4f})")
    shares = [full / bare - 1 for full, bare in zip(spent["with"], spent["without"], strict=True)]
    print(f"the metrics cost {statistics.median(shares):.1%} of the main process's CPU (median of paired rounds)")


if __name__ == "__main__":
    main()
