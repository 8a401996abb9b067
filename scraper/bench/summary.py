"""From the measurements of one strategy to its numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from scraper.bench.plan import Case
from scraper.bench.results import INTERRUPTED, OK, UNSUPPORTED, Cell, case_cell
from scraper.bench.statistics import interval_of
from scraper.bench.window import Sample
from scraper.metrics.histogram import Histogram

_LACKS_SELECTORS = "selector_unsupported"


def cell_of(case: Case, samples: Sequence[Sample], lateness: Histogram, predicted_pages_per_s: float | None) -> Cell:
    """The numbers of one strategy.

    Args:
        case: the strategy.
        samples: its measurements.
        lateness: the event loop's, in all of them.
        predicted_pages_per_s: None if there is no prediction.
    """
    failures: Counter[str] = Counter()
    for sample in samples:
        failures.update(sample.failures)
    ended = sum(sample.ended for sample in samples)
    status = _status(samples, failures, ended)
    measured = [sample for sample in samples if sample.pages]
    if not measured or failures.total() >= ended:
        return case_cell(case, failures=dict(failures), status=status)
    rates = tuple(sample.pages_per_s for sample in measured)
    interval = interval_of(rates)
    pages = sum(sample.pages for sample in measured)
    return case_cell(
        case,
        pages_per_s=interval.median,
        low=interval.low,
        high=interval.high,
        predicted_pages_per_s=predicted_pages_per_s,
        loop_lag_p50_ms=lateness.quantile_s(0.5) * 1000,
        loop_lag_p99_ms=lateness.quantile_s(0.99) * 1000,
        loop_lag_max_ms=lateness.max_s * 1000,
        cpu_s_per_page=sum(sample.cpu_s for sample in measured) / pages,
        rss_mb=max(sample.rss_bytes for sample in measured) / 1e6,
        pages=pages,
        rates=rates,
        failures=dict(failures),
        status=status,
    )


def _status(samples: Sequence[Sample], failures: Mapping[str, int], ended: int) -> str:
    problem = next((sample.problem for sample in samples if sample.problem is not None), None)
    if problem is not None:
        return problem
    if not samples:
        return INTERRUPTED
    failed = sum(failures.values())
    if not failed:
        return OK
    reason = max(failures, key=failures.__getitem__)
    if failed < ended:
        return f"some pages failed: {reason} ({failed} of {ended})"
    return UNSUPPORTED if reason == _LACKS_SELECTORS else f"failed: {reason}"


def with_speedups(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """The same, each beside the same parser in line."""
    inline = {(cell.mode, cell.parser): cell.pages_per_s for cell in cells if cell.executor == "inline"}
    found = []
    for cell in cells:
        beside = inline.get((cell.mode, cell.parser))
        times = cell.pages_per_s / beside if beside and cell.pages_per_s is not None else None
        found.append(replace(cell, speedup_vs_inline=times))
    return tuple(found)
