"""Durations in logarithmic buckets: bounded memory, quantiles within a few per cent."""

from __future__ import annotations

from math import exp2, log2

# 8 buckets an octave: a bucket is 9 % wide, so its geometric middle is off by 4.5 % at most.
_PER_OCTAVE = 8
_SMALLEST_S = 1e-7


class Histogram:
    """Counts durations in seconds. About 200 buckets cover 100 ns to 6 hours."""

    __slots__ = ("_buckets", "count", "max_s", "total_s")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0
        self.total_s = 0.0
        self.max_s = 0.0

    def add(self, duration_s: float) -> None:
        self.count += 1
        self.total_s += duration_s
        self.max_s = max(self.max_s, duration_s)
        bucket = int(log2(duration_s / _SMALLEST_S) * _PER_OCTAVE) if duration_s > _SMALLEST_S else 0
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1

    def quantile_s(self, share: float) -> float:
        """The duration that `share` of all durations do not exceed; 0.0 when there are none."""
        if not self.count:
            return 0.0
        rank = share * self.count
        below = 0
        for bucket in sorted(self._buckets):
            below += self._buckets[bucket]
            if below >= rank:
                return min(_SMALLEST_S * exp2((bucket + 0.5) / _PER_OCTAVE), self.max_s)
        return self.max_s
