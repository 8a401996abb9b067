"""Crawls that are cancelled at every step of their commits and writes: python -m tests.faults.cancelled FOLDER HOW

For each step a crawl of its own, in a folder of its own, which is cancelled there and then run to its end.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from scraper import Crawler, JsonLinesSink, MockFetcher, Page
from scraper.frontier.state import schema
from tests.faults.crawls import urls_in

SITE = "https://example.org/"
PAGES = {
    f"{SITE}{number or ''}": "".join(f"<a href=/{link}>" for link in range(3 * number + 1, 3 * number + 4)).encode()
    for number in range(6)
}
# What is linked to and not listed answers 404.
DONE = set(PAGES)


def parse(page: Page) -> Iterator[Any]:
    yield {"url": page.url}
    yield from page.follow("a")


class Canceller:
    """Cancels a task at the n-th step of the crawl, from the thread where the step is, and holds the step meanwhile."""

    def __init__(self) -> None:
        self._steps = itertools.count(1)
        self._at: int | None = None
        self._cancel: Callable[[], object] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.has_cancelled = False
        sys.addaudithook(self._hook)

    def arm(self, at: int, loop: asyncio.AbstractEventLoop, cancel: Callable[[], object]) -> None:
        self._steps = itertools.count(1)
        self._at, self._loop, self._cancel, self.has_cancelled = at, loop, cancel, False

    def _hook(self, event: str, _: tuple[Any, ...]) -> None:
        if event in {"scraper.commit", "scraper.sink"} and self._at is not None and next(self._steps) == self._at:
            assert self._loop is not None
            is_delivered = threading.Event()
            self._at, self.has_cancelled = None, True
            self._loop.call_soon_threadsafe(self._deliver, is_delivered)
            if threading.current_thread() is not threading.main_thread():
                is_delivered.wait(5)
                time.sleep(0.001)  # the cancellation goes through the tasks

    def _deliver(self, is_delivered: threading.Event) -> None:
        assert self._cancel is not None
        self._cancel()
        is_delivered.set()


async def crawl(folder: Path) -> None:
    async with Crawler(parse, executor="inline", fetch=MockFetcher(dict(PAGES)), state=folder / "state") as crawler:
        await crawler.run(SITE, sinks=[folder / "items.jsonl"], failures=JsonLinesSink(folder / "failures.jsonl"))
    await asyncio.sleep(0)  # a cancellation that came at the very end is delivered here


async def cancelled_by_task(folder: Path, canceller: Canceller, step: int) -> None:
    task = asyncio.create_task(crawl(folder))
    canceller.arm(step, asyncio.get_running_loop(), task.cancel)
    await asyncio.wait([task])
    assert task.cancelled() == canceller.has_cancelled, task
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def cancelled_by_timeout(folder: Path, canceller: Canceller, step: int) -> None:
    loop = asyncio.get_running_loop()
    has_timed_out = False
    try:
        async with asyncio.timeout(None) as limit:
            canceller.arm(step, loop, lambda: limit.reschedule(loop.time()))
            await crawl(folder)
    except TimeoutError:
        has_timed_out = True
    assert has_timed_out == canceller.has_cancelled
    assert asyncio.all_tasks() == {asyncio.current_task()}


def check(folder: Path) -> set[str]:
    """What is done; state and outputs agree, and nobody works on them."""
    if not (folder / "state").exists():
        assert not urls_in(folder / "items.jsonl")
        return set()
    with closing(sqlite3.connect(folder / "state")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        ended = [
            {url for (url,) in database.execute("SELECT url FROM requests WHERE state = ?", (state,))}
            for state in (schema.DONE, schema.FAILED)
        ]
        assert database.execute("SELECT count(*) FROM crawlers").fetchone() == (0,)
    for output, urls in zip(("items.jsonl", "failures.jsonl"), ended, strict=True):
        found = urls_in(folder / output)
        assert set(found) == urls, (folder, output, set(found) ^ urls)
        assert all(count == 1 for count in found.values()), (folder, output)
    assert not list(folder.glob("state-crawler-*"))
    return ended[0]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def check_threads() -> None:
    """None is left, but for those of anyio, which end a moment after the loop."""
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            assert thread.name == "AnyIO worker thread", thread
            thread.join(5)
            assert not thread.is_alive()


def main(folder: Path, how: str) -> None:
    # Both go the same way through the crawl, so of the second a few steps are enough.
    run, stride = {"task": (cancelled_by_task, 1), "timeout": (cancelled_by_timeout, 5)}[how]
    canceller = Canceller()
    descriptors = open_files()
    for step in itertools.count(1, stride):
        place = folder / f"{step:03}"
        place.mkdir()
        asyncio.run(run(place, canceller, step))
        done = check(place)
        check_threads()
        assert open_files() == descriptors
        if not canceller.has_cancelled:
            assert done == DONE
            break
        asyncio.run(crawl(place))
        assert check(place) == DONE
    sys.stdout.write(json.dumps({"steps": step}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
