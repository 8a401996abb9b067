"""Something over time, in a bounded number of points."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")

# A plot needs no more points; when there are so many, every second one goes and the step doubles.
_POINTS = 600


class Course(Generic[T]):
    """Points at even distances from the first on, and the last."""

    __slots__ = ("_kept", "_last", "_step", "_taken")

    def __init__(self) -> None:
        self._kept: list[T] = []
        self._last: T | None = None
        self._taken = 0
        self._step = 1

    def add(self, point: T) -> None:
        self._last = point
        if self._taken % self._step == 0:
            self._kept.append(point)
        self._taken += 1
        if len(self._kept) >= _POINTS:
            del self._kept[1::2]
            self._step *= 2

    def points(self, *, with_last: bool = False) -> tuple[T, ...]:
        """The points that were kept.

        Args:
            with_last: also the last that was given, which stands at another distance.
        """
        if with_last and self._last is not None and self._kept[-1] is not self._last:
            return (*self._kept, self._last)
        return tuple(self._kept)
