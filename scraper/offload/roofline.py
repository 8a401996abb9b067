"""The crawler's roofline: how many payloads a second a strategy can do, and what stops it there.

Every term below is the time that one payload occupies one resource; the resource that is occupied longest sets the
pace. The idea is that of the roofline model (Williams, Waterman and Patterson, 2009) with the GIL as one more roof.
docs/offload.md has the formulas, how they were measured, and how far off they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scraper.offload.costs import HandoffCost, LoopCost, Machine, WorkCost
from scraper.options import ExecutorName

Limit = Literal["loop", "gil", "lock", "cores", "workers"]

_NO_HANDOFF = HandoffCost(0.0, 0.0)

# How sharp the corner is where two resources are occupied for the same time: the pace there is 2 ** (1 / 8), 9 %,
# below the roof. A working value: measurements so far do not tell it from 4 or 16.
_SHARPNESS = 8.0

# Nothing is quicker, so that a work of which nothing is known yet has a finite bound.
_SHORTEST_S = 1e-9

# A function that waits for so much of its time gains by more workers than CPUs.
_WAITS = 0.1

# Threads beyond so many only add to the wait for the GIL; a process takes some 25 MB before its first payload.
_MOST_THREADS = 32
_MOST_PROCESSES = 16

# Predictions closer to each other than this are the same: about what the median of them is off by.
_ALIKE = 0.05

# Nine of ten predictions for the machine that was measured are no further off than this.
_ERROR = 0.3

# The cheaper and safer ones first: what they start, what they copy, and what happens to the rest when one hangs.
_CHEAPEST: tuple[ExecutorName, ...] = ("inline", "thread", "interpreter", "process")


@dataclass(frozen=True, slots=True)
class Bound:
    """What one strategy can do at most.

    Args:
        executor, workers: the strategy; inline has one worker.
        payloads_per_s: the prediction.
        limit: the resource that sets it.
        occupied_s: by resource, the time that one payload occupies it.
    """

    executor: ExecutorName
    workers: int
    payloads_per_s: float
    limit: Limit
    occupied_s: dict[Limit, float]


def predict(
    executor: ExecutorName, workers: int, work: WorkCost, loop: LoopCost, machine: Machine, *, cpus: int | None = None
) -> Bound:
    """What a strategy can do.

    Args:
        executor: inline, thread, process or interpreter.
        workers: threads, processes or interpreters.
        work: one payload's cost.
        loop: what the event loop's thread does beside it.
        machine: what was measured of it.
        cpus: of a machine of the same kind; None is the one that was measured.
    """
    capacity = machine.capacity if cpus is None else machine.capacity_of(cpus)
    handoff = machine.handoffs.get(executor, _NO_HANDOFF)
    match executor:
        case "inline":
            workers = 1
            occupied_s = _inline(work, loop, handoff, capacity)
        case "thread":
            occupied_s = _threads(workers, work, loop, handoff, capacity)
            if machine.has_gil:
                occupied_s["gil"] = _gil(workers, work, loop, handoff, machine.handover_s)
        case _:
            occupied_s = _apart(workers, work, loop, handoff, capacity)
    limit = max(occupied_s, key=occupied_s.__getitem__)
    return Bound(executor, workers, 1.0 / _blend(occupied_s), limit, occupied_s)


def rank(
    strategies: Iterable[tuple[ExecutorName, int]],
    work: WorkCost,
    loop: LoopCost,
    machine: Machine,
    *,
    cpus: int | None = None,
) -> list[Bound]:
    """The bounds of several strategies, the best first."""
    bounds = [predict(executor, workers, work, loop, machine, cpus=cpus) for executor, workers in strategies]
    return sorted(bounds, key=lambda bound: -bound.payloads_per_s)


def candidates(
    work: WorkCost,
    machine: Machine,
    *,
    workers: int | None = None,
    executors: Sequence[ExecutorName] = ("inline", "thread", "process"),
) -> list[tuple[ExecutorName, int]]:
    """The strategies that may be best for this work.

    Args:
        work: one payload's cost.
        machine: gives the number of CPUs.
        workers: exactly so many; None is as many as there are CPUs, and multiples of that for work that waits.
        executors: that there are.
    """
    return [
        (executor, count)
        for executor in _CHEAPEST
        if executor in executors
        for count in ([1] if executor == "inline" else _counts(executor, work, machine.cpus, workers))
    ]


def recommend(bounds: Iterable[Bound], *, alike: float = _ALIKE) -> Bound:
    """The best bound, or a cheaper and safer one that is predicted to be nearly as good.

    Cheaper is in line before threads, before interpreters, before processes, and fewer workers before more.

    Args:
        bounds: of one work; at least one.
        alike: how much less, as a share of the best, is as good. Tell no differences that the model does not know.
    """
    bounds = list(bounds)
    enough = max(bound.payloads_per_s for bound in bounds) * (1.0 - alike)
    return min(
        (bound for bound in bounds if bound.payloads_per_s >= enough),
        key=lambda bound: (_CHEAPEST.index(bound.executor), bound.workers),
    )


def expected_error(machine: Machine, *, cpus: int | None = None) -> float:
    """How far off a prediction may be, as a share of it; nine of ten are closer.

    It grows with every doubling of the CPUs between the machine that was measured and the one that is predicted:
    what further CPUs add is known from those at hand only.
    """
    return _ERROR * (1.0 + abs(math.log2((cpus or machine.cpus) / machine.cpus)))


def _inline(work: WorkCost, loop: LoopCost, handoff: HandoffCost, capacity: float) -> dict[Limit, float]:
    """One thread does everything; another one there is only where a server shares the machine."""
    cpu_s = loop.cpu_s + handoff.main_cpu_s + work.cpu_s
    occupied_s: dict[Limit, float] = {"loop": cpu_s + work.wait_s}
    if loop.server_cpu_s:
        occupied_s["cores"] = (cpu_s + loop.server_cpu_s) / capacity
    return occupied_s


def _threads(workers: int, work: WorkCost, loop: LoopCost, handoff: HandoffCost, capacity: float) -> dict[Limit, float]:
    main_s = loop.cpu_s + handoff.main_cpu_s
    worker_s = work.cpu_s + handoff.worker_cpu_s
    return {
        "loop": main_s,
        "lock": work.serial_s,
        "cores": (main_s + worker_s + loop.server_cpu_s) / capacity,
        "workers": (worker_s + work.wait_s) / workers,
    }


def _gil(workers: int, work: WorkCost, loop: LoopCost, handoff: HandoffCost, handover_s: float) -> float:
    """Whoever holds it, and what each change of hands takes.

    A thread that sleeps until the GIL is free runs a little later, and waking it is work for the one that lets go.
    Where C is left and entered again within that time nobody else gets the GIL at all, but the price is the same.
    """
    held_s = loop.held_s + handoff.main_held_s + handoff.worker_cpu_s + work.held_s
    return held_s + (work.gil_waits * handover_s if workers > 1 else 0.0)


def _apart(workers: int, work: WorkCost, loop: LoopCost, handoff: HandoffCost, capacity: float) -> dict[Limit, float]:
    """Processes and interpreters: everything crosses as bytes, and only the loop's thread is shared."""
    crossing_bytes = work.payload_bytes + work.result_bytes
    main_s = loop.cpu_s + handoff.main_cpu_s + handoff.main_byte_s * crossing_bytes + work.pickle_s
    worker_s = work.cpu_s + work.worker_pickle_s + handoff.worker_cpu_s + handoff.worker_byte_s * crossing_bytes
    return {
        "loop": main_s,
        "cores": (main_s + worker_s + loop.server_cpu_s) / capacity,
        "workers": (worker_s + work.wait_s) / workers,
    }


def _blend(occupied_s: Mapping[Limit, float]) -> float:
    """Time a payload takes where several resources are busy: a little more than that of the busiest one.

    The p-norm of the terms: the largest where one is much larger, and more where some are about the same, because
    then each now and then waits for the other.
    """
    longest_s = max(*occupied_s.values(), _SHORTEST_S)
    total = math.fsum(math.pow(term_s / longest_s, _SHARPNESS) for term_s in occupied_s.values())
    return longest_s * max(math.pow(total, 1.0 / _SHARPNESS), 1.0)


def _counts(executor: ExecutorName, work: WorkCost, cpus: int, workers: int | None) -> list[int]:
    """Numbers of workers that are worth a look."""
    if workers is not None:
        return [workers]
    counts = [cpus]
    most = _MOST_PROCESSES if executor == "process" else _MOST_THREADS
    if work.wait_s > _WAITS * work.wall_s:
        while counts[-1] * 2 <= most:
            counts.append(counts[-1] * 2)
    return counts
