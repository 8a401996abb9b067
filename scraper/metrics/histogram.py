"""Durations in logarithmic buckets: bounded memory, quantiles within a few per cent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import repeat
from math import exp2, floor, log2
from operator import mul

# 8 buckets an octave: a bucket is 9 % wide, so its geometric middle is off by 4.5 % at most.
_PER_OCTAVE = 8
_SMALLEST_S = 1e-7


class Histogram:
    """Counts durations in seconds. About 200 buckets cover 100 ns to 6 hours."""

    __slots__ = ("_buckets", "count", "max_s", "total_s")

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count = 0
        self.total_s = 0.0
        self.max_s = 0.0

    def add(self, duration_s: float) -> None:
        self.add_all((duration_s,))

    def add_all(self, durations_s: Sequence[float]) -> None:
        """Counts many at once, which runs in C for the most part."""
        if not durations_s:
            return
        self.count += len(durations_s)
        self.total_s += sum(durations_s)
        self.max_s = max(self.max_s, *durations_s)
        at_least = map(max, durations_s, repeat(_SMALLEST_S))
        self._buckets.update(map(floor, map(mul, map(log2, at_least), repeat(_PER_OCTAVE))))

    def quantile_s(self, share: float) -> float:
        """The duration that `share` of all durations do not exceed; 0.0 when there are none."""
        if not self.count:
            return 0.0
        rank = share * self.count
        below = 0
        for bucket in sorted(self._buckets):
            below += self._buckets[bucket]
            if below >= rank:
                return min(exp2((bucket + 0.5) / _PER_OCTAVE), self.max_s)
        return self.max_s
