"""What a terminal shows after a crawl or a comparison.

Everything is a `rich.text.Text`, which takes text as it is: brackets in a URL are no markup, and control characters
are taken out on the way in. Colours follow the console's own judgement (no terminal or NO_COLOR: none).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import IO, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from scraper.report import figures
from scraper.report.clean import one_line
from scraper.report.values import OK, ComparisonRow, FailedPage
from scraper.report.words import (
    comparison_findings,
    contrast,
    place,
    reason_phrase,
    stop_phrase,
    strategy,
    verdict_sentences,
)

# A summary is read at a glance; what is cut here is whole in the statistics and the failures file.
_MOST_REASONS = 8
_MOST_PAGES = 5
_MOST_CHARACTERS = 200
_BAR = 14  # characters of the longest bar
_WIDE = 110  # columns that leave room for bars and for every number
_COLOURS = MappingProxyType({"inline": "bright_black", "thread": "yellow", "process": "blue", "interpreter": "magenta"})


def console_for(stream: IO[str], *, has_colours: bool | None = None, is_quiet: bool = False) -> Console:
    """A console on a stream. What the stream's encoding lacks becomes a question mark instead of an error.

    Args:
        stream: such as sys.stderr.
        has_colours: None leaves it to the stream and to NO_COLOR.
        is_quiet: nothing is printed.
    """
    if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")
    no_color = None if has_colours is None else not has_colours
    width = None if stream.isatty() else _WIDE  # a file has none of its own
    return Console(file=stream, highlight=False, no_color=no_color, quiet=is_quiet, width=width)


def print_summary(
    console: Console,
    stats: Mapping[str, Any],
    *,
    output: str | None = None,
    failed_pages: Sequence[FailedPage] = (),
    warnings: Sequence[str] = (),
    done_before: int = 0,
    is_shared: bool = False,
    has_failed: bool = False,
) -> None:
    """A crawl's end in plain words.

    Args:
        console: where to.
        stats: the numbers in the form of the `--stats` file; what is missing is left out.
        output: where the items are; None if nowhere.
        failed_pages: the first few, as examples.
        warnings: sentences about the output.
        done_before: pages that were done in earlier runs; the numbers count them.
        is_shared: other crawlers worked on the same state, and the numbers count theirs.
        has_failed: the crawl ended with an error.
    """
    lines = [
        *_ends(stats, done_before, is_shared=is_shared, has_failed=has_failed),
        *_harvest(stats, output, is_shared=is_shared),
        *_cache(stats),
        *reason_lines("Failed", stats.get("failures") or {}, "red"),
        *(
            unbroken(f"      {_cut(page.url)}  {_cut(page.detail or page.reason)}")
            for page in failed_pages[:_MOST_PAGES]
        ),
        *reason_lines("Skipped", stats.get("skips") or {}, "yellow"),
        *_stages(stats),
        *_lag(stats),
        *_verdict(stats),
        *(Text(f"Note: {_cut(warning)}", style="yellow") for warning in warnings),
        *_how_to_go_on(stats, has_failed=has_failed),
    ]
    print_lines(console, lines)


def print_lines(console: Console, lines: Sequence[Text]) -> None:
    """Prints lines, and in a terminal breaks the long ones between words, except those that are `unbroken`."""
    for line in lines:
        console.print(line, soft_wrap=line.no_wrap or not console.is_terminal)


def unbroken(text: str, style: str = "") -> Text:
    """A line that can be copied as a whole, however narrow the terminal is."""
    return Text(text, style=style, no_wrap=True)


def print_resumption(console: Console, state: str, *, seen: int, done: int, waiting: int) -> None:
    """What a crawl goes on with.

    Args:
        console: where to.
        state: path of its state file.
        seen: pages when it began.
        done: of these.
        waiting: of these.
    """
    counts = f"{figures.count(done)} of {figures.plural(seen, 'page')} done, {figures.count(waiting)} waiting"
    said = f"Going on with {_cut(state)}: {counts}. Pages are counted over all runs, the rest in this one."
    print_lines(console, [Text(said)])


def _cut(text: object) -> str:
    return one_line(text, at_most=_MOST_CHARACTERS)


def _ends(stats: Mapping[str, Any], done_before: int, *, is_shared: bool, has_failed: bool) -> list[Text]:
    stopped = "it could not go on" if has_failed else stats.get("stopped")
    took = figures.seconds(stats.get("elapsed_s"))
    head = f"Stopped after {took} ({stop_phrase(str(stopped))})" if stopped else f"Finished in {took}"
    done = stats.get("done") or 0
    told = f"{figures.plural(done, 'page')} done"
    if is_shared:
        told += f" by all crawlers, {figures.count(done - done_before)} of them since this one began;"
    elif stats.get("resumed"):
        told += f" over all runs, {figures.count(done - done_before)} of them now;"
    else:
        told += ","
    others = ", ".join(f"{figures.count(stats.get(name) or 0)} {name}" for name in ("failed", "skipped", "waiting"))
    return [Text.assemble((head, "bold"), f": {told} {others}.")]


def _harvest(stats: Mapping[str, Any], output: str | None, *, is_shared: bool) -> list[Text]:
    items, rate = figures.plural(stats.get("items") or 0, "item"), figures.rate(stats.get("pages_per_s"))
    read = f"{figures.size(stats.get('bytes'))} read"
    if is_shared:
        where = f", this crawler's to {_cut(output)}" if output else ""
        return [Text(f"{items} in all{where}; {read}, {rate}.")]
    where = f" to {_cut(output)}" if output else ""
    return [Text(f"{items}{where}, {read}{' over all runs; now' if stats.get('resumed') else ','} {rate}.")]


def _cache(stats: Mapping[str, Any]) -> list[Text]:
    cache = stats.get("cache")
    if not cache:
        return []
    replayed = figures.plural(cache["replayed"], "answer")
    confirmed, stored = figures.count(cache["revalidated"]), figures.count(cache["stored"])
    lines = [Text(f"From the cache: {replayed}, and {confirmed} that the site confirmed; {stored} new.")]
    if cache["trouble"]:
        lines.append(Text(_cut(cache["trouble"]), style="yellow"))
    return lines


def _how_to_go_on(stats: Mapping[str, Any], *, has_failed: bool) -> list[Text]:
    state, stopped, waiting, failed = (stats.get(name) for name in ("state", "stopped", "waiting", "failed"))
    lines = []
    if state is None:
        if waiting and (has_failed or stopped == "interrupted"):
            lines.append("What waited is lost. With --state FILE, the same command would go on with it.")
    else:
        if waiting:
            more = " with a larger --max-pages" if stopped == "max_pages" else ""
            lines.append(f"To go on, give the same command again{more}.")
        if failed:
            listed = f"scraper state {shlex.quote(_cut(state))} --export failed"
            lines.append(
                f"{figures.plural(failed, 'page')} failed: scraper crawl … --retry-failed tries them again, "
                f"{listed} lists them."
            )
    return [Text(""), *map(Text, lines)] if lines else []


def reason_lines(title: str, counted: Mapping[str, int], style: str) -> list[Text]:
    """Reasons with their counts and meanings, the most frequent first; nothing where there are none."""
    if not counted:
        return []
    ranked = sorted(counted.items(), key=lambda pair: -pair[1])
    lines = [Text(""), Text(title, style="bold")]
    for reason, number in ranked[:_MOST_REASONS]:
        meaning = reason_phrase(reason)
        lines.append(Text.assemble((f"{figures.count(number):>9}  ", style), f"{_cut(reason):<20} ", (meaning, "dim")))
    rest = ranked[_MOST_REASONS:]
    if rest:
        lines.append(Text(f"{figures.count(sum(number for _, number in rest)):>9}  of {len(rest)} other reasons"))
    return lines


def _stages(stats: Mapping[str, Any]) -> list[Text]:
    stages = [(name, stage) for name, stage in (stats.get("stages") or {}).items() if stage.get("count")]
    if not stages:
        return []
    cpu_s = sum(stage["cpu_s"] for _, stage in stages)
    lines = [Text(""), Text("Where the time went", style="bold")]
    for name, stage in stages:
        cpu = f"{figures.seconds(stage['cpu_s'])} CPU"
        part = figures.share(stage["cpu_s"], cpu_s)
        each = f"median {figures.milliseconds(stage['p50_ms'])}, p99 {figures.milliseconds(stage['p99_ms'])}"
        lines.append(Text(f"  {_cut(name):<9} {cpu:>16} {part:>5}   {each}"))
    return lines


def _lag(stats: Mapping[str, Any]) -> list[Text]:
    lag = stats.get("loop_lag_ms")
    if not lag:
        return []
    told = [figures.milliseconds(lag.get(key)) for key in ("p50", "p99", "max")]
    return [Text(f"Event loop lag: median {told[0]}, p99 {told[1]}, at most {told[2]}.")]


def _verdict(stats: Mapping[str, Any]) -> list[Text]:
    if not stats.get("verdict"):
        return []
    head, evidence, advice = verdict_sentences(stats["verdict"])
    lines = [Text(""), Text.assemble(("What limits this crawl: ", "bold"), f"{head}.")]
    if evidence:
        lines.append(Text(evidence))
    if advice:
        lines.append(Text(f"What would help most: {advice}."))
    return lines


def result_line(row: ComparisonRow) -> Text:
    """One strategy as soon as it was measured."""
    if row.status != OK:
        return Text(f"{strategy(row)}: {_cut(row.status)}")
    lag = figures.milliseconds(row.loop_lag_p99_ms)
    return Text(f"{strategy(row)}: {figures.rate(row.pages_per_s)}, event loop lag p99 {lag}")


def print_comparison(console: Console, rows: Sequence[ComparisonRow]) -> None:
    """A table of strategies, and what it shows in words."""
    has_bars = "utf" in console.encoding.lower()
    console.print(_table(rows, is_wide=console.width >= _WIDE, has_bars=has_bars))
    said = contrast(rows)
    if said:
        console.print(Text(said, style="bold"), soft_wrap=not console.is_terminal)
    for finding in comparison_findings(rows):
        text = Text.assemble((finding.head, "bold"), f". {finding.text}")
        console.print(text, soft_wrap=not console.is_terminal)


def _table(rows: Sequence[ComparisonRow], *, is_wide: bool, has_bars: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("parser", style="bold", no_wrap=True)
    table.add_column("ran", no_wrap=True)
    if is_wide:
        table.add_column("", no_wrap=True, width=_BAR)
    for name in ("pages/s", "", *(("lag p50",) if is_wide else ()), "lag p99", "max", "CPU/page", "memory"):
        table.add_column(name, justify="right", no_wrap=True)
    highest = max((row.pages_per_s for row in rows if row.status == OK), default=0.0)
    inline = {row.parser: row.pages_per_s for row in rows if row.executor == "inline" and row.status == OK}
    previous = None
    for row in rows:
        if previous not in (None, row.parser):
            table.add_section()
        name = one_line(row.parser) if row.parser != previous else ""
        previous = row.parser
        bar = [_bar(row, highest if has_bars else 0)] if is_wide else []
        numbers = _numbers(row, inline.get(row.parser), is_wide=is_wide)
        table.add_row(Text(name), Text(place(row.executor, row.workers)), *bar, *numbers)
    return table


def _bar(row: ComparisonRow, highest: float) -> Text:
    if row.status != OK or not highest > 0:
        return Text("")
    return Text("█" * max(round(_BAR * row.pages_per_s / highest), 1), style=_COLOURS.get(row.executor, "cyan"))


def _numbers(row: ComparisonRow, inline: float | None, *, is_wide: bool) -> list[Text]:
    if row.status != OK:
        return [Text(_cut(row.status), style="dim")]
    beside = figures.ratio(row.pages_per_s / inline) if inline and row.executor != "inline" else ""
    return [
        Text(figures.short(row.pages_per_s), style="bold"),
        Text(beside),
        *([Text(figures.milliseconds(row.loop_lag_p50_ms))] if is_wide else []),
        Text(figures.milliseconds(row.loop_lag_p99_ms)),
        Text(figures.milliseconds(row.loop_lag_max_ms)),
        Text(figures.milliseconds(1000 * row.cpu_s_per_page)),
        Text(f"{figures.short(row.rss_mb)} MB"),
    ]
