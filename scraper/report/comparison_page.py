"""Strategies side by side as an HTML file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from scraper.report import figures
from scraper.report.charts import Bar, Frame, Line, Range, bars, lines, ranges
from scraper.report.markup import Child, Html, tag
from scraper.report.page import card, document, facts, legend, table, tiles
from scraper.report.scales import settled
from scraper.report.values import OK, ComparisonReport, ComparisonRow
from scraper.report.words import comparison_findings, contrast, place, strategy

_EXECUTORS = ("inline", "thread", "process", "interpreter", "auto")

Drawn = TypeVar("Drawn")


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
            _throughput(rows),
            _lag(rows),
            _findings(rows),
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
            ("Fastest", figures.rate(fastest.pages_per_s), strategy(fastest)),
            ("Slowest", figures.rate(slowest.pages_per_s), strategy(slowest)),
            ("Between them", figures.ratio(between), "on the same site"),
            ("Calmest event loop", f"p99 {figures.milliseconds(calmest.loop_lag_p99_ms)}", strategy(calmest)),
            ("Least CPU a page", figures.milliseconds(1000 * thriftiest.cpu_s_per_page), strategy(thriftiest)),
        ]
    )


def _findings(rows: Sequence[ComparisonRow]) -> Html | None:
    findings = comparison_findings(rows)
    if not findings:
        return None
    said = [tag("div", tag("dt", finding.head), tag("dd", finding.text)) for finding in findings]
    return card("What the numbers show", tag("dl", said, class_="findings"), note=contrast(rows))


def _tone(executor: str) -> str:
    return executor if executor in _EXECUTORS else "auto"


def _by_parser(rows: Sequence[ComparisonRow], draw: Callable[[ComparisonRow], Drawn]) -> list[tuple[str, list[Drawn]]]:
    parsers = dict.fromkeys(row.parser for row in rows)
    return [(parser, [draw(row) for row in rows if row.parser == parser]) for parser in parsers]


def _bar(row: ComparisonRow, value: float, text: str, note: str = "") -> Bar:
    if row.status != OK:
        return Bar(place(row.executor, row.workers), None, row.status, _tone(row.executor))
    return Bar(place(row.executor, row.workers), value, text, _tone(row.executor), note)


def _throughput(rows: Sequence[ComparisonRow]) -> Html:
    inline = {row.parser: row.pages_per_s for row in rows if row.executor == "inline" and row.status == OK}

    def draw(row: ComparisonRow) -> Bar:
        beside = inline.get(row.parser)
        note = figures.ratio(row.pages_per_s / beside) if beside and row.executor != "inline" else ""
        return _bar(row, row.pages_per_s, figures.short(row.pages_per_s), note)

    frame = Frame("throughput", "Pages a second by parser and executor", "Longer is better.")
    return card(
        "Pages a second",
        bars(frame, _by_parser(rows, draw)),
        note="Longer is better. Behind each figure: compared with the same parser in line.",
        width="half",
    )


def _lag(rows: Sequence[ComparisonRow]) -> Html:
    def draw(row: ComparisonRow) -> Range:
        name, tone = place(row.executor, row.workers), _tone(row.executor)
        if row.status != OK:
            return Range(name, None, row.status, tone)
        values = (row.loop_lag_p50_ms, row.loop_lag_p99_ms, row.loop_lag_max_ms)
        return Range(name, values, figures.milliseconds(row.loop_lag_p99_ms), tone)

    frame = Frame("lag", "Lateness of the event loop by parser and executor", "Further to the left is better.")
    return card(
        "Event loop lag",
        ranges(frame, _by_parser(rows, draw), figures.milliseconds, lowest=0.1),
        note="Further left is better: median to worst, the dot and the figure are the 99th percentile. Logarithmic.",
        width="half",
    )


def _cpu(rows: Sequence[ComparisonRow]) -> Html:
    frame = Frame("cpu", "CPU time a page by parser and executor", "Shorter is better.")
    groups = _by_parser(
        rows, lambda row: _bar(row, row.cpu_s_per_page, figures.milliseconds(1000 * row.cpu_s_per_page))
    )
    return card("CPU time a page", bars(frame, groups), note="Shorter is better. All processes together.", width="half")


def _memory(rows: Sequence[ComparisonRow]) -> Html:
    frame = Frame("memory", "Peak memory by parser and executor", "Shorter is better.")
    groups = _by_parser(rows, lambda row: _bar(row, row.rss_mb, f"{figures.short(row.rss_mb)} MB"))
    return card("Peak memory", bars(frame, groups), note="Shorter is better. All processes together.", width="half")


def _over_time(measured: Sequence[ComparisonRow]) -> list[Html]:
    """A small chart for each parser, on scales of its own: on one scale the slowest would hide the fastest."""
    rows = [row for row in measured if len(row.series) > 1]
    if not rows:
        return []
    charts = []
    for at, (parser, drawn) in enumerate(_by_parser(rows, _line)):
        frame = Frame(f"course-{at}", f"{parser}: pages a second over time", "A line ends where its crawl ended.")
        charts.append(tag("div", tag("h3", parser), lines(frame, drawn, figures.rate, plot_height=120)))
    executors = dict.fromkeys(row.executor for row in rows)
    return [
        card(
            "Throughput over time",
            legend([(place(executor), _tone(executor)) for executor in executors]),
            tag("div", charts, class_="multiples"),
            note="A line ends where its crawl ended. Each parser has scales of its own.",
        )
    ]


def _line(row: ComparisonRow) -> Line:
    points = settled([(point.at_s, point.pages_per_s) for point in row.series])
    return Line(place(row.executor, row.workers), points, _tone(row.executor))


def _table(rows: Sequence[ComparisonRow]) -> Html:
    columns = [("Parser", "word"), ("Ran", "word"), ("Pages", "number"), ("Pages/s", "number")]
    columns += [("vs in line", "number"), ("Lag median", "number"), ("p99", "number"), ("max", "number")]
    columns += [("CPU a page", "number"), ("Memory", "number"), ("Status", "word")]
    inline = {row.parser: row.pages_per_s for row in rows if row.executor == "inline" and row.status == OK}
    shown: list[list[Child]] = []
    for row in rows:
        numbers = [figures.NOTHING] * 8
        if row.status == OK:
            beside = inline.get(row.parser)
            numbers = [
                figures.count(row.pages),
                figures.short(row.pages_per_s),
                figures.ratio(row.pages_per_s / beside if beside else None),
                figures.milliseconds(row.loop_lag_p50_ms),
                figures.milliseconds(row.loop_lag_p99_ms),
                figures.milliseconds(row.loop_lag_max_ms),
                figures.milliseconds(1000 * row.cpu_s_per_page),
                f"{figures.short(row.rss_mb)} MB",
            ]
        shown.append([row.parser, place(row.executor, row.workers), *numbers, row.status])
    return card("All numbers", table(columns, shown, caption="All numbers"))
