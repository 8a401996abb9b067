"""What processes use, and what else goes on on the machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from itertools import repeat

import psutil

_REFERENCE_STEPS = 150_000  # about 3 ms
_REFERENCE_REPEATS = 10


class ProcessMeter:
    """CPU time and memory of this process and its workers.

    Args:
        beside: processes that are no workers, such as a local site's.
    """

    def __init__(self, beside: Collection[int] = ()) -> None:
        self._this = psutil.Process()
        self._beside = frozenset(beside)
        self._workers: list[psutil.Process] = []

    def find_workers(self) -> None:
        """Looks who is there. It reads every process of the machine, so it is not for the time that is measured."""
        self._workers = [child for child in self._this.children(recursive=True) if child.pid not in self._beside]

    def cpu_s(self) -> float:
        """Since the processes began."""
        return time.process_time() + sum(_each(self._workers, _cpu_s))

    def rss_bytes(self) -> int:
        """Resident now; what processes share is counted in each."""
        return int(sum(_each([self._this, *self._workers], lambda process: process.memory_info().rss)))


class Machine:
    """How busy the machine is with other programs.

    Args:
        beside: processes of ours that are no descendants which end before `others_cpus` is asked.
    """

    def __init__(self, beside: Collection[int] = ()) -> None:
        self._this = psutil.Process()
        self._beside = beside
        self._started_s = time.perf_counter()
        self._busy_s, self._stolen_s = _machine_s()
        self._own_s = self._tree_s()

    def used_cpus(self) -> tuple[float, float]:
        """CPUs that other programs used, and CPUs that the machine's host took away, on average since the start."""
        elapsed_s = max(time.perf_counter() - self._started_s, 1e-9)
        busy_s, stolen_s = _machine_s()
        others_s = busy_s - self._busy_s - (self._tree_s() - self._own_s)
        return max(others_s, 0.0) / elapsed_s, max(stolen_s - self._stolen_s, 0.0) / elapsed_s

    def _tree_s(self) -> float:
        """CPU of this process, of its children that ended, and of those that live."""
        times = self._this.cpu_times()
        ended_s = times.children_user + times.children_system
        living = self._this.children(recursive=True)
        return float(times.user + times.system + ended_s + sum(_each(living, _cpu_s)))


def _machine_s() -> tuple[float, float]:
    """CPU seconds of all programs, and those that were stolen, since the machine began."""
    times = psutil.cpu_times()
    busy = ("user", "nice", "system", "irq", "softirq", "interrupt", "dpc")
    return sum(getattr(times, name, 0.0) for name in busy), getattr(times, "steal", 0.0)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _each(processes: Iterable[psutil.Process], ask: Callable[[psutil.Process], float]) -> Iterable[float]:
    for process in processes:
        try:
            yield ask(process)
        except psutil.Error:  # it ended in between
            continue


def reference_s() -> float:
    """What a fixed computation takes now: the least of a few, so that it tells of the machine's speed alone.

    Who else used it meanwhile is what `Machine` tells.
    """
    return min(_compute_s() for _ in range(_REFERENCE_REPEATS))


def _compute_s() -> float:
    started_s = time.perf_counter()
    number = 1
    for _ in repeat(None, _REFERENCE_STEPS):  # small numbers only, so that the state of the heap plays no part
        number = (number * 5 + 3) & 15
    return time.perf_counter() - started_s
