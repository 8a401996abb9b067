"""The crawler's roofline: how many payloads a second a strategy can do at most, and what stops it there.

Every term below is the time that one payload occupies one resource; the resource that is occupied longest sets the
pace. The idea is that of the roofline model (Williams, Waterman and Patterson, 2009) with the GIL as one more roof.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from scraper.offload.costs import HandoffCost, LoopCost, Machine, WorkCost
from scraper.options import ExecutorName

Limit = Literal["loop", "gil", "lock", "cores", "workers"]

_NO_HANDOFF = HandoffCost(0.0, 0.0)


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
    raise NotImplementedError


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
