"""The HTML files: whole, self-contained, and safe whatever a page was called."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from math import inf, nan
from typing import Any

import pytest

from scraper.report import (
    ComparisonReport,
    ComparisonRow,
    CrawlReport,
    FailedPage,
    TimePoint,
    render_comparison,
    render_crawl,
)

HOSTILE = (
    "</title></style><script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;<!-- \x00\x1b[31m\u202e\ud800 --> ]]>"
)
VOID = {"meta"}


class Document(HTMLParser):
    """Collects a document, and fails where an end tag does not fit."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.titles: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def values(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


@pytest.fixture(params=["crawl", "comparison"])
def rendered(request: pytest.FixtureRequest, crawl: CrawlReport, comparison: ComparisonReport) -> str:
    return render_crawl(crawl) if request.param == "crawl" else render_comparison(comparison)


def test_every_element_is_closed_in_order(rendered: str) -> None:
    document = Document(rendered)
    assert document.tags["svg"] > 3
    assert rendered.startswith("<!doctype html>\n<html")


def test_nothing_is_loaded_from_anywhere(rendered: str) -> None:
    document = Document(rendered)
    for tag in ("script", "link", "img", "iframe", "object", "embed", "image", "use", "foreignobject", "a", "base"):
        assert document.tags[tag] == 0
    for name in ("href", "src", "srcset", "xlink:href", "style", "action", "background"):
        assert document.values(name) == []
    assert not [name for _, name, _ in document.attributes if name.startswith("on")]
    style = re.findall(r"<style>(.*?)</style>", rendered, re.DOTALL)[0]
    assert "url(" not in style
    assert "@import" not in style
    assert "//" not in style


def test_the_document_forbids_loading_by_itself(rendered: str) -> None:
    assert "default-src 'none'; style-src 'unsafe-inline'" in Document(rendered).values("content")


def test_names_within_the_document_are_unique_and_every_chart_has_its_words(rendered: str) -> None:
    document = Document(rendered)
    ids = document.values("id")
    assert len(ids) == len(set(ids))
    for labels in document.values("aria-labelledby"):
        assert set(labels.split()) <= set(ids)
    assert len(document.values("aria-labelledby")) == document.values("role").count("img")


def test_it_stays_small(rendered: str) -> None:
    assert len(rendered) < 200_000


def test_light_dark_and_paper_are_provided_for(rendered: str) -> None:
    assert "prefers-color-scheme: dark" in rendered
    assert "@media print" in rendered


def test_a_long_crawl_makes_no_longer_report(crawl: CrawlReport) -> None:
    series = tuple(TimePoint(at, 50.0 + at % 7, at, 32, 3.0, 0) for at in range(50_000))
    assert len(render_crawl(replace(crawl, series=series))) < 200_000


def hostile_crawl(crawl: CrawlReport) -> str:
    stats = dict(crawl.stats)
    stats |= {"failures": {HOSTILE: 1}, "skips": {HOSTILE: 2}, "dropped": {HOSTILE: 3}, "stopped": HOSTILE}
    stats["verdict"] = {"bottleneck": HOSTILE, "evidence": HOSTILE, "advice": HOSTILE, "predicted_gain": 2}
    stats["strategies"] = [{"handler": HOSTILE, "parser": HOSTILE, "executor": HOSTILE, "workers": 2, "why": HOSTILE}]
    failed = (FailedPage(HOSTILE, HOSTILE, HOSTILE, HOSTILE),)
    return render_crawl(
        CrawlReport(HOSTILE, HOSTILE, stats, crawl.series, {HOSTILE: HOSTILE}, failed, HOSTILE, (HOSTILE,))
    )


def hostile_comparison(comparison: ComparisonReport) -> str:
    rows = tuple(replace(row, parser=HOSTILE, executor=HOSTILE) for row in comparison.rows[:2])
    rows += (replace(rows[0], status=HOSTILE),)
    return render_comparison(ComparisonReport(HOSTILE, HOSTILE, HOSTILE, rows, {HOSTILE: HOSTILE}))


