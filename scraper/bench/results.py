"""What a benchmark found, as values and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from scraper.bench.plan import Case
from scraper.bench.statistics import Interval, Noise
from scraper.errors import UsageError

OK = "ok"
INTERRUPTED = "interrupted"
UNSUPPORTED = "unsupported"

_FORMAT = "scraper bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One strategy's numbers; None where they are not known.

    Args:
        mode, parser, executor, workers: the strategy.
        pages_per_s: the median of the rounds.
        low, high: its 95 % interval.
        speedup_vs_inline: over the same parser in line, a ratio of medians.
        predicted_pages_per_s: by the roofline, from what the probe measured of the parser and handler alone.
        loop_lag_p50_ms, loop_lag_p99_ms, loop_lag_max_ms: the event loop's lateness in all rounds.
        cpu_s_per_page: of this process and its workers.
        rss_mb: resident memory of the same, the largest of all rounds; what processes share counts in each.
        pages: that were measured in all rounds.
        rates: pages a second, round by round.
        failures: of pages, by reason, warm-up included.
        status: `ok`; `interrupted` before there was anything to tell; `unsupported`, with a reason where it is not
            the parser that lacks what the handler asks for; `failed: ...` without numbers; `some pages failed: ...`.
    """

    mode: str
    parser: str
    executor: str
    workers: int
    pages_per_s: float | None = None
    low: float | None = None
    high: float | None = None
    speedup_vs_inline: float | None = None
    predicted_pages_per_s: float | None = None
    loop_lag_p50_ms: float | None = None
    loop_lag_p99_ms: float | None = None
    loop_lag_max_ms: float | None = None
    cpu_s_per_page: float | None = None
    rss_mb: float | None = None
    pages: int = 0
    rates: tuple[float, ...] = ()
    failures: Mapping[str, int] = field(default_factory=dict)
    status: str = INTERRUPTED

    @property
    def key(self) -> tuple[str, str, str, int]:
        return self.mode, self.parser, self.executor, self.workers

    @property
    def interval(self) -> Interval | None:
        """None where nothing was measured."""
        return None if self.pages_per_s is None else Interval(self.pages_per_s, self.low, self.high)

    @property
    def prediction_error(self) -> float | None:
        """How far the prediction was off, as a share of what was measured; positive where it promised too much."""
        if self.predicted_pages_per_s is None or not self.pages_per_s:
            return None
        return self.predicted_pages_per_s / self.pages_per_s - 1.0


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A prediction.

    Args:
        workers, cpus: what it is for.
        pages_per_s: the prediction.
        low, high: what its error allows.
        limit: the resource that sets it.
    """

    workers: int
    cpus: int
    pages_per_s: float
    low: float
    high: float
    limit: str


@dataclass(frozen=True, slots=True)
class Curve:
    """Predictions of one strategy: on this machine by the number of workers, and on larger ones, a worker a CPU."""

    mode: str
    parser: str
    executor: str
    scaling: tuple[CurvePoint, ...]
    extrapolation: tuple[CurvePoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult:
    """A whole benchmark.

    Args:
        pages: what it ran on: title, number, mean size.
        settings: handler, rounds, seconds for each measurement, seed.
        environment: name to value.
        cells: every strategy, in the order in which they are shown.
        curves: predictions.
        noise: what disturbed it.
        notes: sentences, such as why there is no prediction.
        status: `complete` or `interrupted`.
        elapsed_s: all in all.
    """

    pages: Mapping[str, Any]
    settings: Mapping[str, Any]
    environment: Mapping[str, str]
    cells: tuple[Cell, ...]
    curves: tuple[Curve, ...]
    noise: Noise
    notes: tuple[str, ...]
    status: Literal["complete", "interrupted"]
    elapsed_s: float


def case_cell(case: Case, **numbers: Any) -> Cell:
    return Cell(mode=case.mode, parser=case.parser, executor=case.executor, workers=case.workers, **numbers)


def to_json(result: BenchResult, verdict: Mapping[str, Any]) -> dict[str, Any]:
    """The form of the `--json` file."""
    return {"format": _FORMAT, "version": 1, **asdict(result), "verdict": dict(verdict)}


def read_cells(path: str) -> tuple[list[Cell], Mapping[str, str]]:
    """The cells and the environment of a `--json` file.

    Raises:
        UsageError: it cannot be read, or is no such file.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not a file of scraper bench: it holds no JSON") from error
    try:
        environment = {str(name): str(value) for name, value in found["environment"].items()}
        return [_cell(fields) for fields in found["cells"]], environment
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path} is not a file of scraper bench: it has no cells of strategies") from error


def _cell(fields: Mapping[str, Any]) -> Cell:
    """A cell of the contract's fields; further ones, which a later version may add, are left alone.

    Raises:
        KeyError, TypeError, ValueError: one of them is missing, or is not what it should be.
    """
    mode, parser, executor = (str(fields[name]) for name in ("mode", "parser", "executor"))
    rate, low, high, lag_ms, cpu_s, rss_mb = (
        _number(fields[name]) for name in ("pages_per_s", "low", "high", "loop_lag_p99_ms", "cpu_s_per_page", "rss_mb")
    )
    return Cell(
        mode=mode,
        parser=parser,
        executor=executor,
        workers=int(fields["workers"]),
        pages_per_s=rate,
        low=low,
        high=high,
        loop_lag_p99_ms=lag_ms,
        cpu_s_per_page=cpu_s,
        rss_mb=rss_mb,
        status=str(fields["status"]),
    )


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ValueError(f"{value!r} is no measured value")
    return float(value)


def by_parser(cells: Sequence[Cell], mode: str) -> list[list[Cell]]:
    """The cells of a mode, parser by parser."""
    parsers = dict.fromkeys(cell.parser for cell in cells if cell.mode == mode)
    return [[cell for cell in cells if (cell.mode, cell.parser) == (mode, parser)] for parser in parsers]


def modes_of(cells: Sequence[Cell]) -> list[str]:
    return list(dict.fromkeys(cell.mode for cell in cells))
