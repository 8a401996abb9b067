"""What threads, processes and interpreters do for four kinds of work, and what each kind does to another thread.

    python examples/gil_demo.py [--switch-interval S] [--quick]

Each kind of work is done twice, one after the other and then side by side. Meanwhile a heartbeat, a thread that asks to
be woken every millisecond, notes how late that happens: an event loop would be as late.
"""

import argparse
import importlib
import inspect
import re
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

Task = Callable[[int], object]

LETTERS = bytes(range(256)) * 1000
BACKTRACKS = re.compile("(a+)+b")

LESSONS = """\
1. Threads pay where the work waits, or computes in C that lets the GIL go; Python code, and C that keeps the GIL, run
   side by side only in processes or interpreters.
2. A thread that runs Python makes every other thread late by a switch interval each time that it wants to go on, and
   several of them by several; a shorter interval makes it less.
3. C that keeps the GIL makes them late by the length of its call, and no switch interval changes that: so measure,
   because "written in C" does not say which kind it is."""


def countdown(number: int) -> None:
    while number:
        number -= 1


def wait(milliseconds: int) -> None:
    time.sleep(milliseconds / 1000)


def compress(times: int) -> None:
    for _ in range(times):
        zlib.compress(LETTERS)


def backtrack(times: int) -> None:
    """The second half of the pattern never matches, and every way to split the letters is tried."""
    for _ in range(times):
        BACKTRACKS.match("a" * 19)


class Heartbeat(threading.Thread):
    """Notes how much later than asked for it is woken."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.late_s: list[float] = []
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.is_set():
            due_s = time.perf_counter() + 0.001
            time.sleep(0.001)
            self.late_s.append(time.perf_counter() - due_s)

    def stop(self) -> float:
        """The 99th percentile of its lateness."""
        self._stopping.set()
        self.join()
        return sorted(self.late_s)[int(len(self.late_s) * 0.99)]


def report(work: str, how: str, run: Callable[[], object], sequential_s: float | None = None) -> float:
    """Runs, prints a line of the table, and returns how long it took."""
    heartbeat = Heartbeat()
    heartbeat.start()
    started_s = time.perf_counter()
    run()
    spent_s = time.perf_counter() - started_s
    late_s = heartbeat.stop()
    times = f"{sequential_s / spent_s:.2f}" if sequential_s is not None else "1"
    print(f"{work:<34}{how:<14}{spent_s:>8.2f}{times:>9}{late_s * 1000:>13.1f}", flush=True)
    return spent_s


def amount(task: Task, start: int, task_s: float) -> int:
    """How much of it takes about so long."""
    started_s = time.perf_counter()
    task(start)
    return max(1, round(start * task_s / (time.perf_counter() - started_s)))


@contextmanager
def processes() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, get_context("spawn")) as executor:
        list(executor.map(countdown, [1] * 4))  # started and ready
        yield executor


@contextmanager
def interpreters() -> Iterator[Callable[[int], None]]:
    """Counts down in two interpreters, each with a GIL of its own, from two threads that wait for them."""
    # Its public face, concurrent.interpreters, came with Python 3.14.
    module: Any = importlib.import_module("_interpreters")
    both = [module.create(), module.create()]

    def count(interpreter: int, number: int) -> None:
        failed = module.exec(interpreter, f"{inspect.getsource(countdown)}\ncountdown({number})")
        if failed is not None:
            raise RuntimeError(failed.formatted)

    try:
        with ThreadPoolExecutor(2) as threads:
            yield lambda number: [*threads.map(count, both, [number] * 2)].clear()
    finally:
        for interpreter in both:
            module.destroy(interpreter)


def show(work: str, task: Task, size: int) -> float:
    """One after the other, and in two threads; returns how long the first took."""
    sequential_s = report(work, "in turn", lambda: [task(size), task(size)])
    with ThreadPoolExecutor(2) as threads:
        report("", "threads", lambda: list(threads.map(task, [size] * 2)), sequential_s)
    return sequential_s


def main() -> None:
    arguments = argparse.ArgumentParser(description="What the GIL does, in one screen.")
    arguments.add_argument("--switch-interval", type=float, default=0.005, metavar="S", help="CPython's own is 0.005")
    arguments.add_argument("--quick", action="store_true", help="a tenth of the work: rough figures")
    options = arguments.parse_args()
    task_s = 0.05 if options.quick else 0.5
    sys.setswitchinterval(options.switch_interval)
    has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    print(f"Python {sys.version.split()[0]}, GIL {'on' if has_gil else 'off'}", end=", ")
    print(f"switch interval {options.switch_interval * 1000:g} ms; each work is done twice\n")
    print(f"{'work':<34}{'how':<14}{'seconds':>8}{'× turn':>9}{'late p99 ms':>13}")

    size = amount(countdown, 200_000, task_s)
    sequential_s = show("Python: a countdown", countdown, size)
    with processes() as executor:
        report("", "processes", lambda: list(executor.map(countdown, [size] * 2)), sequential_s)
    if sys.version_info >= (3, 13):
        with interpreters() as count:
            report("", "interpreters", lambda: count(size), sequential_s)
    else:
        print(f"{'':<34}interpreters  need Python 3.13 or later")
    show("waiting: time.sleep", wait, round(task_s * 1000))
    show("C that lets the GIL go: zlib", compress, amount(compress, 3, task_s))
    show("C that keeps the GIL: a regex", backtrack, amount(backtrack, 1, task_s))
    print(f"\n{LESSONS}")


if __name__ == "__main__":
    main()
