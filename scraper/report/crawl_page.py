"""One crawl as an HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scraper.model import Stage
from scraper.report import figures
from scraper.report.charts import Bar, Frame, Line, Part, Range, bars, lines, ranges, whole
from scraper.report.markup import Child, Html, join, tag
from scraper.report.page import card, document, facts, legend, table, tiles
from scraper.report.scales import settled
from scraper.report.values import CrawlReport, FailedPage, TimePoint
from scraper.report.words import executor_phrase, reason_phrase, stop_phrase, verdict_sentences

_STAGES = {
    Stage.QUEUE: "waiting for a worker",
    Stage.FETCH: "getting the bytes",
    Stage.HANDOFF: "on the way to the worker",
    Stage.PARSE: "from bytes to a document",
    Stage.EXTRACT: "in the handler",
    Stage.RETURN: "on the way back",
    Stage.COMMIT: "frontier and outputs",
}
_ENDS = ("done", "failed", "skipped", "waiting")


def render_crawl(report: CrawlReport) -> str:
    """One self-contained HTML file: it opens without a network, in light and dark, and prints.

    What the statistics lack is left out. Everything that came from pages is escaped.
    """
    stats = report.stats
    return document(
        kind="Crawl report",
        title=report.title,
        command=report.command,
        sections=[
            _verdict(stats),
            _headline(report),
            *_over_time(report.series, stats),
            *_stages(stats),
            _ends(stats),
            _reasons(stats),
            _failed_pages(report.failed_pages),
            _strategies(stats),
            card("Where it ran", facts(report.environment)) if report.environment else None,
        ],
    )


def _verdict(stats: Mapping[str, Any]) -> Html | None:
    verdict = stats.get("verdict")
    if not verdict:
        return None
    head, evidence, advice = verdict_sentences(verdict)
    return tag(
        "section",
        tag("p", "What limits this crawl", class_="kicker"),
        tag("h2", head),
        tag("p", evidence) if evidence else None,
        tag("p", tag("strong", "What would help most: "), f"{advice}.") if advice else None,
        class_="card verdict",
    )


def _headline(report: CrawlReport) -> Html:
    stats = report.stats
    lag = stats.get("loop_lag_ms") or {}
    seen = stats.get("seen", 0)
    output = f"to {report.output}" if report.output else ""
    shown = [
        ("Pages done", figures.count(stats.get("done")), f"of {figures.count(seen)} seen"),
        ("Pages a second", figures.short(stats.get("pages_per_s")), ""),
        ("Time", figures.seconds(stats.get("elapsed_s")), stop_phrase(str(stats.get("stopped") or ""))),
        ("Failed", figures.count(stats.get("failed")), figures.share(stats.get("failed") or 0, seen)),
        ("Items", figures.count(stats.get("items")), output),
        ("Downloaded", figures.size(stats.get("bytes")), ""),
        ("Loop lag p99", figures.milliseconds(lag.get("p99")), f"at most {figures.milliseconds(lag.get('max'))}"),
    ]
    notes = [tag("p", warning, class_="lead") for warning in report.warnings]
    return join([tiles(shown), *notes])


def _over_time(series: Sequence[TimePoint], stats: Mapping[str, Any]) -> list[Html]:
    if len(series) < 2:
        return []
    rate = figures.short(stats.get("pages_per_s"))
    lag = stats.get("loop_lag_ms") or {}
    told = ", ".join(
        f"{name} {figures.milliseconds(lag[key])}"
        for key, name in (("p50", "median"), ("p99", "p99"), ("max", "at most"))
        if key in lag
    )
    throughput = lines(
        Frame("throughput", "Pages a second over time", f"{rate} pages a second on average."),
        [Line("", settled([(point.at_s, point.pages_per_s) for point in series]), "done", is_filled=True)],
        figures.rate,
        plot_height=190,
    )
    lateness = lines(
        Frame("lag", "Lateness of the event loop over time", f"In milliseconds: {told}."),
        [Line("", [(point.at_s, point.loop_lag_ms) for point in series], "skipped", is_filled=True, keep=max)],
        figures.milliseconds,
        plot_height=110,
    )
    waiting = lines(
        Frame("waiting", "Requests waiting over time", "Requests known and not yet ended."),
        [Line("", [(point.at_s, point.waiting) for point in series], "waiting", is_filled=True)],
        figures.count,
        plot_height=110,
    )
    in_flight = lines(
        Frame("in-flight", "Requests under way over time", "Requests being fetched, parsed or committed."),
        [Line("", [(point.at_s, point.in_flight) for point in series], "auto", is_filled=True)],
        figures.count,
        plot_height=110,
    )
    return [
        card("Throughput", throughput, note=f"Pages that came to an end, a second; {rate} on average."),
        card("Event loop lag", lateness, note=f"How late the loop was: {told}." if told else "", width="third"),
        card("Waiting", waiting, note="Requests known and not yet ended.", width="third"),
        card("Under way", in_flight, note="Being fetched, parsed or committed.", width="third"),
    ]


def _stages(stats: Mapping[str, Any]) -> list[Html]:
    found: Mapping[str, Mapping[str, float]] = stats.get("stages") or {}
    stages = [
        (stage.value, words, found[stage]) for stage, words in _STAGES.items() if found.get(stage, {}).get("count")
    ]
    if not stages:
        return []
    cpu_s = sum(stage.get("cpu_s", 0.0) for _, _, stage in stages)
    cpu = [
        Bar(
            name,
            stage.get("cpu_s", 0.0),
            figures.seconds(stage.get("cpu_s")),
            "cpu",
            figures.share(stage.get("cpu_s", 0.0), cpu_s),
        )
        for name, _, stage in stages
        if stage.get("cpu_s")
    ]
    spent = [
        Range(
            name,
            (stage["p50_ms"], stage["p50_ms"], max(stage["p99_ms"], stage["p50_ms"])),
            figures.milliseconds(stage["p50_ms"]),
            "wall",
        )
        for name, _, stage in stages
    ]
    rows: list[list[Child]] = [
        [
            name,
            tag("span", words, class_="quiet"),
            figures.count(stage["count"]),
            figures.seconds(stage["total_s"]),
            figures.seconds(stage["cpu_s"]),
            figures.milliseconds(1000 * stage["cpu_s"] / stage["count"]),
            figures.milliseconds(stage["p50_ms"]),
            figures.milliseconds(stage["p99_ms"]),
        ]
        for name, words, stage in stages
    ]
    columns = [("Stage", "word"), ("", "text"), ("Times", "number"), ("Wall", "number"), ("CPU", "number")]
    columns += [("CPU each", "number"), ("Median", "number"), ("p99", "number")]
    frame = Frame("cpu", "CPU time by stage", "Seconds of CPU in all processes, one bar a stage.")
    waits = Frame("stages", "Time a page spends in each stage", "From the median to the 99th percentile.")
    return [
        card(
            "Where the CPU time went",
            bars(frame, [("", cpu)]),
            note=f"{figures.seconds(cpu_s)} in these stages, all processes together.",
            width="half",
        ),
        card(
            "Where a page's time went",
            ranges(waits, [("", spent)], figures.milliseconds, lowest=0.01),
            note="Wall time in each stage: the dot is the median, the line ends at the 99th percentile. Logarithmic.",
            width="half",
        ),
        card("Stages in numbers", table(columns, rows, caption="Stages in numbers")),
    ]


def _ends(stats: Mapping[str, Any]) -> Html:
    parts = [Part(name, float(stats.get(name) or 0), name) for name in _ENDS]
    frame = Frame(
        "ends",
        "How the requests ended",
        ", ".join(f"{figures.count(part.value)} {part.name}" for part in parts),
    )
    entries = [(f"{figures.count(part.value)} {part.name}", part.tone) for part in parts]
    return card("How the requests ended", legend(entries), whole(frame, parts))


def _reasons(stats: Mapping[str, Any]) -> Html | None:
    rows: list[list[Child]] = []
    for end, key in (("failed", "failures"), ("skipped", "skips"), ("not taken up", "dropped")):
        counted: Mapping[str, int] = stats.get(key) or {}
        for reason, number in sorted(counted.items(), key=lambda pair: -pair[1]):
            rows.append([reason, tag("span", reason_phrase(reason), class_="quiet"), end, figures.count(number)])
    if not rows:
        return None
    columns = [("Reason", "word"), ("What it means", "text"), ("So it was", "word"), ("Number", "number")]
    return card("Failures and skips by reason", table(columns, rows, caption="Failures and skips by reason"))


def _failed_pages(pages: Sequence[FailedPage]) -> Html | None:
    if not pages:
        return None
    rows: list[list[Child]] = [[page.url, page.stage, page.reason, page.detail] for page in pages]
    columns = [("Page", "text"), ("Stage", "word"), ("Reason", "word"), ("Detail", "text")]
    return card("Pages that failed", table(columns, rows, caption="Pages that failed"), note="The first of them.")


def _strategies(stats: Mapping[str, Any]) -> Html | None:
    used: Sequence[Mapping[str, Any]] = stats.get("strategies") or ()
    if not used:
        return None
    rows: list[list[Child]] = [
        [
            str(each.get("handler", "")),
            str(each.get("parser", "")),
            executor_phrase(str(each.get("executor", "")), int(each.get("workers") or 0)),
            str(each.get("why", "")),
            figures.count(each.get("pages")),
        ]
        for each in used
    ]
    columns = [("Handler", "text"), ("Parser", "word"), ("Ran", "word"), ("Why there", "text"), ("Pages", "number")]
    return card("Where pages were parsed", table(columns, rows, caption="Strategies used"))
