"""Scales, figures and charts: what is drawn is what was measured."""

import re
from math import nan

import pytest

from scraper.report import figures
from scraper.report.charts import Bar, Frame, Line, Part, Range, bars, lines, ranges, whole
from scraper.report.clean import one_line
from scraper.report.markup import Html, join, tag
from scraper.report.scales import log_axis, log_share, log_ticks, settled, thinned, ticks, time_ticks

FRAME = Frame("f", "Title", "Description")


@pytest.mark.parametrize(
    ("highest", "expected"),
    [
        (1, [0, 0.5, 1]),
        (60, [0, 20, 40, 60]),
        (61, [0, 25, 50, 75]),
        (0.004, [0, 0.002, 0.004]),
        (1_234, [0, 500, 1_000, 1_500]),
    ],
)
def test_ticks_are_round_and_reach_the_highest(highest: float, expected: list[float]) -> None:
    assert ticks(highest, 3) == pytest.approx(expected)


@pytest.mark.parametrize("highest", [0.0, -1.0, nan])
def test_an_axis_without_values_still_is_one(highest: float) -> None:
    assert ticks(highest, 3) == [0.0, 1.0]


@pytest.mark.parametrize(
    ("longest_s", "expected"),
    [(0.9, [0, 0.5]), (12, [0, 5, 10]), (100, [0, 30, 60, 90]), (7_000, [0, 1_800, 3_600, 5_400]), (36_000, 4)],
)
def test_times_have_the_steps_of_a_clock(longest_s: float, expected: list[float] | int) -> None:
    found = time_ticks(longest_s, 4)
    assert found == expected if isinstance(expected, list) else len(found) == expected


def test_a_logarithmic_axis_has_equal_steps_for_equal_ratios() -> None:
    axis = log_axis(0.3, 900)
    assert log_ticks(axis) == pytest.approx([0.1, 1, 10, 100])
    steps = [log_share(10 * value, axis) - log_share(value, axis) for value in (0.1, 1, 10)]
    assert steps == pytest.approx([steps[0]] * 3)
    assert log_share(0, axis) == 0
    assert 0 < log_share(900, axis) <= 1


def test_thinning_keeps_the_worst_where_the_worst_counts() -> None:
    points = [(float(at), 1000.0 if at == 4_321 else 1.0) for at in range(10_000)]
    thin = thinned(points, 100, max)
    assert len(thin) == 100
    assert max(y for _, y in thin) == 1000.0
    assert thin[-1][0] == 9_999.0
    assert thinned(points[:50], 100, max) == points[:50]


def test_a_moment_right_after_another_makes_no_peak() -> None:
    """Two pages in the two milliseconds before a crawl's end are no thousand pages a second."""
    rates = [(1.0, 50.0), (2.0, 60.0), (3.0, 58.0), (3.002, 1_000.0)]
    assert settled(rates)[:2] == rates[:2]
    ((end_s, rate),) = settled(rates)[2:]
    assert end_s == 3.002
    assert rate == pytest.approx((58 + 2) / 1.002)


def test_an_even_course_stays_as_it_is() -> None:
    rates = [(0.0, 0.0), (1.0, 50.0), (2.1, 60.0), (2.9, 58.0)]
    assert settled(rates) == rates
    assert settled([]) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (12_345.6, "12,346"), (350.4, "350"), (58.34, "58.3"), (4.712, "4.71"), (0.35, "0.35"), (52.0, "52"),
     (0.0123, "0.012"), (-3.5, "-3.5"), (nan, "–"), (None, "–"), (100.0, "100")],
)  # fmt: skip
def test_numbers_have_three_digits_or_fewer(value: float | None, text: str) -> None:
    assert figures.short(value) == text


def test_figures_have_units() -> None:
    assert figures.milliseconds(4.2) == "4.2 ms"
    assert figures.milliseconds(1_300) == "1.3 s"
    assert [figures.seconds(value) for value in (0, 0.85, 12.4, 200, 7_500)] == [
        "0 s",
        "850 ms",
        "12.4 s",
        "3 min 20 s",
        "2 h 5 min",
    ]
    assert [figures.size(value) for value in (12, 62_400_000, 3.1e12)] == ["12 bytes", "62.4 MB", "3.1 TB"]
    assert (figures.ratio(1.584), figures.ratio(39.2)) == ("×1.58", "×39")
    assert (figures.share(1, 3), figures.share(1, 1_000), figures.share(0, 5)) == ("33%", "<1%", "0%")
    assert (figures.plural(1, "page"), figures.plural(2_000, "page")) == ("1 page", "2,000 pages")


