"""CPU time: of this thread, of this process, of the machine, and the time that a thread waited to get any."""

from __future__ import annotations

import os
import time
from contextlib import suppress

import psutil

from scraper.options import available_cpus

_SCHEDSTAT = "/proc/thread-self/schedstat"
_TASKS = "/proc/self/task"


class ThreadClock:
    """CPU time of the thread that starts it, and how long that thread stood in the queue for a CPU, since then.

    The kernel counts the second in `schedstat`: nanoseconds on a CPU, nanoseconds runnable without one, turns.
    Reading it takes two microseconds. Where there is none (not Linux) the delay is 0.
    """

    def __init__(self) -> None:
        self._file: int | None = None
        self._cpu_started_s = time.thread_time()
        self._delay_started_s = 0.0

    def start(self) -> None:
        self.close()
        with suppress(OSError):
            self._file = os.open(_SCHEDSTAT, os.O_RDONLY | os.O_CLOEXEC)
        self._cpu_started_s = time.thread_time()
        self._delay_started_s = self._read_delay_s()

    @property
    def cpu_s(self) -> float:
        return time.thread_time() - self._cpu_started_s

    @property
    def delay_s(self) -> float:
        return self._read_delay_s() - self._delay_started_s

    def _read_delay_s(self) -> float:
        return 0.0 if self._file is None else _delay_ns(self._file) / 1e9

    def close(self) -> None:
        """Keeps the delay as it is now."""
        self._delay_started_s = -self.delay_s
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def _delay_ns(file: int) -> int:
    return int(os.pread(file, 96, 0).split(None, 2)[1])


def process_delay_s() -> float:
    """How long the threads of this process that are alive have stood in the queue for a CPU; see `ThreadClock`."""
    delay_ns = 0
    with suppress(OSError), os.scandir(_TASKS) as threads:
        for thread in threads:
            with suppress(OSError):  # it may have ended
                file = os.open(f"{thread.path}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
                delay_ns += _delay_ns(file)
                os.close(file)
    return delay_ns / 1e9


def machine_busy_s() -> float:
    """CPU seconds that the CPUs of this process have spent on whatever ran on them, since the machine started."""
    times = psutil.cpu_times(percpu=True)
    if hasattr(os, "sched_getaffinity"):
        mine = [times[cpu] for cpu in os.sched_getaffinity(0) if cpu < len(times)]
        if len(mine) == available_cpus():
            times = mine
    return sum(_busy_s(each) for each in times)


def _busy_s(times: object) -> float:
    """Without what is idle, and without what is counted twice: a guest's time is part of the user's."""
    idle = ("idle", "iowait", "guest", "guest_nice")
    return sum(times) - sum(getattr(times, name, 0.0) for name in idle)  # type: ignore[call-overload,no-any-return]
