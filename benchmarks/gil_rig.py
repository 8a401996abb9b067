"""A process that measures one operation of `gil_table`, in one thread or in two, whenever it is asked to."""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from benchmarks.gil_operations import OPERATIONS, Operation
from scraper.offload.heartbeat import Heartbeat, gil_use

_THREADS = 2

# So many pages in a window: the one that is cut off at its end then weighs little.
_PAGES_A_WINDOW = 8

# Two threads' trees together fit in a CPU's cache, where a handler finds the tree that was just parsed.
_TREES = 4

_QUITTING_S = 5.0


class NotInstalled(Exception):
    """An operation's library is missing, or refuses to work here."""


class Rig:
    """The process, for the length of a `with`.

    Args:
        operation: what it measures.
        pages: what on.

    Raises:
        NotInstalled: on entering.
        EOFError: from any method; the process crashed.
    """

    def __init__(self, operation: Operation, pages: list[bytes]) -> None:
        ours, theirs = multiprocessing.Pipe()
        self._connection = ours
        self._process = multiprocessing.Process(target=_serve, args=(theirs, OPERATIONS.index(operation), pages))
        self._process.start()
        theirs.close()  # so that its end is seen when the process ends
        self.suggested_window_s = 0.0

    def start(self, *, threads: int, window_s: float) -> None:
        """Begins what `rate` does; `result` has the rest."""
        self._connection.send(("rate", threads, window_s))

    def result(self) -> float:
        answer: float = self._connection.recv()
        return answer

    def rate(self, *, threads: int, window_s: float) -> float:
        """Bytes of pages a second, of all threads together."""
        self.start(threads=threads, window_s=window_s)
        return self.result()

    def held_share(self, window_s: float) -> float:
        """Of one thread's CPU time, the share in which it holds the GIL."""
        self._connection.send(("held", 1, window_s))
        return self.result()

    def __enter__(self) -> Self:
        answer = self._connection.recv()
        if isinstance(answer, str):
            self.__exit__(None, None, None)
            raise NotInstalled(answer)
        self.suggested_window_s = answer
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._process.join(_QUITTING_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(connection: Connection, index: int, pages: list[bytes]) -> None:
    threads = [ThreadPoolExecutor(1) for _ in range(_THREADS)]
    try:
        benches = [thread.submit(_Bench, OPERATIONS[index], pages).result() for thread in threads]
    except (ImportError, RuntimeError) as error:
        connection.send("not installed" if isinstance(error, ModuleNotFoundError) else f"refuses: {_first_line(error)}")
        return
    gc.freeze()  # a collection must not walk through the trees that every operation finds ready
    connection.send(benches[0].page_s * _PAGES_A_WINDOW)
    while True:
        try:
            what, count, window_s = connection.recv()
        except EOFError:
            for thread, bench in zip(threads, benches, strict=True):
                thread.submit(bench.drop).result()
            return
        pairs = list(zip(threads, benches, strict=True))[:count]
        if what == "rate":
            under_way = [thread.submit(bench.rate, window_s) for thread, bench in pairs]
            connection.send(sum(each.result() for each in under_way))
        else:
            connection.send(threads[0].submit(benches[0].held_share, window_s).result())


class _Bench:
    """An operation with a parser and trees of its thread, which makes it, uses it, and is the only one to."""

    def __init__(self, operation: Operation, pages: list[bytes]) -> None:
        prepare, self._run = operation.set_up()
        pages = pages[:_TREES] if operation.is_on_tree else pages
        self._works: list[tuple[int, Any]] = [(len(page), prepare(page)) for page in pages]
        self._turn: Iterator[tuple[int, Any]] = itertools.cycle(self._works)
        self.rate(0.0)
        started_s = time.perf_counter()
        self.rate(0.0)
        self.page_s = time.perf_counter() - started_s

    def rate(self, window_s: float) -> float:
        run = self._run
        done = 0
        started_s = time.perf_counter()
        for size, work in self._turn:
            run(work)
            done += size
            spent_s = time.perf_counter() - started_s
            if spent_s >= window_s:
                return done / spent_s
        raise AssertionError("the turn has no end")

    def held_share(self, window_s: float) -> float:
        heartbeat = Heartbeat()
        heartbeat.start()
        self.rate(window_s)
        return gil_use(heartbeat.stop()).held_share

    def drop(self) -> None:
        """Some trees may die only in the thread that made them."""
        self._turn = iter(())
        self._works.clear()


def _first_line(error: Exception) -> str:
    return str(error).partition(". ")[0]
