"""What the numbers of a benchmark say: which strategy is best, by how much, and how sure that is."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scraper.bench.results import Cell, by_parser, modes_of
from scraper.bench.statistics import Noise, Ratio, overlap, ratio
from scraper.report import figures
from scraper.report.words import executor_phrase


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The best of some strategies.

    Args:
        mode, parser, executor, workers, pages_per_s: which, and its median.
        over: what it is compared with: the next best, or the same parser in line; None if there is nothing.
        ratio, ratio_low, ratio_high: of their medians, with what their intervals allow; None as `over`.
        is_real: whether the two intervals do not overlap.
        no_difference_to: strategies whose intervals overlap the best one's.
        text: all this in a sentence.
    """

    mode: str
    parser: str
    executor: str
    workers: int
    pages_per_s: float
    over: str | None
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    is_real: bool
    no_difference_to: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class PredictionError:
    """How far predictions were off, as shares of what was measured.

    Args:
        median, worst: without a sign.
        worst_strategy: where.
        strategies: that were predicted and measured.
    """

    median: float
    worst: float
    worst_strategy: str
    strategies: int


def judge(cells: Sequence[Cell], noise: Noise) -> dict[str, Any]:
    """The verdict in the form of the `--json` file."""
    best = [found for mode in modes_of(cells) if (found := best_of_all(cells, mode)) is not None]
    parsers = [
        found
        for mode in modes_of(cells)
        for members in by_parser(cells, mode)
        if (found := best_place(members)) is not None
    ]
    error = prediction_error(cells)
    text = [*(found.text for found in best), *([error_text(error)] if error else []), *noise.notes]
    return {
        "best": [asdict(found) for found in best],
        "parsers": [asdict(found) for found in parsers],
        "prediction_error": asdict(error) if error else None,
        "noise": list(noise.notes),
        "text": " ".join(text) if best else "Nothing was measured.",
    }


def strategy(cell: Cell) -> str:
    return f"{cell.parser} {executor_phrase(cell.executor, cell.workers)}"


def best_of_all(cells: Sequence[Cell], mode: str) -> Best | None:
    """The fastest strategy of a mode, beside the next one."""
    ranked = sorted(
        ((cell, interval) for cell in cells if cell.mode == mode and (interval := cell.interval) is not None),
        key=lambda pair: -pair[1].median,
    )
    if not ranked:
        return None
    (cell, interval), others = ranked[0], [other for other, _ in ranked[1:]]
    where = "Parsing alone" if mode == "parse" else "End to end"
    head = f"{where}, {strategy(cell)} is fastest with {figures.rate(interval.median)}"
    if not others:
        return _best(cell, others, None, f"{head}; there is nothing to compare it with.")
    times = ratio(interval, ranked[1][1])
    if times.is_real:
        text = f"{head}, {figures.ratio(times.value)} of the next, {strategy(others[0])}; the difference is real."
    else:
        text = f"{head}, but no difference to {_listed(alike(cell, others))} can be told from chance."
    return _best(cell, others, others[0], text)


def best_place(members: Sequence[Cell]) -> Best | None:
    """The fastest place for one parser, beside the event loop itself; None if either was not measured."""
    measured = [(cell, interval) for cell in members if (interval := cell.interval) is not None]
    inline = next(((cell, interval) for cell, interval in measured if cell.executor == "inline"), None)
    others = [pair for pair in measured if pair[0].executor != "inline"]
    if inline is None or not others:
        return None
    cell, interval = max(others, key=lambda pair: pair[1].median)
    times = ratio(interval, inline[1])
    where = executor_phrase(cell.executor, cell.workers)
    if not times.is_real:
        text = f"{cell.parser}: no difference between in line and {where}, the best of the others."
    elif times.value > 1:
        text = f"{cell.parser}: {figures.ratio(times.value)} {where}, {_span(times)}."
    else:
        text = f"{cell.parser}: fastest in line; {where} it is {figures.ratio(times.value)}, {_span(times)}."
    return _best(cell, members, inline[0], text)


def prediction_error(cells: Sequence[Cell]) -> PredictionError | None:
    """None where nothing was predicted."""
    errors = [(abs(cell.prediction_error), cell) for cell in cells if cell.prediction_error is not None]
    if not errors:
        return None
    worst, where = max(errors, key=lambda pair: pair[0])
    median = statistics.median(error for error, _ in errors)
    return PredictionError(median, worst, f"{strategy(where)} ({where.mode})", len(errors))


def error_text(error: PredictionError) -> str:
    return (
        f"Predictions were off by {error.median:.0%} in the median of {error.strategies} strategies, "
        f"and by {error.worst:.0%} at worst, for {error.worst_strategy}."
    )


def _best(cell: Cell, others: Sequence[Cell], over: Cell | None, text: str) -> Best:
    interval, beside = cell.interval, over.interval if over is not None else None
    assert interval is not None
    times = ratio(interval, beside) if beside is not None else None
    return Best(
        mode=cell.mode,
        parser=cell.parser,
        executor=cell.executor,
        workers=cell.workers,
        pages_per_s=interval.median,
        over=strategy(over) if over is not None else None,
        ratio=times.value if times else None,
        ratio_low=times.low if times else None,
        ratio_high=times.high if times else None,
        is_real=times is not None and times.is_real,
        no_difference_to=alike(cell, others),
        text=text,
    )


def alike(cell: Cell, others: Sequence[Cell]) -> tuple[str, ...]:
    """Strategies whose intervals overlap that of a cell."""
    interval = cell.interval
    return tuple(
        strategy(other)
        for other in others
        if other is not cell and interval is not None and (its := other.interval) is not None and overlap(interval, its)
    )


def _span(times: Ratio) -> str:
    return f"between {figures.ratio(times.low)} and {figures.ratio(times.high)}"


def _listed(names: Sequence[str]) -> str:
    if len(names) > 3:
        return f"{', '.join(names[:2])} and {len(names) - 2} others"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
