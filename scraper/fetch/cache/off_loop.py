"""The thread that a cache file is used in."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from scraper.completion import to_its_end
from scraper.fetch.cache.file import CacheFile, Damaged
from scraper.fetch.refused import Refused

T = TypeVar("T")

# What is to be written waits in memory. A disk that is slower than the network slows the crawl from here on.
_MOST_WAITING_BYTES = 32_000_000


class OffLoop:
    """Runs what is to be done with a cache file in a thread, as much at a time as has come together.

    One trip serves whoever waits, and what is to be written is one transaction. Nobody waits for that: what a crawl
    that is killed had not yet written is fetched again.

    Args:
        file: opened and closed here.
        failed: called on the event loop when a transaction did not succeed, of which nothing is in the file then.
    """

    def __init__(self, file: CacheFile, failed: Callable[[BaseException], None]) -> None:
        self._file = file
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cache")
        self._failed = failed
        self._reads: list[tuple[Callable[[CacheFile], Any], asyncio.Future[Any]]] = []
        self._serving: list[asyncio.Future[Any]] = []
        self._writes: list[Callable[[CacheFile], None]] = []
        self._waiting_bytes = 0
        self._task: asyncio.Task[None] | None = None

    async def open(self, *, must_exist: bool) -> None:
        """Raises CacheRefused as the file does."""
        try:
            await self._in_thread(lambda: self._file.open(must_exist=must_exist))
        except BaseException:
            self._thread.submit(self._file.close)  # behind what a cancellation may have left under way
            self._thread.shutdown(wait=False)
            raise

    async def read(self, call: Callable[[CacheFile], T]) -> T:
        """What a call gives; raises what it raises."""
        answered: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._reads.append((call, answered))
        self._start()
        return await answered

    async def write(self, call: Callable[[CacheFile], None], size: int = 0) -> None:
        """Has something written soon; returns at once, unless too much waits already.

        Args:
            call: made inside a transaction.
            size: bytes that it keeps in memory until then.
        """
        self._writes.append(call)
        self._waiting_bytes += size
        self._start()
        if self._waiting_bytes > _MOST_WAITING_BYTES:
            await self.read(lambda _: None)

    async def aclose(self) -> None:
        """Writes what waits, and closes the file."""
        while self._task is not None:
            await to_its_end(asyncio.wait([self._task]))
        await to_its_end(self._in_thread(self._file.close))
        self._thread.shutdown()

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._work())
            self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        error = None if task.cancelled() else task.exception()
        if error is not None:  # such as a lack of memory
            self._failed(error)
            for answered in self._serving:
                if not answered.done():
                    answered.set_exception(error)
        if self._reads or self._writes:
            self._start()

    async def _work(self) -> None:
        while self._reads or self._writes:
            reads, self._reads = self._reads, []
            writes, self._writes = self._writes, []
            self._waiting_bytes = 0
            self._serving = [answered for _, answered in reads]
            results, error = await self._in_thread(partial(_serve, self._file, [call for call, _ in reads], writes))
            for answered, (value, fault) in zip(self._serving, results, strict=True):
                if answered.done():  # whoever asked was cancelled
                    continue
                if fault is None:
                    answered.set_result(value)
                else:
                    answered.set_exception(fault)
            if error is not None:
                self._failed(error)


def _serve(
    file: CacheFile, reads: Sequence[Callable[[CacheFile], Any]], writes: Sequence[Callable[[CacheFile], None]]
) -> tuple[list[tuple[Any, Exception | None]], sqlite3.Error | None]:
    """In the thread: what each read gave or raised, and what the transaction failed of."""
    failure: sqlite3.Error | None = None
    if writes:  # before the reads, so that they find what was stored
        try:
            with file.transaction():
                for write in writes:
                    write(file)
                file.make_room()
        except sqlite3.Error as error:
            failure = error
    results: list[tuple[Any, Exception | None]] = []
    for read in reads:
        try:
            results.append((read(file), None))
        except (sqlite3.Error, Damaged, Refused) as error:
            results.append((None, error))
    return results, failure
