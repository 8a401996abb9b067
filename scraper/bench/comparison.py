"""Two benchmarks side by side, such as one before a change and one after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scraper.bench.results import Cell
from scraper.bench.statistics import ratio
from scraper.report import figures

# What tells of a moment, and not of what was measured on.
_PASSING = frozenset({"Load at start"})

NO_DIFFERENCE = "no difference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One strategy in both.

    Args:
        mode, parser, executor, workers: which.
        before, after: pages a second; None where it was not measured.
        ratio: of the medians, after over before.
        low, high: what the intervals allow.
        is_real: whether the intervals do not overlap.
        text: in words.
    """

    mode: str
    parser: str
    executor: str
    workers: int
    before: float | None
    after: float | None
    ratio: float | None
    low: float | None
    high: float | None
    is_real: bool
    text: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two benchmarks.

    Args:
        changes: strategies that are in both.
        only_before, only_after: strategies that are in one.
        warnings: in what the environments differ, in sentences.
    """

    changes: tuple[Change, ...]
    only_before: tuple[tuple[str, str, str, int], ...]
    only_after: tuple[tuple[str, str, str, int], ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def compare(
    before: Sequence[Cell],
    after: Sequence[Cell],
    *,
    environments: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {}),
) -> Comparison:
    """Sets two benchmarks side by side, strategy by strategy, in the order of the first."""
    later = {cell.key: cell for cell in after}
    earlier = {cell.key for cell in before}
    return Comparison(
        tuple(_change(cell, later[cell.key]) for cell in before if cell.key in later),
        tuple(cell.key for cell in before if cell.key not in later),
        tuple(cell.key for cell in after if cell.key not in earlier),
        _differences(*environments),
    )


def _change(before: Cell, after: Cell) -> Change:
    first, second = before.interval, after.interval
    times = ratio(second, first) if first and second and first.median > 0 else None
    if times is None:
        missing = [f"{name}: {cell.status}" for name, cell in (("A", before), ("B", after)) if cell.interval is None]
        text = "; ".join(missing)
    elif not times.is_real:
        text = NO_DIFFERENCE
    else:
        faster = times.value > 1
        word = "faster" if faster else "slower"
        text = f"{figures.ratio(times.value if faster else 1 / times.value)} {word}"
    return Change(
        mode=before.mode,
        parser=before.parser,
        executor=before.executor,
        workers=before.workers,
        before=before.pages_per_s,
        after=after.pages_per_s,
        ratio=times.value if times else None,
        low=times.low if times else None,
        high=times.high if times else None,
        is_real=times is not None and times.is_real,
        text=text,
    )


def _differences(first: Mapping[str, str], second: Mapping[str, str]) -> tuple[str, ...]:
    differ = [
        f"{name}: {first.get(name, 'not told')} in A, {second.get(name, 'not told')} in B"
        for name in dict.fromkeys([*first, *second])
        if name not in _PASSING and first.get(name) != second.get(name)
    ]
    return tuple(differ)
