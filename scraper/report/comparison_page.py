"""Strategies side by side as an HTML file."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from scraper.report import figures
from scraper.report.charts import Bar, Frame, Line, Range, bars, lines, ranges
from scraper.report.markup import Child, Html, tag
from scraper.report.page import card, document, facts, legend, table, tiles
from scraper.report.values import OK, ComparisonReport, ComparisonRow
from scraper.report.words import comparison_findings, executor_phrase

_PLACES = {"inline": "in line", "thread": "threads", "process": "processes", "interpreter": "interpreters", "auto": "auto"}


def render_comparison(report: ComparisonReport) -> str:
    """One self-contained HTML file: it opens without a network, in light and dark, and prints.

    Its sentences are made from the numbers; a row that has none is shown with its status.
    """
    rows = report.rows
    measured = [row for row in rows if row.status == OK]
    return document(
        kind="Parser comparison",
        title=report.title,
        command=report.command,
        sections=[
            tag("p", report.site, class_="lead") if report.site else None,
            _headline(measured),
            _findings(rows),
            _legend(rows),
            _throughput(rows),
            _lag(rows),
            _cpu(rows),
            _memory(rows),
            *_over_time(measured),
            _table(rows),
            card("Where it ran", facts(report.environment)) if report.environment else None,
        ],
    )


def _headline(measured: Sequence[ComparisonRow]) -> Html | None:
    if not measured:
        return None
    fastest = max(measured, key=lambda row: row.pages_per_s)
    slowest = min(measured, key=lambda row: row.pages_per_s)
    calmest = min(measured, key=lambda row: row.loop_lag_p99_ms)
    thriftiest = min(measured, key=lambda row: row.cpu_s_per_page)
    between = fastest.pages_per_s / slowest.pages_per_s if slowest.pages_per_s else None
    return tiles(
        [
            ("Fastest", figures.rate(fastest.pages_per_s), _named(fastest)),
            ("Slowest", figures.rate(slowest.pages_per_s), _named(slowest)),
            ("Between them", figures.ratio(between), "on the same pages"),
            ("Calmest event loop", f"p99 {figures.milliseconds(calmest.loop_lag_p99_ms)}", _named(calmest)),
            ("Least CPU a page", figures.milliseconds(1000 * thriftiest.cpu_s_per_page), _named(thriftiest)),
        ]
    )


def _named(row: ComparisonRow) -> str:
    return f"{row.parser} {executor_phrase(row.executor, row.workers)}"


def _findings(rows: Sequence[ComparisonRow]) -> Html | None:
    findings = comparison_findings(rows)
    if not findings:
        return None
    said = [tag("div", tag("dt", finding.head), tag("dd", finding.text)) for finding in findings]
    return card("What is seen", tag("dl", said, class_="findings"))


def _legend(rows: Sequence[ComparisonRow]) -> Html:
    executors = dict.fromkeys(row.executor for row in rows)
    return tag("div", legend([(_place(executor), _tone(executor)) for executor in executors]), class_="lead")


def _place(executor: str) -> str:
    return _PLACES.get(executor, executor)


def _tone(executor: str) -> str:
    return executor if executor in _PLACES else "auto"


def _groups[Drawn](
    rows: Sequence[ComparisonRow], draw: Callable[[ComparisonRow], Drawn]
) -> list[tuple[str, list[Drawn]]]:
    ...
