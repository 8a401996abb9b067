"""What this machine and this Python cost, measured: the program that `scraper.offload.machine` starts.

It runs in a process of its own, prints one JSON object, and takes about two seconds. Every figure is the best of
several rounds, because whatever else the machine does can only make it worse.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import pickle
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass

from scraper.errors import ScraperError
from scraper.offload.costs import HandoffCost, LoopCost
from scraper.offload.pool import OffloadPool
from scraper.offload.values import Result, Work
from scraper.options import ExecutorName, available_cpus

# What one portion of a crawl's pages is about, and a page that is large: two points make the cost of a byte known.
_SMALL_BYTES = 4_000
_LARGE_BYTES = 100_000
_SMALL_PAYLOADS = 1_500
_LARGE_PAYLOADS = 150

# Enough for full portions in both workers, as benchmarks/handoff.py has it.
_UNDER_WAY = 128
_WORKERS = 2
_ROUNDS = 3

# A new process runs on the CPU of its parent until the scheduler moves it; that takes less than this.
_SETTLE_S = 0.05
_BURN_S = 0.12
_BURN_ROUNDS = 2

_HANDOVERS = 500
_SPIN_ROUNDS = 1_000  # some 15 µs
_RELEASED_ROUNDS = 50  # some 10 µs
_REACQUISITIONS = 8

# Works for so long as its input says, and answers with how often it came round in a second of CPU: Python code that
# allocates, as parsing does, and no memory traffic beyond the caches, which is the payload's own. CPU seconds, because
# what other programs take of the machine at this moment is no property of it.
_BURNER = """
import sys, time
def burn(seconds):
    clock = time.perf_counter
    rounds, end_s, cpu_s = 0, clock() + seconds, time.process_time()
    while clock() < end_s:
        sum([len(str(number)) for number in range(200)])
        rounds += 1
    return rounds / (time.process_time() - cpu_s)
for line in sys.stdin:
    settle_s, burn_s = map(float, line.split())
    burn(settle_s)
    print(burn(burn_s), flush=True)
