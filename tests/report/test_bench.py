"""A benchmark as a page and in a terminal: whole, safe, and honest about what was not measured."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from scraper.bench import Cell, compare
from scraper.report import MeasuringDisplay, print_bench, print_changes, render_bench
from scraper.report.charts import Curve, Frame, curves
from scraper.report.scales import fine_log_ticks

from .bench_result import bench_result, measured
from .test_pages import HOSTILE, Document


def printed(found: dict[str, Any]) -> str:
    stream = io.StringIO()
    print_bench(Console(file=stream, width=120), found)
    return stream.getvalue()


UNSUPPORTED = Cell(mode="crawl", parser="bs4", executor="interpreter", workers=2, status="unsupported: no such Python")


@pytest.mark.parametrize(
    "found",
    [
        bench_result(),
        bench_result(is_noisy=True),
        bench_result(is_predicted=False),
        bench_result(measured("parse")),
        bench_result([*measured("crawl"), UNSUPPORTED]),
        bench_result([UNSUPPORTED]),
        bench_result([measured("crawl")[0]]),
        bench_result(
            [
                Cell(
                    mode="parse",
                    parser="lxml",
                    executor="thread",
                    workers=1,
                    pages_per_s=5.0,
                    status="ok",
                    loop_lag_p50_ms=0,
                    loop_lag_p99_ms=0,
                    loop_lag_max_ms=0,
                    cpu_s_per_page=0,
                    rss_mb=1,
                )
            ]
        ),
    ],
    ids=["whole", "noisy", "no prediction", "parse only", "one unsupported", "nothing", "one cell", "one round"],
)
def test_every_benchmark_makes_a_page_and_a_table(found: dict[str, Any]) -> None:
    found = json.loads(json.dumps(found))  # as it comes from a file
    html = render_bench(found, command="scraper bench")
    document = Document(html)
    ids = document.values("id")
    assert len(ids) == len(set(ids))
    for name in ("script", "link", "img", "iframe", "a", "use"):
        assert document.tags[name] == 0
    assert "NaN" not in html
    assert "nan" not in document.values("x") + document.values("cx")
    assert printed(found)


def test_the_page_shows_every_number_its_interval_and_its_prediction() -> None:
    document = Document(render_bench(bench_result()))
    for text in ("2,264", "2,190 to 2,300", "2,123", "×1.38", "9.7 ms", "0.54 ms", "158 MB", "CPython 3.11.7"):
        assert text in document.text
    for heading in ("Pages a second", "With more workers", "Event loop lag", "CPU time a page", "Memory"):
        assert document.text.count(heading) >= 2  # once for each mode
    assert document.text.count("On a machine with more cores") == 2


def test_the_page_says_where_there_is_no_difference() -> None:
    text = Document(render_bench(bench_result())).text
    assert "no difference to lxml in 2 threads can be told from chance" in text


def test_noise_is_on_the_page_and_in_the_terminal() -> None:
    found = bench_result(is_noisy=True)
    assert "Other programs kept 0.33 of 2 CPUs busy" in Document(render_bench(found)).text
    assert "Other programs kept 0.33 of 2 CPUs busy" in printed(found)


def test_a_strategy_without_numbers_is_shown_with_its_status() -> None:
    found = bench_result([*measured("crawl"), UNSUPPORTED])
    assert "unsupported: no such Python" in Document(render_bench(found)).text
    assert "unsupported: no such Python" in printed(found)


def test_names_of_strangers_do_no_harm() -> None:
    cells = [Cell(mode="crawl", parser=HOSTILE, executor=HOSTILE, workers=2, status=HOSTILE)]
    found = bench_result(cells, title=HOSTILE)
    html = render_bench(found, command=HOSTILE)
    document = Document(html)
    assert document.tags["script"] == document.tags["img"] == 0
    assert "\x1b" not in html + printed(found)


def test_an_interval_that_is_very_long_stays_on_the_chart() -> None:
    cells = measured("crawl")
    wide = Cell(**{**{name: getattr(cells[0], name) for name in Cell.__slots__}, "low": 0.001, "high": 9e9})
    document = Document(render_bench(bench_result([wide, *cells[1:]])))
    for name in ("x1", "x2", "cx"):
        assert all(0 <= float(value.rstrip("%")) <= 100 for value in document.values(name) if value.endswith("%"))


def test_two_benchmarks_side_by_side() -> None:
    before, after = measured("crawl")[:3], measured("crawl")[1:]
    stream = io.StringIO()
    found = compare(before, after, environments=({"Python": "3.11"}, {"Python": "3.12"}))
    print_changes(Console(file=stream, width=120), found.to_dict(), names=("a.json", "b.json"))
    text = stream.getvalue()
    for part in ("A: a.json", "no difference", "Only in A: lxml, in line", "Only in B: html.parser", "3.11 in A"):
        assert part in text
    assert "0 of 2 strategies differ" in text


def test_progress_is_a_line_now_and_then_where_nothing_can_be_redrawn() -> None:
    stream = io.StringIO()
    with MeasuringDisplay(Console(file=stream, width=120)) as display:
        display.say("This takes a while.")
        for done in range(50):
            display.update("round 1", done, 50)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "This takes a while."
    assert len(lines) <= 3


@pytest.mark.parametrize(
    ("axis", "ticks"),
    [((80.0, 900.0), [100, 200, 500]), ((0.7, 4.0), [1, 2]), ((9.0, 1e7), [10.0**power for power in range(1, 8)])],
)
def test_a_logarithmic_axis_has_round_numbers_and_not_too_many(axis: tuple[float, float], ticks: list[float]) -> None:
    assert fine_log_ticks(axis) == ticks


def test_a_curve_of_one_place_is_drawn_as_a_stroke() -> None:
    drawn = curves(Frame("a", "b", "c"), [Curve("in line", "inline", [(1.0, 5.0)])], [1.0, 2.0], str).text
    assert drawn.count("<path") == 1
    assert "in line" not in drawn  # names stand in the legend, and with the marks


def test_a_curve_has_its_band_and_its_marks() -> None:
    marks = [(2.0, 9.0, (8.0, 99.0)), (1.0, 5.0, None)]
    curve = Curve("threads", "thread", [(1.0, 5.0), (2.0, 9.0)], [(4.0, 6.0), (7.0, 11.0)], marks)
    drawn = curves(Frame("a", "b", "c"), [curve], [1.0, 2.0], str).text
    assert drawn.count("area thread") == 1
    assert drawn.count("<circle") == 2
    assert "threads, 2: 9.0" in drawn
