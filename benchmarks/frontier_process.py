"""One measurement of `benchmarks.frontier`, in a process that imports little beside the frontier and keeps no URLs.

    python -m benchmarks.frontier_process grow|dedup|reopen|die STATE ...

URLs are made from their numbers, and a state file that has seen N of them has seen those from 0 to N - 1.
"""

from __future__ import annotations

import json
import os
import random
import re
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from scraper.cli.running import run
from scraper.frontier.durable import DurableFrontier
from scraper.frontier.pace import Pacer
from scraper.frontier.retry import RetryPolicy
from scraper.model import Delivery, Lease, Outcome, Request, State
from scraper.options import PaceOptions, StateOptions
from scraper.urls import Scope

PAGES = 64  # of a commit: the most that the crawl commits at once
LINKS = 150  # of a page, as documentation has them
NEW = LINKS // 10
EVERYWHERE = 20  # links of a page that are on every page of its host
REACH = 200  # pages to both sides that a page links to
HOSTS = 100  # enough to fill the window to its bound

Known = Callable[[random.Random, int, int], str]
"""A link to something known: from a page of this number, with so many URLs known."""


def url(number: int) -> str:
    """Numbers go to hosts in runs as long as a page has links."""
    host = number // LINKS % HOSTS
    return f"http://site-{host:03}.test/reference/part-{number // LINKS % 997}/page-{number}.html"


def number_in(address: str) -> int:
    found = re.search(r"page-(\d+)\.html$", address)
    assert found is not None
    return int(found[1])


def evenly(chance: random.Random, page: int, known: int) -> str:  # noqa: ARG001 - as `Known` has it
    return url(int(chance.random() * known))


def as_sites_do(chance: random.Random, page: int, known: int) -> str:
    run_of, place_in_run = divmod(page, LINKS)
    rounds, host = divmod(run_of, HOSTS)
    if chance.random() * (LINKS - NEW) < EVERYWHERE:
        place = int(chance.random() * EVERYWHERE)
    else:
        place = abs(rounds * LINKS + place_in_run + int(chance.random() * 2 * REACH) - REACH)
    number = (place // LINKS * HOSTS + host) * LINKS + place % LINKS
    return url(number if number < known else int(chance.random() * known))


KINDS: dict[str, Known] = {"even": evenly, "local": as_sites_do}


class Grower:
    """A frontier, how many URLs it knows, and what its commits have taken so far."""

    def __init__(self, state: Path) -> None:
        self.known = 0
        self.commit_s = self.loop_cpu_s = self.all_cpu_s = 0.0
        self.frontier = DurableFrontier(
            StateOptions(path=state),
            about={"handler": "none"},
            outputs=[],
            scope=Scope("any"),
            pacer=Pacer(PaceOptions()),
            retry=RetryPolicy(PaceOptions()),
            in_flight=PAGES,
        )

    async def open(self) -> None:
        await self.frontier.open([Request(url(0))])
        self.known = self.frontier.statistics().seen

    def leases(self) -> list[Lease]:
        """So many as a commit has, or as there are."""
        found: list[Lease] = []
        while len(found) < PAGES and (lease := self.frontier.lease(time.monotonic())) is not None:
            self.frontier.fetched(lease, None, time.monotonic())
            found.append(lease)
        assert found, "something waits in the file at all times"
        return found

    def new(self, count: int) -> list[str]:
        self.known += count
        return [url(number) for number in range(self.known - count, self.known)]

    async def commit(self, leases: Sequence[Lease], links: Sequence[Sequence[str]]) -> None:
        outcomes = [
            Outcome(lease, State.DONE, None, lease.request.url, links=tuple(of))
            for lease, of in zip(leases, links, strict=True)
        ]
        started_s, loop_s, all_s = time.perf_counter(), time.thread_time(), time.process_time()
        settled = await self.frontier.settle(outcomes, time.monotonic())
        await self.frontier.commit(settled, Delivery())
        self.commit_s += time.perf_counter() - started_s
        self.loop_cpu_s += time.thread_time() - loop_s
        self.all_cpu_s += time.process_time() - all_s

    async def step(self, kind: Known, chance: random.Random) -> int:
        """Commits one batch in which one link in ten is new; gives how many links it had."""
        leases = self.leases()
        links = []
        for lease in leases:
            page, known = number_in(lease.request.url), self.known
            links.append([*self.new(NEW), *(kind(chance, page, known) for _ in range(LINKS - NEW))])
        await self.commit(leases, links)
        return LINKS * len(leases)


async def grow(state: Path, most: int) -> dict[str, float]:
    grower = Grower(state)
    await grower.open()
    before = grower.known
    while grower.known < most:
        leases = grower.leases()
        await grower.commit(leases, [grower.new(min(LINKS, most - grower.known)) for _ in leases])
    await grower.frontier.aclose()
    return {"new_per_s": (most - before) / grower.commit_s, "rss_mb": peak_mb()}


async def dedup(state: Path, kind: Known, seconds: float) -> dict[str, float]:
    grower = Grower(state)
    await grower.open()
    chance = random.Random(1)  # noqa: S311 - an order to be repeated, no secret
    links = 0
    while grower.commit_s < seconds:
        links += await grower.step(kind, chance)
    rss_mb = psutil.Process().memory_info().rss / 1e6
    await grower.frontier.aclose()
    return {
        "urls_per_s": links / grower.commit_s,
        "loop_cpu_us": grower.loop_cpu_s / links * 1e6,
        "thread_cpu_us": (grower.all_cpu_s - grower.loop_cpu_s) / links * 1e6,
        "known_at_end": grower.known,
        "rss_at_end_mb": rss_mb,
        "rss_mb": peak_mb(),
    }


async def reopen(state: Path) -> dict[str, float]:
    started_s = time.monotonic()
    grower = Grower(state)
    await grower.open()
    assert grower.frontier.lease(time.monotonic()) is not None
    ended_s = time.monotonic()
    await grower.frontier.aclose()
    return {"open_s": ended_s - started_s, "at_s": ended_s}


async def die(state: Path, seconds: float) -> dict[str, float]:
    """Works for a while, so that something is in the log, and is killed with requests in its hands."""
    grower = Grower(state)
    await grower.open()
    chance = random.Random(time.time_ns())  # noqa: S311
    while grower.commit_s < seconds:
        await grower.step(evenly, chance)
    grower.leases()
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


async def measured(name: str, state: Path, rest: Sequence[str]) -> int:
    match name:
        case "grow":
            found = await grow(state, int(rest[0]))
        case "dedup":
            found = await dedup(state, KINDS[rest[0]], float(rest[1]))
        case "reopen":
            found = await reopen(state)
        case _:
            found = await die(state, float(rest[0]))
    print(json.dumps(found))
    return 0


def main() -> None:
    name, state, *rest = sys.argv[1:]
    run(measured(name, Path(state), rest))  # with the event loop and the settings that the command has


if __name__ == "__main__":
    main()
