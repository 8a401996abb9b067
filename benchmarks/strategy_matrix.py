"""Pages a second of functions of known nature with every fixed strategy, page by page size; and how well that is known.

    python -m benchmarks.strategy_matrix [--roofline] [--auto] [--seconds S] [--rounds N] [--only NAME,…] [--sizes KB,…]

Every measurement runs in a process of its own, its pool warm before the clock starts. Rounds are interleaved and in
random order; tables have medians. One during which other programs took more than a tenth of a CPU is repeated.

--roofline   predicts each of them from the function's cost as the probe finds it and the machine's, and says how far
             off that was.
--auto       measures executor="auto" beside them, and compares it with the strategy that was best in every other round
             by the rounds between: choosing and comparing by the same rounds would favour whichever had luck.
--cpus N     gives it only N CPUs and predicts for so many: how well it extrapolates.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import math
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.known import KNOWN
from scraper.offload.costs import Machine, WorkCost
from scraper.offload.machine import machine
from scraper.offload.roofline import Bound, candidates, expected_error, predict, recommend
from scraper.options import ExecutorName, available_cpus

# Other programs' share of a CPU that spoils a measurement, and how often it is repeated for that.
FOREIGN_CPUS = 0.1
ATTEMPTS = 4

LOCKED_S = 60.0

COST_S = 2.0  # the probe's usual budget


@dataclass(frozen=True, slots=True)
class Cell:
    """What is measured."""

    name: str
    size_bytes: int

    def __str__(self) -> str:
        return f"{self.name}, {self.size_bytes // 1000} KB"


@dataclass(frozen=True, slots=True)
class Arm:
    """How. Auto decides its workers itself: 0."""

    executor: ExecutorName
    workers: int

    def __str__(self) -> str:
        return f"{self.executor} {self.workers}" if self.workers > 1 else self.executor


Runs = dict[Cell, dict[Arm, list[dict[str, Any]]]]


class Bench:
    """Starts the measurements, one at a time.

    Args:
        cpus: that they may use; None is all.
        lock: a file that other benchmarks on this machine lock while they measure.
    """

    def __init__(self, cpus: int | None, lock: Path | None) -> None:
        self._cpus = None if cpus is None else sorted(os.sched_getaffinity(0))[:cpus]
        self._lock = None if lock is None else lock.open("a")
        self._locked_s = -math.inf

    def measure(self, *arguments: object) -> dict[str, Any] | None:
        """What the measurement printed; None if this Python cannot do it."""
        self._take_lock()
        for _ in range(ATTEMPTS):
            busy_s, started_s = _others_cpu_s(), time.monotonic()
            run = subprocess.run(
                [sys.executable, "-m", "benchmarks.matrix_measure", *map(str, arguments)],
                capture_output=True,
                text=True,
                check=False,
                preexec_fn=self._confine,  # this program has one thread
            )
            if run.returncode:
                print(f"{' '.join(map(str, arguments))}: {run.stderr.strip().splitlines()[-1]}", file=sys.stderr)
                return None
            foreign = (_others_cpu_s() - busy_s) / (time.monotonic() - started_s)
            if foreign <= FOREIGN_CPUS:
                break
        measured: dict[str, Any] = json.loads(run.stdout)
        return measured | {"foreign_cpus": round(foreign, 3)}

    def _confine(self) -> None:
        if self._cpus is not None:
            os.sched_setaffinity(0, self._cpus)

    def _take_lock(self) -> None:
        """Keeps the lock over many measurements, because it takes long to get, and lets others have it now and then."""
        if self._lock is None or time.monotonic() - self._locked_s < LOCKED_S:
            return
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        time.sleep(0.5)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._locked_s = time.monotonic()


def _others_cpu_s() -> float:
    """CPU seconds that everybody else has used."""
    times = psutil.cpu_times()
    idle_s = times.idle + getattr(times, "iowait", 0.0)
    own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    counted = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    all_s = sum(getattr(times, name, 0.0) for name in counted)
    return float(all_s - idle_s - sum(usage.ru_utime + usage.ru_stime for usage in own))


def arms_of(work: WorkCost, found: Machine, *, with_auto: bool) -> list[Arm]:
    """The fixed strategies that make sense for this work, and auto."""
    arms = [Arm(executor, workers) for executor, workers in candidates(work, found, executors=tuple(found.handoffs))]
    return [*arms, Arm("auto", 0)] if with_auto else arms


def measure_all(
    bench: Bench, arms: dict[Cell, list[Arm]], chance: random.Random, *, rounds: int, seconds: float, warm_up_s: float
) -> Runs:
    """What was measured until the end, or until Ctrl-C: it takes long, and what there is is worth a table."""
    runs: Runs = {cell: {arm: [] for arm in own} for cell, own in arms.items()}
    todo: list[tuple[Cell, Arm]] = []
    for _ in range(rounds):
        round_ = [(cell, arm) for cell, own in arms.items() for arm in own]
        chance.shuffle(round_)
        todo += round_
    try:
        for done, (cell, arm) in enumerate(todo):
            print(f"\r{done} of {len(todo)} measured ", end="", file=sys.stderr)
            measured = bench.measure("rate", cell.name, cell.size_bytes, arm.executor, arm.workers, seconds, warm_up_s)
            if measured is not None:
                runs[cell][arm].append(measured)
    except KeyboardInterrupt:
        print("interrupted: this is what was measured", end="", file=sys.stderr)
    print(file=sys.stderr)
    return runs


def rates_of(runs: list[dict[str, Any]]) -> list[float]:
    return [run["pages_per_s"] for run in runs]


def interval(rates: list[float], chance: random.Random) -> tuple[float, float]:
    """The 95 % interval of the median, by the bootstrap."""
    medians = sorted(statistics.median(chance.choices(rates, k=len(rates))) for _ in range(1000))
    return medians[25], medians[974]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Auto beside the best fixed strategy of one cell.

    Args:
        cell: which.
        best: chosen by every other round.
        share: auto's pages a second as a share of that one's, by the rounds between.
        overlaps: whether their intervals do.
    """

    cell: Cell
    best: Arm
    share: float
    overlaps: bool


