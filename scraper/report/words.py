"""Numbers in plain words. A sentence is written only where the numbers say it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from scraper.report import figures
from scraper.report.clean import one_line
from scraper.report.values import OK, ComparisonRow

# Two runs on one machine differ by so much without a cause: less is "about as fast".
_NOTABLE = 0.15
# Below this nobody would notice: half a frame of a 60 Hz screen.
_LAG_NOTABLE_MS = 8.0
_PLURALS = MappingProxyType({"thread": "threads", "process": "processes", "interpreter": "interpreters"})
_PURE_PYTHON = frozenset({"html.parser", "bs4"})  # lxml and lexbor are C, and release the GIL while they parse
_REASONS = MappingProxyType(
    {
        "timeout": "no complete answer within the time limit",
        "connect_timeout": "no connection within the time limit",
        "bad_header": "a header that HTTP cannot carry",
        "bad_redirect": "redirected to no URL",
        "bad_url": "a URL that cannot be asked for",
        "closed": "the crawler was closed meanwhile",
        "connection_error": "trouble with the connection",
        "header_too_large": "more or larger header fields than are taken",
        "proxy": "the proxy did not connect",
        "too_many_redirects": "more redirects than are followed",
        "dns": "the host name has no address",
        "private_address": "not a public address",
        "denied_address": "on the deny list",
        "connection_refused": "nobody listens at that address",
        "connection_reset": "the connection was torn down",
        "unreachable": "no way to that address",
        "too_many_open_files": "this process may not open more connections",
        "disconnected": "the connection was closed before an answer",
        "tls": "no secure connection: certificate or protocol",
        "bad_framing": "the answer was no valid HTTP",
        "truncated_body": "the answer ended in its middle",
        "truncated_encoding": "the compressed answer ended in its middle",
        "bad_encoding": "the compressed answer was damaged",
        "unknown_encoding": "compressed in a way that was not asked for",
        "body_too_large": "larger than the limit",
        "not_cached": "not in the cache, and no site was to be asked",
        "redirect_scheme": "redirected out of http and https",
        "redirect_loop": "redirected in a circle",
        "raised": "the handler raised an exception",
        "handler_raised": "the handler raised an exception",
        "item_not_plain": "an item that is no plain data",
        "invalid_url": "the handler gave a request without a valid URL",
        "result_not_picklable": "what the handler gave cannot leave its process",
        "payload_not_picklable": "the page cannot be carried to a process",
        "worker_start_failed": "no worker came up",
        "nesting_too_deep": "nested too deeply to parse safely",
        "bad_yield": "the handler gave something that is no item and no request",
        "worker_crashed": "the worker died on this page",
        "crashes": "the crawler died with this page again and again",
        "parse_timeout": "took too long to parse",
        "out_of_memory": "took more memory than a worker may have",
        "workers_lost": "no worker was left that could parse it",
        "content_type": "neither HTML nor XML, and not asked for",
        "duplicate_redirect": "redirected to a page that another request has",
        "robots": "the site's robots.txt does not want it",
        "robots_unreachable": "robots.txt could not be had, and without it nothing may be fetched",
        "host_down": "the host was out of reach for too long",
        "out_of_scope": "outside of the crawl's scope",
        "too_deep": "deeper than the limit",
        "duplicate": "already known",
        "nofollow": "on a page that says nofollow",
        "trap_url_too_long": "a trap: a very long URL",
        "trap_path_too_long": "a trap: a very deep path",
        "trap_repeated_segments": "a trap: the same folders again and again",
        "trap_query_too_long": "a trap: a query of very many parameters",
        "trap_repeated_parameters": "a trap: the same parameter again and again",
        "trap_nested_encoding": "a trap: a URL encoded again and again",
        "trap_session_id": "the same page with another session id",
        "trap_calendar": "a trap: dates without end",
        "trap_combinations": "a trap: filters combined without end",
        "trap_pattern_budget": "more pages of one pattern than the limit",
        "host_budget": "more pages of one host than the limit",
    }
)
# (pure Python, executor, faster than in line): why.
_CAUSES = MappingProxyType(
    {
        (True, "thread", False): "it is pure Python and holds the GIL, so threads take turns",
        (True, "process", True): "every process has a GIL of its own",
        (True, "interpreter", True): "every interpreter has a GIL of its own",
        (False, "thread", True): "it releases the GIL while it parses, so threads work at the same time",
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the numbers say."""

    head: str
    text: str


def place(executor: str, workers: int = 0) -> str:
    """Where a parser ran, as a name: in line, threads, 2 processes."""
    if executor == "inline":
        return "in line"
    many = _PLURALS.get(executor)
    if many is None:
        return one_line(executor)
    return figures.plural(workers, executor, many) if workers else many


def executor_phrase(executor: str, workers: int = 0) -> str:
    """The same, in a sentence: in line, in threads, in 2 processes, with auto."""
    name = place(executor, workers)
    if executor == "inline":
        return name
    return f"in {name}" if executor in _PLURALS else f"with {name}"


