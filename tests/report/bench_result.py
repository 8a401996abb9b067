"""A benchmark with numbers as a real one gives them, in the form of the `--json` file."""

from typing import Any

from scraper.bench.results import OK, BenchResult, Cell, Curve, CurvePoint, to_json
from scraper.bench.statistics import Noise
from scraper.bench.summary import with_speedups
from scraper.bench.verdict import judge

# parser, executor, workers, pages/s, low, high, predicted, lag p99 ms, CPU ms a page, MB
_MEASURED = (
    ("lxml", "inline", 1, 2_264.0, 2_190.0, 2_300.0, 2_123.0, 1.0, 0.47, 97.0),
    ("lxml", "thread", 2, 3_119.0, 3_034.0, 3_177.0, 3_080.0, 4.1, 0.43, 98.0),
    ("lxml", "process", 2, 3_143.0, 3_096.0, 3_290.0, 3_505.0, 9.7, 0.54, 158.0),
    ("html.parser", "inline", 1, 759.0, 725.0, 816.0, 745.0, 1.0, 1.3, 98.0),
    ("html.parser", "thread", 2, 813.0, 637.0, 831.0, 757.0, 35.6, 1.24, 99.0),
    ("html.parser", "process", 2, 1_318.0, 1_211.0, 1_406.0, 1_386.0, 5.8, 1.34, 148.0),
)


def measured(mode: str) -> list[Cell]:
    return [
        Cell(
            mode=mode,
            parser=parser,
            executor=executor,
            workers=workers,
            pages_per_s=rate,
            low=low,
            high=high,
            predicted_pages_per_s=predicted,
            loop_lag_p50_ms=lag_ms / 10,
            loop_lag_p99_ms=lag_ms,
            loop_lag_max_ms=lag_ms * 1.4,
            cpu_s_per_page=cpu_ms / 1000,
            rss_mb=rss_mb,
            pages=1_000,
            rates=(low, rate, high),
            status=OK,
        )
        for parser, executor, workers, rate, low, high, predicted, lag_ms, cpu_ms, rss_mb in _MEASURED
    ]


def _curve(mode: str, parser: str, executor: str, rate: float) -> Curve:
    def point(workers: int, cpus: int) -> CurvePoint:
        most = rate * min(workers, cpus, 8)
        return CurvePoint(workers, cpus, most, most / 1.3, most * 1.3, "workers")

    scaling = tuple(point(workers, 2) for workers in ((1,) if executor == "inline" else range(1, 5)))
    return Curve(mode, parser, executor, scaling, tuple(point(cpus, cpus) for cpus in (1, 2, 4, 8, 16, 32, 64)))


def bench_result(
    cells: list[Cell] | None = None, *, is_noisy: bool = False, is_predicted: bool = True, title: str = "400 pages"
) -> dict[str, Any]:
    found = [*measured("crawl"), *measured("parse")] if cells is None else cells
    keys = dict.fromkeys((cell.mode, cell.parser, cell.executor) for cell in found)
    notes = (
        ("Other programs kept 0.33 of 2 CPUs busy on average.", "Measure again.") if is_noisy else ("It was quiet.",)
    )
    noise = Noise(0.2 if is_noisy else 0.02, 0.33 if is_noisy else 0.0, 0.0, is_noisy, notes)
    result = BenchResult(
        pages={"title": title, "number": 400, "mean_bytes": 20_000.0},
        settings={"handler": "scraper.parse.outline:outline", "rounds": 6, "seconds": 0.35, "seed": 0},
        environment={"Python": "CPython 3.11.7", "CPUs": "2"},
        cells=with_speedups(found),
        curves=tuple(_curve(*key, 700.0) for key in keys) if is_predicted else (),
        noise=noise,
        notes=(),
        status="complete",
        elapsed_s=150.0,
    )
    return to_json(result, judge(result.cells, noise))