def compare(cell: Cell, runs: dict[Arm, list[dict[str, Any]]], chance: random.Random) -> Comparison | None:
    """How good auto was; None where it, or everything else, was not measured."""
    rates = {arm: rates_of(own) for arm, own in runs.items() if own}
    auto = rates.pop(Arm("auto", 0), [])
    if len(auto) < 2 or not rates:
        return None
    best = max(rates, key=lambda arm: statistics.median(rates[arm][::2]))
    compared, own = rates[best][1::2] or rates[best], auto[1::2]
    low, high = interval(compared, chance)
    own_low, own_high = interval(own, chance)
    share = statistics.median(own) / statistics.median(compared)
    return Comparison(cell, best, share, own_low <= high and low <= own_high)


def print_rates(runs: Runs) -> None:
    for cell, own in runs.items():
        figures = {arm: statistics.median(rates_of(each)) for arm, each in own.items() if each}
        best = max(figures.values(), default=0.0)
        row = [f"{arm} {figure:,.0f}{'*' * (figure == best)}" for arm, figure in figures.items()]
        print(f"{cell!s:30} {' | '.join(row)}")


def print_roofline(runs: Runs, bounds: dict[Cell, dict[Arm, Bound]], stated: float) -> list[float]:
    """Prints the errors, the largest first, and how much following the recommendation would lose."""
    errors = []
    losses = []
    for cell, own in runs.items():
        measured = {arm: statistics.median(rates_of(each)) for arm, each in own.items() if each and arm in bounds[cell]}
        errors += [
            (bounds[cell][arm].payloads_per_s / figure - 1, cell, arm, bounds[cell][arm])
            for arm, figure in measured.items()
        ]
        if measured:
            chosen = recommend([bounds[cell][arm] for arm in measured])
            losses.append(1 - measured[Arm(chosen.executor, chosen.workers)] / max(measured.values()))
    if not errors:
        return []
    errors.sort(key=lambda each: -abs(each[0]))
    print("\npredicted / measured - 1, the largest first; the limit is what the model says stops it")
    for error, cell, arm, bound in errors:
        if abs(error) > 0.15:
            print(f"  {error:+6.0%}  {cell!s:30} {arm!s:14} limit: {bound.limit}")
    sizes = sorted(abs(error) for error, *_ in errors)
    within = sum(size <= stated for size in sizes) / len(sizes)
    print(
        f"{len(sizes)} predictions: median error {statistics.median(sizes):.1%}, nine of ten within "
        f"{sizes[int(0.9 * (len(sizes) - 1))]:.1%}, worst {sizes[-1]:.1%}; "
        f"{within:.0%} within the stated {stated:.0%}"
    )
    print(
        f"the recommended strategy loses {statistics.median(losses):.1%} to the best one in the median, "
        f"at worst {max(losses):.1%}"
    )
    return sizes