def bar_widths(drawing: Html) -> list[float]:
    return [float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)%"', drawing.text)]


def test_bars_are_as_long_as_their_values() -> None:
    drawing = bars(
        FRAME, [("a", [Bar("x", 100, "100", "t"), Bar("y", 50, "50", "t")]), ("b", [Bar("z", 25, "25", "t")])]
    )
    longest, half, quarter = bar_widths(drawing)
    assert half == pytest.approx(longest / 2, abs=0.02)
    assert quarter == pytest.approx(longest / 4, abs=0.02)


def test_a_value_that_is_not_known_has_no_bar_but_its_text() -> None:
    drawing = bars(FRAME, [("a", [Bar("x", None, "unsupported", "t"), Bar("y", nan, "–", "t"), Bar("z", 1, "1", "t")])])
    assert len(bar_widths(drawing)) == 1
    assert "unsupported" in drawing.text


def test_a_range_marks_its_middle_between_its_ends() -> None:
    drawing = ranges(FRAME, [("a", [Range("x", (1, 10, 100), "10", "t")])], figures.milliseconds, lowest=0.1)
    (middle,) = (float(x) for x in re.findall(r'<circle cx="([\d.]+)%"', drawing.text))
    low, high = map(float, re.findall(r'<line x1="([\d.]+)%" x2="([\d.]+)%"[^>]*class="span"', drawing.text)[0])
    assert middle == pytest.approx((low + high) / 2, abs=0.02)


def test_a_line_goes_through_its_points() -> None:
    drawing = lines(FRAME, [Line("x", [(0, 0), (5, 50), (10, 100)], "t")], figures.short, plot_height=200)
    assert 'd="M0.0 200.0L500.0 100.0L1000.0 0.0"' in drawing.text
    assert "5 s: x 50" in drawing.text


def test_lines_with_moments_of_their_own_have_no_tooltips_in_common() -> None:
    drawing = lines(FRAME, [Line("x", [(0, 1), (5, 2)], "t"), Line("y", [(0, 1), (4, 2)], "t")], figures.short)
    assert "hover" not in drawing.text


def test_points_that_are_not_finite_are_left_out() -> None:
    drawing = lines(FRAME, [Line("x", [(0, 1), (1, nan), (2, 1)], "t")], figures.short)
    assert "nan" not in drawing.text


def test_the_parts_of_a_whole_fill_it() -> None:
    drawing = whole(FRAME, [Part("a", 75, "t"), Part("b", 25, "t"), Part("none", 0, "t")])
    assert bar_widths(drawing) == [75.0, 25.0]
    assert "a: 75 (75%)" in drawing.text


def test_a_part_too_small_to_see_is_seen() -> None:
    assert bar_widths(whole(FRAME, [Part("a", 1_000_000, "t"), Part("b", 1, "t")]))[1] == 0.5


def test_only_markup_is_markup() -> None:
    made = tag("p", "<b>", tag("i", 5), None, ["&", Html("<hr>")], class_='"quoted"', aria_label=None)
    assert made.text == '<p class="&quot;quoted&quot;">&lt;b&gt;<i>5</i>&amp;<hr></p>'
    assert join([tag("meta", charset="utf-8")]).text == '<meta charset="utf-8">'


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("a\x1b[2J\x07b", "a[2Jb"),
        ("a\r\n\tb\u2028c", "a b c"),
        ("\x9b31mred", "31mred"),
        ("\u202egpj.exe\u2066", "gpj.exe"),
        ("\ud800", "\ufffd"),
        ("日本 🕷️ עברית", "日本 🕷️ עברית"),
    ],
)
def test_control_characters_of_strangers_are_taken_out(text: str, clean: str) -> None:
    assert one_line(text) == clean


def test_long_text_is_cut() -> None:
    assert one_line("x" * 10_000, at_most=10) == "x" * 9 + "…"
