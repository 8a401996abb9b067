"""Numbers in plain words. A sentence is written only where the numbers say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from scraper.report import figures
from scraper.report.clean import one_line
from scraper.report.values import OK, ComparisonRow

# Two runs on one machine differ by so much without a cause: less is "about as fast".
_NOTABLE = 0.10
# Below this nobody would notice: half a frame of a 60 Hz screen.
_LAG_NOTABLE_MS = 8.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the numbers say."""

    head: str
    text: str


def executor_phrase(executor: str, workers: int = 0) -> str:
    """Where a parser ran: in line, in 2 threads, in 2 processes."""
    many = {"thread": "threads", "process": "processes", "interpreter": "interpreters"}.get(executor)
    if many is None:
        return "in line" if executor == "inline" else one_line(executor)
    if workers:
        return f"in {figures.plural(workers, executor, many)}"
    return f"in {many}"


def reason_phrase(reason: str) -> str:
    """What a reason's short word means."""
    if reason.startswith("http_") and reason[5:].isdecimal():
        try:
            return f"the server answered {reason[5:]} {HTTPStatus(int(reason[5:])).phrase}"
        except ValueError:
            return f"the server answered {one_line(reason[5:])}"
    known = {
        "timeout": "no complete answer within the time limit",
        "handler_raised": "the handler raised an exception",
        "worker_crashed": "the worker died on this page",
        "content_type": "neither HTML nor XML, and not asked for",
        "duplicate_redirect": "redirected to a page that was already crawled",
        "out_of_scope": "outside of the crawl's scope",
        "duplicate": "already known",
    }
    return known.get(reason, one_line(reason).replace("_", " "))


def bottleneck_phrase(bottleneck: str) -> str:
    """What limits a crawl, as a headline."""
    known = {
        "latency": "The sites' response time",
        "politeness": "The pace that the sites are crawled at",
        "fetch_cpu": "The event loop: fetching and bookkeeping",
        "gil": "Python code that holds the GIL while parsing",
        "parse_cpu": "Computing time for parsing",
        "commit": "Committing results",
        "sink": "Writing the output",
        "cores": "The number of cores",
    }
    return known.get(bottleneck, one_line(bottleneck).replace("_", " "))


def verdict_sentences(verdict: Mapping[str, Any]) -> tuple[str, str, str]:
    """Headline, evidence and advice of a crawl's verdict; what is missing is empty."""
    head = bottleneck_phrase(str(verdict.get("bottleneck", "")))
    evidence = _sentence(str(verdict.get("evidence") or ""))
    advice = one_line(verdict.get("advice") or "").rstrip(".")
    gain = verdict.get("predicted_gain")
    if advice and isinstance(gain, (int, float)) and gain > 1 + _NOTABLE:
        advice = f"{advice} (predicted: up to {figures.ratio(gain)} pages a second)"
    return head, evidence, advice


def _sentence(text: str) -> str:
    line = one_line(text).strip().rstrip(".")
    return f"{line[0].upper()}{line[1:]}." if line else ""


def comparison_findings(rows: Sequence[ComparisonRow]) -> list[Finding]:
    """What a comparison shows, parser by parser."""
    measured = [row for row in rows if row.status == OK and row.pages_per_s > 0]
    findings = [*_overall(measured)]
    for parser in dict.fromkeys(row.parser for row in measured):
        finding = _of_parser(parser, {row.executor: row for row in measured if row.parser == parser})
        if finding is not None:
            findings.append(finding)
    findings += [
        Finding(f"{row.parser} {executor_phrase(row.executor)}", f"has no numbers: {one_line(row.status)}.")
        for row in rows
        if row.status != OK
    ]
    return findings


def _overall(measured: Sequence[ComparisonRow]) -> list[Finding]:
    if len(measured) < 2:
        return []
    fastest = max(measured, key=lambda row: row.pages_per_s)
    slowest = min(measured, key=lambda row: row.pages_per_s)
    times = fastest.pages_per_s / slowest.pages_per_s
    if times < 1 + _NOTABLE:
        return [Finding("All about as fast", f"Every strategy crawled about {figures.rate(fastest.pages_per_s)}.")]
    text = (
        f"{_named(fastest)} crawled {figures.rate(fastest.pages_per_s)}, "
        f"{_named(slowest)} {figures.short(slowest.pages_per_s)}, on the same pages."
    )
    return [Finding(f"{figures.ratio(times)} between the fastest and the slowest", text)]


def _named(row: ComparisonRow) -> str:
    return f"{row.parser} {executor_phrase(row.executor, row.workers)}"


def _of_parser(parser: str, by_executor: Mapping[str, ComparisonRow]) -> Finding | None:
    inline = by_executor.get("inline")
    others = [row for executor, row in by_executor.items() if executor != "inline"]
    if inline is None or not others:
        return None
    said = [_against(parser, row, inline) for row in others]
    lag = _lag(inline, others)
    best = max(by_executor.values(), key=lambda row: row.pages_per_s)
    gain = best.pages_per_s / inline.pages_per_s
    head = (
        f"{parser}: {figures.ratio(gain)} {executor_phrase(best.executor)}"
        if gain > 1 + _NOTABLE
        else f"{parser}: no faster beside the event loop"
    )
    return Finding(head, " ".join([*said, *([lag] if lag else [])]))


def _against(parser: str, row: ComparisonRow, inline: ComparisonRow) -> str:
    """One executor beside in line; the cause is named where it is known and the effect was measured."""
    times = row.pages_per_s / inline.pages_per_s
    where = executor_phrase(row.executor, row.workers)
    numbers = f"{figures.short(row.pages_per_s)} against {figures.short(inline.pages_per_s)} pages/s"
    is_python = parser in {"html.parser", "bs4"}
    if times > 1 + _NOTABLE:
        cause = {
            ("thread", False): ": its parsing releases the GIL, so that pages are parsed at the same time",
            ("process", True): ": it is pure Python and holds the GIL, and every process has one of its own",
            ("interpreter", True): ": it is pure Python and holds the GIL, and every interpreter has one of its own",
        }.get((row.executor, is_python), "")
        return f"{_capital(where)} it is {figures.ratio(times)} as fast ({numbers}){cause}."
    cause = " It is pure Python and holds the GIL: threads take turns." if row.executor == "thread" and is_python else ""
    compared = "about as fast as in line" if times > 1 - _NOTABLE else "slower than in line"
    return f"{_capital(where)} it is {compared} ({numbers}).{cause}"


def _lag(inline: ComparisonRow, others: Sequence[ComparisonRow]) -> str:
    rows = [inline, *others]
    worst = max(row.loop_lag_p99_ms for row in rows)
    best = min(row.loop_lag_p99_ms for row in rows)
    if worst < _LAG_NOTABLE_MS or worst < 2 * best:
        return ""
    told = ", ".join(
        f"{figures.milliseconds(row.loop_lag_p99_ms)} {executor_phrase(row.executor, row.workers)}" for row in rows
    )
    return f"The event loop was late by (p99) {told}."


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
