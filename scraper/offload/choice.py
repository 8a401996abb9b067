"""Which executor a work goes to, by what was measured of it: the roofline's answer, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scraper.offload.costs import LoopCost, Machine, WorkCost
from scraper.offload.roofline import Bound, candidates, predict, recommend
from scraper.offload.values import Place, Strategy
from scraper.options import ExecutorName

# In line, a payload stops the event loop for as long as it runs; nobody notices so little.
_MOST_INLINE_S = 0.002

# The same for a thread that keeps the GIL: Python that is done sooner does not wait for its switch interval.
_MOST_HELD_S = 0.001

# What an event loop that is on time is worth: the share of the throughput that is given up for it.
_FOR_CALM = 0.1

# Predictions that differ by less may be in the wrong order: the candidates are tried.
_TOO_CLOSE = 0.25

# Trying costs time as well: the best prediction, and the best of two other places.
_MOST_RIVALS = 2


@dataclass(frozen=True, slots=True)
class Choice:
    """What measurements say.

    Args:
        strategy: the best, by prediction.
        rivals: others whose predictions are too close to tell.
        predicted: payloads a second by place, of all that came into question.
    """

    strategy: Strategy
    rivals: tuple[Strategy, ...]
    predicted: dict[Place, float]

    def has(self, executor: ExecutorName) -> bool:
        """Whether this executor is chosen, or to be tried."""
        return any(strategy.executor == executor for strategy in (self.strategy, *self.rivals))


def choose_measured(
    cost: WorkCost,
    loop: LoopCost,
    machine: Machine,
    executors: Sequence[ExecutorName],
    *,
    workers: int | None,
    payloads: int,
) -> Choice:
    """Decides by the roofline.

    Args:
        cost: of one payload.
        loop: of the event loop's thread for each payload.
        machine: what was measured of it.
        executors: that come into question.
        workers: as asked for; None leaves the number free.
        payloads: how many the cost was measured on.
    """
    bounds = [
        predict(executor, count, cost, loop, machine)
        for executor, count in candidates(cost, machine, workers=workers, executors=executors)
        if executor != "inline" or cost.wall_s <= _MOST_INLINE_S
    ]
    fastest = max(bound.payloads_per_s for bound in bounds)
    calm = [bound for bound in bounds if not _disturbs_loop(bound, cost, machine)]
    is_calm_enough = any(bound.payloads_per_s >= (1 - _FOR_CALM) * fastest for bound in calm)
    eligible = calm if is_calm_enough else bounds
    best = recommend(eligible)
    others: dict[ExecutorName, Bound] = {}
    for bound in sorted(eligible, key=lambda bound: -bound.payloads_per_s):
        is_close = bound.payloads_per_s >= (1 - _TOO_CLOSE) * best.payloads_per_s
        if is_close and bound.executor != best.executor:
            others.setdefault(bound.executor, bound)
    seen = _described(cost, machine, payloads)
    return Choice(
        _strategy(best, _why(best, bounds, seen)),
        tuple(_strategy(bound, _why(bound, bounds, seen)) for bound in list(others.values())[:_MOST_RIVALS]),
        {(bound.executor, bound.workers): bound.payloads_per_s for bound in bounds},
    )


def _disturbs_loop(bound: Bound, cost: WorkCost, machine: Machine) -> bool:
    """Whether the loop has to wait for the GIL, a switch interval at a time, whenever it has something to do."""
    return bound.executor == "thread" and machine.has_gil and cost.held_s > _MOST_HELD_S


def _strategy(bound: Bound, why: str) -> Strategy:
    return Strategy(bound.executor, bound.workers, why)


def _described(cost: WorkCost, machine: Machine, payloads: int) -> str:
    shares = cost.shares
    parts = [
        (shares.waiting, "waiting"),
        (shares.python, "Python"),
        (shares.native_held, "C that keeps the GIL"),
        (shares.native, "C that releases the GIL"),
    ]
    mixture = ", ".join(f"{share:.0%} {name}" for share, name in sorted(parts, reverse=True) if share >= 0.05)
    gil = "" if machine.has_gil else " (no GIL here)"
    return f"measured on {payloads} of its pages: {1000 * cost.wall_s:.2g} ms each, {mixture}{gil}"


def _why(chosen: Bound, bounds: Sequence[Bound], seen: str) -> str:
    best: dict[ExecutorName, Bound] = {}
    for bound in sorted(bounds, key=lambda bound: -bound.payloads_per_s):
        best.setdefault(bound.executor, bound)
    best[chosen.executor] = chosen
    predictions = ", ".join(
        f"{bound.executor}{'' if bound.executor == 'inline' else f' × {bound.workers}'} {bound.payloads_per_s:,.0f}"
        for bound in sorted(best.values(), key=lambda bound: -bound.payloads_per_s)
    )
    return f"{seen}; predicted pages/s: {predictions}"