def strategy(row: ComparisonRow) -> str:
    """A row's name: html.parser in 2 processes."""
    return f"{row.parser} {executor_phrase(row.executor, row.workers)}"


def reason_phrase(reason: str) -> str:
    """What a reason's short word means; a word that is not known is its own phrase."""
    if reason.startswith("http_") and reason[5:].isdecimal():
        try:
            return f"the server answered {reason[5:]} {HTTPStatus(int(reason[5:])).phrase}"
        except ValueError:
            return f"the server answered {one_line(reason[5:])}"
    return _REASONS.get(reason, one_line(reason).replace("_", " "))


def stop_phrase(stopped: str) -> str:
    """Why a crawl stopped before it ran out of pages."""
    known = {"max_pages": "the page limit was reached", "max_time": "the time limit was reached"}
    return known.get(stopped, one_line(stopped))


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
    if not verdict.get("is_certain", True):
        head = "Too little was crawled to tell"
    evidence = _sentence(str(verdict.get("evidence") or ""))
    advice = one_line(verdict.get("advice") or "").rstrip(".")
    gain = verdict.get("predicted_gain")
    if advice and isinstance(gain, (int, float)) and gain > 1 + _NOTABLE:
        advice = f"{advice} (predicted: up to {figures.ratio(gain)} as fast)"
    return head, evidence, advice


def _sentence(text: str) -> str:
    line = one_line(text).strip().rstrip(".")
    return f"{line[0].upper()}{line[1:]}." if line else ""


def contrast(rows: Sequence[ComparisonRow]) -> str:
    """The fastest beside the slowest strategy; empty where there is nothing to compare."""
    measured = _measured(rows)
    if len(measured) < 2:
        return ""
    fastest = max(measured, key=lambda row: row.pages_per_s)
    slowest = min(measured, key=lambda row: row.pages_per_s)
    times = fastest.pages_per_s / slowest.pages_per_s
    if times < 1 + _NOTABLE:
        return f"All strategies were about as fast: {figures.rate(fastest.pages_per_s)}."
    return (
        f"{strategy(fastest)} crawled {figures.rate(fastest.pages_per_s)}, {strategy(slowest)} "
        f"{figures.short(slowest.pages_per_s)}: {figures.ratio(times)}."
    )


def comparison_findings(rows: Sequence[ComparisonRow]) -> list[Finding]:
    """What a comparison shows, parser by parser."""
    measured = _measured(rows)
    findings = []
    for parser in dict.fromkeys(row.parser for row in rows):
        finding = _of_parser(parser, [row for row in measured if row.parser == parser])
        if finding is not None:
            findings.append(finding)
    findings += [Finding(strategy(row), f"No numbers: {one_line(row.status)}.") for row in rows if row.status != OK]
    return findings


def _measured(rows: Sequence[ComparisonRow]) -> list[ComparisonRow]:
    return [row for row in rows if row.status == OK and 0 < row.pages_per_s < math.inf]


def _of_parser(parser: str, rows: Sequence[ComparisonRow]) -> Finding | None:
    inline = next((row for row in rows if row.executor == "inline"), None)
    others = [row for row in rows if row.executor != "inline"]
    if inline is None or not others:
        return None
    best = max(others, key=lambda row: row.pages_per_s)
    times = best.pages_per_s / inline.pages_per_s
    gained = (
        f"{figures.ratio(times)} {executor_phrase(best.executor)}" if times > 1 + _NOTABLE else "no faster elsewhere"
    )
    said = [_against(parser, row, inline) for row in others]
    return Finding(f"{parser}: {gained}", " ".join([*said, _lag(inline, others)]).strip())


def _against(parser: str, row: ComparisonRow, inline: ComparisonRow) -> str:
    """One executor beside in line. The cause is named where it is known, and only beside its measured effect."""
    times = row.pages_per_s / inline.pages_per_s
    where = executor_phrase(row.executor, row.workers)
    numbers = f"{figures.short(row.pages_per_s)} against {figures.short(inline.pages_per_s)} pages/s"
    if times > 1 + _NOTABLE:
        told = f"{_capital(where)} it is {figures.ratio(times)} as fast as in line ({numbers})"
    else:
        told = f"{_capital(where)} it is {'no faster' if times > 1 - _NOTABLE else 'slower'} ({numbers})"
    cause = _CAUSES.get((parser in _PURE_PYTHON, row.executor, times > 1 + _NOTABLE), "")
    return f"{told}{': ' if cause else ''}{cause}."


def _lag(inline: ComparisonRow, others: Sequence[ComparisonRow]) -> str:
    rows = [inline, *others]
    worst = max(row.loop_lag_p99_ms for row in rows)
    best = min(row.loop_lag_p99_ms for row in rows)
    if worst < _LAG_NOTABLE_MS or worst < 2 * best:
        return ""
    told = ", ".join(
        f"{figures.milliseconds(row.loop_lag_p99_ms)} {executor_phrase(row.executor, row.workers)}" for row in rows
    )
    return f"Event loop lag, p99: {told}."


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
