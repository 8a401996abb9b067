"""The sentences follow the numbers, whatever is known about a parser."""

from math import nan

import pytest

from scraper.report import ComparisonReport, ComparisonRow
from scraper.report.words import (
    comparison_findings,
    contrast,
    executor_phrase,
    reason_phrase,
    verdict_sentences,
)


def row(parser: str, executor: str, pages_per_s: float, lag_ms: float = 1.0, status: str = "ok") -> ComparisonRow:
    workers = 0 if executor == "inline" else 2
    return ComparisonRow(parser, executor, workers, 100, pages_per_s, lag_ms, lag_ms, lag_ms, 0.01, 50, status)


def said(*rows: ComparisonRow) -> str:
    return " ".join(f"{finding.head}. {finding.text}" for finding in comparison_findings(rows))


def test_threads_that_do_not_help_pure_python_are_explained_by_the_gil() -> None:
    text = said(row("html.parser", "inline", 60), row("html.parser", "thread", 58))
    assert "no faster (58 against 60 pages/s): it is pure Python and holds the GIL" in text
    assert "html.parser: no faster elsewhere" in text


def test_threads_that_do_help_are_not_said_to_be_held_by_the_gil() -> None:
    """On a build without the GIL html.parser is faster in threads, and the words must not deny it."""
    text = said(row("html.parser", "inline", 60), row("html.parser", "thread", 110))
    assert "×1.83 as fast" in text
    assert "GIL" not in text


def test_a_parser_in_c_that_gains_nothing_in_threads_is_not_said_to_release_the_gil() -> None:
    text = said(row("lxml", "inline", 350), row("lxml", "thread", 340))
    assert "no faster (340 against 350 pages/s)." in text
    assert "GIL" not in text


def test_a_parser_in_c_that_gains_in_threads_releases_the_gil() -> None:
    text = said(row("lxml", "inline", 350), row("lxml", "thread", 520))
    assert "lxml: ×1.49 in threads" in text
    assert "it releases the GIL while it parses" in text


def test_processes_that_gain_are_explained_by_their_own_gil() -> None:
    text = said(row("bs4", "inline", 20), row("bs4", "process", 33))
    assert "every process has a GIL of its own" in text


def test_processes_that_lose_are_said_to_be_slower() -> None:
    text = said(row("bs4", "inline", 20), row("bs4", "process", 15))
    assert "slower (15 against 20 pages/s)." in text
    assert "GIL" not in text


def test_a_difference_within_the_noise_is_none() -> None:
    assert "no faster (63 against 60 pages/s)" in said(row("lxml", "inline", 60), row("lxml", "process", 63))


def test_lag_is_told_where_it_differs() -> None:
    text = said(row("lxml", "inline", 350, lag_ms=85), row("lxml", "process", 350, lag_ms=5))
    assert "85 ms in line, 5 ms in 2 processes" in text


@pytest.mark.parametrize(("inline_ms", "process_ms"), [(3.0, 0.5), (90.0, 80.0)])
def test_lag_is_not_told_where_nobody_would_notice_or_nothing_differs(inline_ms: float, process_ms: float) -> None:
    assert "lag" not in said(row("lxml", "inline", 350, inline_ms), row("lxml", "process", 350, process_ms))


def test_without_an_inline_row_nothing_is_compared() -> None:
    assert said(row("lxml", "thread", 350), row("lxml", "process", 500)) == ""


def test_a_row_without_numbers_is_said_to_have_none() -> None:
    assert "bs4 in 2 threads. No numbers: unsupported." in said(row("bs4", "thread", nan, status="unsupported"))


def test_the_contrast_names_both_ends(comparison: ComparisonReport) -> None:
    assert contrast(comparison.rows) == "lexbor in 2 threads crawled 745 pages/s, bs4 in 2 threads 19.1: ×39."


def test_there_is_no_contrast_where_all_are_alike_or_alone() -> None:
    assert contrast([row("lxml", "inline", 100), row("lxml", "thread", 103)]).startswith("All strategies were about")
    assert contrast([row("lxml", "inline", 100)]) == ""
    assert contrast([]) == ""


@pytest.mark.parametrize(
    ("executor", "workers", "phrase"),
    [
        ("inline", 0, "in line"),
        ("thread", 1, "in 1 thread"),
        ("process", 2, "in 2 processes"),
        ("process", 0, "in processes"),
        ("auto", 2, "with auto"),
    ],
)
def test_an_executor_is_named_as_in_a_sentence(executor: str, workers: int, phrase: str) -> None:
    assert executor_phrase(executor, workers) == phrase


@pytest.mark.parametrize(
    ("reason", "phrase"),
    [
        ("http_404", "the server answered 404 Not Found"),
        ("http_799", "the server answered 799"),
        ("crashes", "the crawler died with this page again and again"),
        ("parse_timeout", "took too long to parse"),
        ("trap_calendar", "a trap: dates without end"),
        ("some_new_reason", "some new reason"),
        ("bad\x1b[31m", "bad[31m"),
    ],
)
def test_a_reason_has_words(reason: str, phrase: str) -> None:
    assert reason_phrase(reason) == phrase


def test_a_gain_too_small_to_measure_is_not_promised() -> None:
    verdict = {"bottleneck": "latency", "evidence": "e", "advice": "more", "predicted_gain": 1.05}
    assert verdict_sentences(verdict) == ("The sites' response time", "E.", "more")


def test_a_verdict_may_lack_anything() -> None:
    assert verdict_sentences({}) == ("", "", "")


def test_a_verdict_without_enough_to_judge_by_names_no_cause() -> None:
    verdict = {"bottleneck": "gil", "evidence": "too short to tell", "advice": "crawl for longer", "is_certain": False}
    assert verdict_sentences(verdict)[0] == "Too little was crawled to tell"
