"""What a few measurements say, and what they do not: medians, their intervals, and when two of them differ."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

_LEVEL = 0.95
# Student's t, two-sided 95 %, for 1 to 4 degrees of freedom.
_T = (12.706, 4.303, 3.182, 2.776)


@dataclass(frozen=True, slots=True)
class Interval:
    """A median, and the interval that holds the true one with a probability of 95 %.

    Args:
        median: of the measurements.
        low, high: the interval; None where one measurement alone says nothing of how it varies.
    """

    median: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times one median is another.

    Args:
        value: the ratio of the medians.
        low, high: the least and the most that the two intervals allow; None where one of them is not known.
        is_real: whether the intervals leave no doubt that the two differ.
    """

    value: float
    low: float | None
    high: float | None
    is_real: bool


def interval_of(values: Sequence[float]) -> Interval:
    """The median of independent measurements with its 95 % interval.

    From six measurements on it is the order-statistic interval, which assumes nothing of how they are distributed:
    the k-th smallest to the k-th largest, where k is the largest number for which a fair coin, thrown n times, shows
    heads fewer than k times with a probability of at most 2.5 % (Le Boudec, Performance Evaluation of Computer and
    Communication Systems, 2010, section 2.2). Fewer than six cannot hold a median with 95 %. There it is Student's
    interval of their logarithms, which takes errors to be log-normal, and at least from the smallest to the largest.

    Args:
        values: at least one, all above zero.
    """
    ordered = sorted(values)
    median = statistics.median(ordered)
    number = len(ordered)
    if number == 1:
        return Interval(median, None, None)
    rank = _rank(number)
    if rank:
        return Interval(median, ordered[rank - 1], ordered[-rank])
    logs = [math.log(value) for value in ordered]
    reach = _T[number - 2] * statistics.stdev(logs) / math.sqrt(number)
    middle = statistics.fmean(logs)
    return Interval(median, min(math.exp(middle - reach), ordered[0]), max(math.exp(middle + reach), ordered[-1]))


def _rank(number: int) -> int:
    """k: the rank whose order statistics hold the median with 95 %; 0 where none does."""
    rank, tail = 0, 0.5**number
    while 2 * tail <= 1 - _LEVEL:
        rank += 1
        tail += math.comb(number, rank) * 0.5**number
    return rank


def overlap(one: Interval, other: Interval) -> bool:
    """Whether two intervals share a value. One that is not known may be anywhere, so it overlaps."""
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return True
    return one.low <= other.high and other.low <= one.high


def ratio(value: Interval, to: Interval) -> Ratio:
    """`value / to`. Its interval holds 1 exactly when the two overlap, and holds the true ratio with at least 90 %."""
    low = value.low / to.high if value.low is not None and to.high else None
    high = value.high / to.low if value.high is not None and to.low else None
    return Ratio(value.median / to.median, low, high, not overlap(value, to))


@dataclass(frozen=True, slots=True)
class Noise:
    """What disturbed a benchmark.

    Args:
        reference_spread: between the slowest and the fastest round of a fixed computation, as a share of its median.
        others_cpus: CPUs that other programs kept busy, on average.
        stolen_cpus: CPUs that the machine's host gave to somebody else, on average.
        is_noisy: whether any of them is large enough to be seen in the results.
        notes: sentences.
    """

    reference_spread: float
    others_cpus: float
    stolen_cpus: float
    is_noisy: bool
    notes: tuple[str, ...]


# What a quiet machine stays below: its clock rate alone varies by some per cent.
_QUIET_SPREAD = 0.10
_QUIET_CPU_SHARE = 0.05


def judge_noise(references_s: Sequence[float], *, others_cpus: float, stolen_cpus: float, cpus: int) -> Noise:
    """Says whether the machine was quiet.

    Args:
        references_s: what the same computation took in each round.
        others_cpus: that other programs kept busy, on average.
        stolen_cpus: that the machine's host gave to somebody else, on average.
        cpus: that this process may use.
    """
    middle_s = statistics.median(references_s) if references_s else 0.0
    spread = (max(references_s) - min(references_s)) / middle_s if middle_s > 0 else 0.0
    notes = []
    if spread > _QUIET_SPREAD:
        notes.append(
            f"The same computation took up to {spread:.0%} longer in one round than in another: "
            "the machine's speed changed."
        )
    for used, who in ((others_cpus, "Other programs kept"), (stolen_cpus, "The host of this machine took")):
        if used > _QUIET_CPU_SHARE * cpus:
            verb = " busy" if "programs" in who else " away"
            notes.append(f"{who} {used:.2f} of {cpus} CPUs{verb} on average.")
    if notes:
        notes.append("Small differences are not to be trusted; measure again when nothing else runs.")
    else:
        notes.append(f"The machine was quiet: the same computation varied by {spread:.0%} between rounds.")
    return Noise(spread, others_cpus, stolen_cpus, len(notes) > 1, tuple(notes))
