"""From numbers to places on an axis."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Sequence

# Steps that clocks have, in seconds; beyond an hour, whole hours.
_TIME_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)

Points = Sequence[tuple[float, float]]


def ticks(highest: float, count: int) -> list[float]:
    """Round numbers from 0 up to the first that is not below the highest; about so many."""
    if not highest > 0:
        return [0.0, 1.0]
    rough = highest / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(times * power for times in (1, 2, 2.5, 5, 10) if times * power >= rough * 0.999)
    return [step * at for at in range(math.ceil(highest / step - 1e-9) + 1)]


def time_ticks(longest_s: float, count: int) -> list[float]:
    """Round times from 0 up to the longest; about so many."""
    rough_s = longest_s / count
    step_s = next((step for step in _TIME_STEPS_S if step >= rough_s), 3600 * math.ceil(rough_s / 3600))
    return [step_s * at for at in range(math.floor(longest_s / step_s + 1e-9) + 1)]


def log_axis(lowest: float, highest: float) -> tuple[float, float]:
    """From the power of ten below the lowest to a little beyond the highest; two powers at least."""
    first = 10.0 ** math.floor(math.log10(lowest) + 1e-9)
    return first, max(highest * 1.1, 100 * first)


def log_ticks(axis: tuple[float, float]) -> list[float]:
    """The powers of ten on a logarithmic axis."""
    return [10.0**power for power in range(round(math.log10(axis[0])), math.floor(math.log10(axis[1]) + 1e-9) + 1)]


def fine_log_ticks(axis: tuple[float, float]) -> list[float]:
    """Round numbers on a logarithmic axis: 1, 2 and 5 times the powers of ten, or these alone where they are many."""
    powers = range(math.floor(math.log10(axis[0])), math.ceil(math.log10(axis[1])) + 1)
    times = (1, 2, 5) if len(powers) <= 5 else (1,)
    return [step * 10.0**power for power in powers for step in times if axis[0] <= step * 10.0**power <= axis[1]]


def log_share(value: float, axis: tuple[float, float]) -> float:
    """Where a value stands on a logarithmic axis: 0 to 1."""
    low, high = math.log10(axis[0]), math.log10(axis[1])
    at = (math.log10(value) - low) / (high - low) if value > 0 else 0.0
    return min(max(at, 0.0), 1.0)


def thinned(points: Points, most: int, keep: Callable[[Sequence[float]], float]) -> list[tuple[float, float]]:
    """At most so many points, each for its neighbours: `keep` says which of their values stays, such as max."""
    if len(points) <= most:
        return list(points)
    edges = [round(at * len(points) / most) for at in range(most + 1)]
    parts = [points[start:end] for start, end in itertools.pairwise(edges)]
    return [(part[-1][0], keep([y for _, y in part])) for part in parts]


def settled(rates: Points) -> list[tuple[float, float]]:
    """Rates without those of very short intervals, which are joined with the one before.

    A crawl's last moment may come a few milliseconds after the one before, and two pages in them are no rate.
    """
    if len(rates) < 3:
        return list(rates)
    usual_s = statistics.median(later - at for (at, _), (later, _) in itertools.pairwise(rates))
    kept = [(0.0, 0.0), rates[0]]
    for at_s, rate in rates[1:]:
        (start_s, _), (last_s, last) = kept[-2:]
        if at_s - last_s < usual_s / 2 and at_s > start_s:
            joined = (last * (last_s - start_s) + rate * (at_s - last_s)) / (at_s - start_s)
            kept[-1] = (at_s, joined)
        else:
            kept.append((at_s, rate))
    return kept[1:]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