"""


def answer(_: bytes) -> float:
    """What is handed over: it says how much CPU its process has used, and does nothing else."""
    return time.process_time()


def _answering_s() -> float:
    """What that itself takes, which is no part of the hand-off."""
    rounds_s = []
    for _ in range(_ROUNDS):
        started_s = time.thread_time()
        for _ in range(1_000):
            answer(b"")
        rounds_s.append((time.thread_time() - started_s) / 1_000)
    return min(rounds_s)


def measure_capacity(cpus: int) -> float:
    """How many times one busy process's work all CPUs do together."""
    if cpus == 1:
        return 1.0
    burners = [
        subprocess.Popen(  # noqa: S603  # our own program
            [sys.executable, "-I", "-S", "-c", _BURNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(cpus)
    ]
    try:
        alone = max(_burn(burners[:1]) for _ in range(_BURN_ROUNDS))
        together = max(_burn(burners) for _ in range(_BURN_ROUNDS))
    finally:
        for burner in burners:
            burner.kill()
            burner.communicate()
    return max(1.0, min(together / alone, float(cpus), _quota_cpus()))


def _burn(burners: Sequence[subprocess.Popen[str]]) -> float:
    """What they do in a second, all together."""
    for burner in burners:
        assert burner.stdin is not None
        burner.stdin.write(f"{_SETTLE_S} {_BURN_S}\n")
        burner.stdin.flush()
    total = 0.0
    for burner in burners:
        assert burner.stdout is not None
        total += float(burner.stdout.readline())
    return total


def _quota_cpus() -> float:
    """How many CPUs' time a container gives (Linux, cgroup 2): it may be less than the CPUs that are seen."""
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:  # noqa: PTH123
            quota_us, period_us = file.read().split()
        return float("inf") if quota_us == "max" else float(quota_us) / float(period_us)
    except (OSError, ValueError):
        return float("inf")


def measure_handover_s() -> float:
    """What each release of the GIL costs while other threads want it: two threads that take turns, less their Python.

    A thread that sleeps until the GIL is free runs a little later, and waking it is work for the one that lets go.
    """
    spin_s = _best_s(lambda: _spin_and_release(0))
    threads = [threading.Thread(target=_spin_and_release, args=(_RELEASED_ROUNDS,)) for _ in range(2 * _ROUNDS)]
    turns_s = []
    for pair in zip(threads[::2], threads[1::2], strict=True):
        started_s = time.perf_counter()
        for thread in pair:
            thread.start()
        for thread in pair:
            thread.join()
        turns_s.append((time.perf_counter() - started_s) / 2)
    return max(0.0, (statistics.median(turns_s) - spin_s) / _HANDOVERS)


def _spin_and_release(released_rounds: int) -> None:
    """Python for a while, then C without the GIL for about as long as a short call takes."""
    for _ in range(_HANDOVERS):
        for _ in range(_SPIN_ROUNDS):
            pass
        if released_rounds:
            hashlib.pbkdf2_hmac("sha256", b"", b"", released_rounds)


def _best_s(call: Callable[[], object]) -> float:
    rounds_s = []
    for _ in range(_ROUNDS):
        started_s = time.perf_counter()
        call()
        rounds_s.append(time.perf_counter() - started_s)
    return min(rounds_s)


def measure_reacquire_s() -> float:
    """What letting go of the GIL for a moment costs beside a thread that runs Python."""
    is_over = False

    def spin() -> None:
        while not is_over:
            pass

    spinner = threading.Thread(target=spin)
    spinner.start()
    started_s = time.perf_counter()
    for _ in range(_REACQUISITIONS):
        time.sleep(0)
    taken_s = (time.perf_counter() - started_s) / _REACQUISITIONS
    is_over = True
    spinner.join()
    return taken_s


@dataclass(frozen=True, slots=True)
class _Run:
    """CPU seconds of one way through a pool, a payload.

    Args:
        loop_s: of the event loop's thread.
        threads_s: of the other threads of this process, interpreters among them.
        worker_s: of worker processes.
    """

    loop_s: float
    threads_s: float
    worker_s: float


async def _by_lane(pool: OffloadPool, payloads: Sequence[bytes]) -> list[Result]:
    results: list[Result] = []
    waiting = list(payloads)
    finished = asyncio.Event()

    def done(result: Result) -> None:
        results.append(result)
        if waiting:
            submit()
        elif len(results) == len(payloads):
            finished.set()

    def submit() -> None:
        payload = waiting.pop()
        lane.submit(payload, len(payload), done)

    async with pool.lane(Work.of(answer)) as lane:
        for _ in range(_UNDER_WAY):
            submit()
        await finished.wait()
    return results


async def _by_map(pool: OffloadPool, payloads: Sequence[bytes]) -> list[Result]:
    return [result async for result in pool.map(payloads)]


_Way = Callable[[OffloadPool, Sequence[bytes]], Awaitable[list[Result]]]


async def _measure(pool: OffloadPool, way: _Way, payloads: Sequence[bytes]) -> _Run:
    """The best of several rounds, by the CPU of the loop's thread."""
    runs = []
    for _ in range(_ROUNDS):
        loop_s, own_s = time.thread_time(), time.process_time()
        results = await way(pool, payloads)
        loop_s, own_s = time.thread_time() - loop_s, time.process_time() - own_s
        runs.append(_Run(loop_s / len(results), (own_s - loop_s) / len(results), _worker_s(results)))
    return min(runs, key=lambda run: run.loop_s)


def _worker_s(results: Sequence[Result]) -> float:
    """CPU of worker processes from their first answer to their last, a payload."""
    answers: dict[int | None, list[float]] = {}
    for result in results:
        answers.setdefault(result.worker, []).append(result.unwrap())
    spent_s = sum(max(own) - min(own) for own in answers.values())
    return spent_s / max(len(results) - len(answers), 1)


def _pickling_s(payload: bytes) -> float:
    """What pickling this payload and unpickling it costs; `WorkCost` has that for real ones."""
    times = []
    for _ in range(20):
        started_s = time.perf_counter()
        pickle.loads(pickle.dumps(payload, pickle.HIGHEST_PROTOCOL))  # noqa: S301  # our own
        times.append(time.perf_counter() - started_s)
    return min(times) / 2


async def measure_handoff(executor: ExecutorName) -> HandoffCost | None:
    """What handing over to this executor costs; None where it does not exist."""
    small, large = ([bytes(size)] * count for size, count in _SERIES)
    try:
        async with OffloadPool(answer, executor=executor, workers=_WORKERS) as pool:
            few, many = await _measure(pool, _by_lane, small), await _measure(pool, _by_lane, large)
    except ScraperError:
        return None
    function_s = _answering_s()
    if executor == "inline":
        cpu_s = max(0.0, few.loop_s - function_s)
        return HandoffCost(cpu_s, cpu_s)
    if executor == "thread":
        return HandoffCost(few.loop_s, few.loop_s, worker_cpu_s=max(0.0, few.threads_s - function_s))
    pickling_s = [_pickling_s(bytes(size)) for size, _ in _SERIES]
    main_cpu_s, main_byte_s = _line(few.loop_s - pickling_s[0], many.loop_s - pickling_s[1])
    worker_s = [run.worker_s if executor == "process" else run.threads_s for run in (few, many)]
    worker_cpu_s, worker_byte_s = _line(
        *(each_s - function_s - own_s for each_s, own_s in zip(worker_s, pickling_s, strict=True))
    )
    return HandoffCost(main_cpu_s, main_cpu_s, main_byte_s, worker_cpu_s, worker_byte_s)


_SERIES = ((_SMALL_BYTES, _SMALL_PAYLOADS), (_LARGE_BYTES, _LARGE_PAYLOADS))


def _line(small_s: float, large_s: float) -> tuple[float, float]:
    """What every payload costs, and what every byte adds."""
    byte_s = max(0.0, large_s - small_s) / (_LARGE_BYTES - _SMALL_BYTES)
    return max(0.0, small_s - byte_s * _SMALL_BYTES), byte_s


async def measure_mapping() -> LoopCost:
    """What `OffloadPool.map` does for each payload beside handing it over."""
    payloads = [bytes(_SMALL_BYTES)] * _SMALL_PAYLOADS
    async with OffloadPool(answer, executor="inline") as pool:
        lane, mapped = await _measure(pool, _by_lane, payloads), await _measure(pool, _by_map, payloads)
    cpu_s = max(0.0, mapped.loop_s - lane.loop_s)
    return LoopCost(cpu_s, cpu_s)


async def _handoffs() -> dict[ExecutorName, HandoffCost]:
    names: tuple[ExecutorName, ...] = ("inline", "thread", "process", "interpreter")
    measured = {name: await measure_handoff(name) for name in names}
    return {name: cost for name, cost in measured.items() if cost is not None}


def main() -> None:
    """Prints what was measured."""
    cpus = available_cpus()
    figures = {
        "cpus": cpus,
        "capacity": measure_capacity(cpus),
        "handover_s": measure_handover_s(),
        "reacquire_s": measure_reacquire_s(),
        "handoffs": {name: asdict(cost) for name, cost in asyncio.run(_handoffs()).items()},
        "mapping": asdict(asyncio.run(measure_mapping())),
    }
    json.dump(figures, sys.stdout)


if __name__ == "__main__":
    main()