@pytest.mark.parametrize("kind", ["crawl", "comparison"])
def test_hostile_text_is_shown_and_not_obeyed(kind: str, crawl: CrawlReport, comparison: ComparisonReport) -> None:
    plain = Document(render_crawl(crawl) if kind == "crawl" else render_comparison(comparison))
    written = hostile_crawl(crawl) if kind == "crawl" else hostile_comparison(comparison)
    document = Document(written)
    assert set(document.tags) <= set(plain.tags) | {"strong"}
    assert not [name for _, name, _ in document.attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in document.text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", written)
    written.encode()


def test_the_numbers_of_a_crawl_are_there(crawl: CrawlReport) -> None:
    text = Document(render_crawl(crawl)).text
    for shown in ("1,480", "of 1,769 seen", "60.5", "24.7 s", "62.4 MB", "118 ms", "231 ms", "21.8 s", "88,412"):
        assert shown in text
    for said in ("http_404", "the server answered 404 Not Found", "no answer within 30 s", "pages.jsonl", "as asked"):
        assert said in text


def test_the_verdict_is_said_in_plain_words(crawl: CrawlReport) -> None:
    text = Document(render_crawl(crawl)).text
    assert "Python code that holds the GIL while parsing" in text
    assert "Threads were parsing 91% of the time" in text
    assert "the process executor: this handler's Python holds the GIL (predicted: up to ×1.58 as fast)" in text


def test_the_numbers_of_a_comparison_are_there(comparison: ComparisonReport) -> None:
    text = Document(render_comparison(comparison)).text
    for row in comparison.rows:
        assert row.parser in text
    for shown in ("350", "520", "×1.49", "×0.97", "×1.58", "400 ms", "1.3 s", "48.5 ms", "161 MB", "2 processes"):
        assert shown in text


def test_a_strategy_without_numbers_is_shown_with_its_status(comparison: ComparisonReport) -> None:
    rows = (*comparison.rows[:2], ComparisonRow("bs4", "thread", 2, 0, nan, nan, nan, nan, nan, nan, "unsupported"))
    text = Document(render_comparison(replace(comparison, rows=rows))).text
    assert text.count("unsupported") >= 4  # every chart, the words and the table
    assert "nan" not in text


@pytest.mark.parametrize("stats", [{}, {"seen": 0, "done": 0, "elapsed_s": 0.0, "pages_per_s": 0.0, "stages": {}}])
def test_a_crawl_of_nothing_has_a_report_too(stats: dict[str, Any]) -> None:
    Document(render_crawl(CrawlReport("t", "", stats)))


def test_a_comparison_of_nothing_has_a_report_too() -> None:
    Document(render_comparison(ComparisonReport("t", "", "", ())))


@pytest.mark.parametrize("value", [0.0, nan, inf, 1e-9, 1e12])
def test_numbers_without_measure_do_not_break_a_drawing(
    value: float, crawl: CrawlReport, comparison: ComparisonReport
) -> None:
    change: Callable[[TimePoint], TimePoint] = lambda point: replace(  # noqa: E731
        point, pages_per_s=value, loop_lag_ms=value
    )
    lag = {"p50": value, "p99": value, "max": value}
    stage = {"count": 1, "total_s": value, "cpu_s": value, "p50_ms": value, "p99_ms": value}
    stats = crawl.stats | {"loop_lag_ms": lag, "pages_per_s": value, "stages": {"parse": stage}}  # type: ignore[operator]
    one = replace(crawl, stats=stats, series=tuple(map(change, crawl.series)))
    row = ComparisonRow("lxml", "inline", 0, 1, value, value, value, value, value, value, "ok", one.series)
    for text in (
        render_crawl(one),
        render_comparison(replace(comparison, rows=(row, replace(row, executor="thread")))),
    ):
        document = Document(text)
        for name in ("x", "y", "width", "height", "d", "cx", "x1", "x2", "viewbox"):
            assert not [found for found in document.values(name) if "nan" in found or "inf" in found]
