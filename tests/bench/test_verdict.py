"""From measurements to cells, from cells to words, and from two benchmarks to what changed."""

from typing import Any

import pytest

from scraper.bench.comparison import NO_DIFFERENCE, compare
from scraper.bench.plan import Case
from scraper.bench.results import OK, Cell, read_cells
from scraper.bench.statistics import Noise
from scraper.bench.summary import cell_of, with_speedups
from scraper.bench.verdict import best_of_all, best_place, judge, prediction_error
from scraper.bench.window import Sample
from scraper.errors import UsageError
from scraper.metrics.histogram import Histogram

CASE = Case("parse", "lxml", "thread", 2)
QUIET = Noise(0.01, 0.0, 0.0, is_noisy=False, notes=("quiet",))


def sample(pages_per_s: float, *, failures: dict[str, int] | None = None, ended: int = 100) -> Sample:
    return Sample(
        pages=100,
        elapsed_s=100 / pages_per_s,
        cpu_s=0.2,
        rss_bytes=50_000_000,
        failures=failures or {},
        ended=ended,
    )


def cell(parser: str, executor: str, rate: float | None, spread: float = 0.02, **more: Any) -> Cell:
    numbers: dict[str, Any] = {"status": OK}
    if rate is not None:
        numbers |= {"pages_per_s": rate, "low": rate * (1 - spread), "high": rate * (1 + spread)}
    return Cell(mode="parse", parser=parser, executor=executor, workers=2, **{**numbers, **more})


def test_a_cell_is_the_median_of_its_rounds() -> None:
    late = Histogram()
    late.add(0.010)
    found = cell_of(CASE, [sample(rate) for rate in (90, 100, 110, 95, 105, 120)], late, 130.0)
    assert found.status == OK
    assert found.pages_per_s == pytest.approx(102.5)
    assert found.low == pytest.approx(90)
    assert found.high == pytest.approx(120)
    assert found.cpu_s_per_page == pytest.approx(0.002)
    assert found.rss_mb == 50
    assert found.loop_lag_p99_ms == pytest.approx(10, rel=0.05)
    assert found.prediction_error == pytest.approx(130 / 102.5 - 1)


@pytest.mark.parametrize(
    ("samples", "status"),
    [
        ([], "interrupted"),
        ([sample(9, failures={"selector_unsupported": 100})], "unsupported"),
        ([sample(9, failures={"handler_raised": 100})], "failed: handler_raised"),
        ([Sample(problem="unsupported: lxml does not load")], "unsupported: lxml does not load"),
    ],
)
def test_what_was_not_measured_has_a_status_and_no_numbers(samples: list[Sample], status: str) -> None:
    found = cell_of(CASE, samples, Histogram(), 10.0)
    assert found.status == status
    assert found.pages_per_s is None
    assert found.interval is None
    assert found.rss_mb is None


def test_pages_that_failed_are_told_beside_the_numbers() -> None:
    found = cell_of(CASE, [sample(9, failures={"nesting_too_deep": 3}), sample(10)], Histogram(), None)
    assert found.status == "some pages failed: nesting_too_deep (3 of 200)"
    assert found.pages_per_s == 9.5


def test_a_speedup_is_over_the_same_parser_in_line() -> None:
    cells = with_speedups([cell("lxml", "inline", 100), cell("lxml", "thread", 150), cell("bs4", "thread", 20)])
    assert [found.speedup_vs_inline for found in cells] == [1.0, 1.5, None]


def test_the_best_is_real_where_intervals_do_not_overlap() -> None:
    best = best_of_all([cell("lxml", "thread", 100), cell("lxml", "process", 150), cell("bs4", "thread", 20)], "parse")
    assert best is not None
    assert (best.parser, best.executor, best.is_real) == ("lxml", "process", True)
    assert best.ratio == pytest.approx(1.5)
    assert best.no_difference_to == ()
    assert "real" in best.text


def test_the_best_of_overlapping_intervals_is_no_better() -> None:
    best = best_of_all([cell("lxml", "thread", 100), cell("lxml", "process", 101)], "parse")
    assert best is not None
    assert not best.is_real
    assert best.no_difference_to == ("lxml in 2 threads",)
    assert "no difference" in best.text


def test_nothing_is_best_where_nothing_was_measured() -> None:
    assert best_of_all([cell("lxml", "thread", None)], "parse") is None
    assert judge([cell("lxml", "thread", None)], QUIET)["text"] == "Nothing was measured."


def test_each_parser_is_compared_with_itself_in_line() -> None:
    slower = best_place([cell("lexbor", "inline", 100), cell("lexbor", "thread", 80)])
    assert slower is not None
    assert "fastest in line" in slower.text
    alike = best_place([cell("lexbor", "inline", 100), cell("lexbor", "thread", 101)])
    assert alike is not None
    assert "no difference" in alike.text
    assert best_place([cell("lexbor", "thread", 80)]) is None


def test_prediction_errors_have_no_sign() -> None:
    cells = [
        cell("lxml", "inline", 100, predicted_pages_per_s=110.0),
        cell("lxml", "thread", 100, predicted_pages_per_s=60.0),
        cell("lxml", "process", 100, predicted_pages_per_s=98.0),
        cell("bs4", "process", 100),
    ]
    error = prediction_error(cells)
    assert error is not None
    assert error.median == pytest.approx(0.1)
    assert error.worst == pytest.approx(0.4)
    assert error.worst_strategy == "lxml in 2 threads (parse)"
    assert error.strategies == 3
    assert prediction_error(cells[3:]) is None


def test_two_benchmarks_differ_only_where_intervals_do_not_overlap() -> None:
    before = [cell("lxml", "inline", 100), cell("lxml", "thread", 100), cell("bs4", "inline", None, status="failed: x")]
    after = [cell("lxml", "inline", 101), cell("lxml", "thread", 80), cell("bs4", "inline", 5)]
    changes = compare(before, after).changes
    assert [change.text for change in changes] == [NO_DIFFERENCE, "×1.25 slower", "A: failed: x"]
    assert [change.is_real for change in changes] == [False, True, False]
    assert changes[1].ratio == pytest.approx(0.8)
    assert changes[2].ratio is None


def test_strategies_of_one_benchmark_only_are_told() -> None:
    found = compare([cell("lxml", "inline", 1)], [cell("bs4", "inline", 1)])
    assert found.changes == ()
    assert found.only_before == (("parse", "lxml", "inline", 2),)
    assert found.only_after == (("parse", "bs4", "inline", 2),)


def test_environments_that_differ_are_told_but_for_the_load() -> None:
    found = compare([], [], environments=({"Python": "3.11", "Load at start": "1"}, {"Python": "3.12", "lxml": "6"}))
    assert found.warnings == ("Python: 3.11 in A, 3.12 in B", "lxml: not told in A, 6 in B")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        "{}",
        '{"cells": 3, "environment": {}}',
        '{"cells": [{"mode": "parse"}], "environment": {}}',
    ],
)
def test_a_file_of_something_else_is_refused(text: str, tmp_path: Any) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="not a file of scraper bench"):
        read_cells(str(path))