def print_auto(comparisons: list[Comparison]) -> None:
    passed = sum(each.share >= 0.95 or each.overlaps for each in comparisons)
    print("\nauto as a share of the best fixed strategy, the lowest first")
    for each in sorted(comparisons, key=lambda each: each.share):
        print(f"  {each.share:6.0%}  {each.cell!s:30} best: {each.best}{', intervals overlap' * each.overlaps}")
    print(
        f"{len(comparisons)} cells: {passed / len(comparisons):.0%} within 95 % of the best or not told apart from it, "
        f"lowest {min(each.share for each in comparisons):.0%}"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--roofline", action="store_true")
    parser.add_argument("--auto", action="store_true")
    parser.add_argument("--seconds", type=float, default=3.0, help="of one measurement")
    parser.add_argument("--warm-up", type=float, default=1.0, help="seconds before it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(known.name for known in KNOWN), help="functions")
    parser.add_argument("--sizes", default="5,50,500", help="KB of a page")
    parser.add_argument("--cpus", type=int, help="of this machine that may be used")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lock", type=Path, help="a file to lock while it measures")
    parser.add_argument("--json", type=Path, help="everything that was measured")
    return parser.parse_args()


def main() -> None:
    options = _arguments()
    chance = random.Random(options.seed)  # noqa: S311  # the order of rounds
    bench = Bench(options.cpus, options.lock)
    found = machine()
    cpus = options.cpus or available_cpus()
    cells = [Cell(name, int(size) * 1000) for name in options.only.split(",") for size in options.sizes.split(",")]
    costs = {}
    for cell in cells:
        print(f"\rcost of {cell!s:30}", end="", file=sys.stderr)
        measured = bench.measure("cost", cell.name, cell.size_bytes, COST_S)
        assert measured is not None
        measured.pop("foreign_cpus")
        costs[cell] = WorkCost(**measured)
    arms = {cell: arms_of(cost, found, with_auto=options.auto) for cell, cost in costs.items()}
    runs = measure_all(bench, arms, chance, rounds=options.rounds, seconds=options.seconds, warm_up_s=options.warm_up)
    bounds = {
        cell: {
            arm: predict(arm.executor, arm.workers, costs[cell], found.mapping, found, cpus=cpus)
            for arm in arms[cell]
            if arm.executor != "auto"
        }
        for cell in cells
    }
    print_rates(runs)
    if options.roofline:
        print_roofline(runs, bounds, expected_error(found, cpus=cpus))
    comparisons = [each for cell in cells if (each := compare(cell, runs[cell], chance)) is not None]
    if comparisons:
        print_auto(comparisons)
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        environment = {"python": sys.version, "platform": platform.platform(), "machine": asdict(found)}
        about = {"environment": environment, "options": {name: str(value) for name, value in vars(options).items()}}
        options.json.write_text(json.dumps(about | _report(costs, runs, bounds, comparisons), indent=1))


def _report(
    costs: dict[Cell, WorkCost], runs: Runs, bounds: dict[Cell, dict[Arm, Bound]], comparisons: list[Comparison]
) -> dict[str, Any]:
    return {
        "cells": [
            {
                "function": cell.name,
                "size_bytes": cell.size_bytes,
                "cost": asdict(costs[cell]),
                "arms": [
                    {
                        "executor": arm.executor,
                        "workers": arm.workers,
                        "runs": own,
                        "predicted": asdict(bounds[cell][arm]) if arm in bounds[cell] else None,
                    }
                    for arm, own in arms.items()
                ],
            }
            for cell, arms in runs.items()
        ],
        "auto": [
            {"cell": asdict(each.cell), "best": asdict(each.best), "share": each.share, "overlaps": each.overlaps}
            for each in comparisons
        ],
    }


if __name__ == "__main__":
    main()
