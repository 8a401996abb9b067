"""A benchmark in a terminal: its progress, its table, and two of them side by side."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from scraper.report import figures
from scraper.report.clean import one_line
from scraper.report.live import LiveLines, can_redraw
from scraper.report.words import place

_MODES = {"crawl": "End to end", "parse": "Parsing alone"}
_LINE_S = 5.0  # between lines where nothing can be redrawn
_MOST_CHARACTERS = 200

Cell = Mapping[str, Any]


class MeasuringDisplay(LiveLines):
    """Says how far a benchmark is, used as a context. It draws between measurements, and never during one.

    Args:
        console: standard error's.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console, is_live=can_redraw(console) and not console.quiet)
        self._began_s = time.monotonic()
        self._shown_s = 0.0

    def say(self, sentence: str) -> None:
        self._console.print(Text(one_line(sentence)), soft_wrap=True)

    def update(self, doing: str, done: int, of: int) -> None:
        """What is done next, and how many measurements of how many were made."""
        now_s = time.monotonic()
        if done == 0:
            self._began_s = now_s
        left = f", about {figures.seconds(round((now_s - self._began_s) / done * (of - done)))} left" if done else ""
        line = Text.assemble((f"{done} of {of}", "bold"), f"  {one_line(doing)}{left}")
        if self._live is not None:
            self._live.update(line, refresh=True)
        elif now_s - self._shown_s >= _LINE_S:
            self._shown_s = now_s
            self._console.print(line, soft_wrap=True)


def print_bench(console: Console, found: Mapping[str, Any]) -> None:
    """A table for each mode, and the verdict in words.

    Args:
        console: where to.
        found: a benchmark in the form of the `--json` file.
    """
    verdict = found["verdict"]
    for mode, title in _MODES.items():
        members = [cell for cell in found["cells"] if cell["mode"] == mode]
        if members:
            console.print(Text(f"{title}: {_cut(found['pages']['title'])}", style="bold"), soft_wrap=True)
            console.print(_table(members))
        for reason in _reasons(members):
            console.print(reason, soft_wrap=not console.is_terminal)
        for best in (*verdict["best"], *verdict["parsers"]):
            if best["mode"] == mode:
                console.print(Text(_cut(best["text"])), soft_wrap=not console.is_terminal)
        console.print()
    said = [] if verdict["best"] else [verdict["text"]]
    if found["status"] != "complete":
        said.append("Interrupted: this is what was measured until then.")
    if verdict["prediction_error"] is not None:
        error = verdict["prediction_error"]
        said.append(f"Predictions were off by {error['median']:.0%} in the median, {error['worst']:.0%} at worst.")
    for sentence in said:
        console.print(Text(_cut(sentence)), soft_wrap=not console.is_terminal)
    for sentence in (*verdict["noise"], *found["notes"]):
        style = "yellow" if found["noise"]["is_noisy"] else "dim"
        console.print(Text(_cut(sentence), style=style), soft_wrap=not console.is_terminal)


def _cut(text: object) -> str:
    return one_line(text, at_most=_MOST_CHARACTERS)


def _new_table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("parser", style="bold", no_wrap=True)
    table.add_column("ran", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _table(cells: Sequence[Cell]) -> Table:
    table = _new_table("pages/s", "95 % interval", "vs inline", "predicted", "lag p99", "CPU/page", "memory")
    previous = None
    for cell in cells:
        if previous not in (None, cell["parser"]):
            table.add_section()
        name = one_line(cell["parser"]) if cell["parser"] != previous else ""
        previous = cell["parser"]
        table.add_row(Text(name), Text(place(cell["executor"], cell["workers"])), *_numbers(cell))
    return table


def _numbers(cell: Cell) -> list[Text]:
    if cell["pages_per_s"] is None:
        # The reason stands below the table, where it has room.
        return [Text(figures.NOTHING, style="dim"), Text(_word(cell["status"]), style="dim")]
    beside = figures.ratio(cell["speedup_vs_inline"]) if cell["executor"] != "inline" else ""
    return [
        Text(figures.short(cell["pages_per_s"]), style="bold"),
        Text(_span(cell["low"], cell["high"], figures.short)),
        Text(beside if cell["speedup_vs_inline"] else ""),
        Text(figures.short(cell["predicted_pages_per_s"])),
        Text(figures.milliseconds(cell["loop_lag_p99_ms"])),
        Text(figures.milliseconds(1000 * cell["cpu_s_per_page"])),
        Text(f"{figures.short(cell['rss_mb'])} MB"),
    ]


def _word(status: str) -> str:
    """A status without its reason."""
    return one_line(status.partition(":")[0], at_most=20)


def _reasons(cells: Sequence[Cell]) -> list[Text]:
    """What statuses say beside their word, each once."""
    told = dict.fromkeys(
        f"{cell['parser']}, {place(cell['executor'], cell['workers'])}: {cell['status']}"
        for cell in cells
        if ":" in cell["status"]
    )
    return [Text(one_line(text, at_most=2 * _MOST_CHARACTERS), style="yellow") for text in told]


def _span(low: float | None, high: float | None, unit: Any) -> str:
    return figures.NOTHING if low is None or high is None else f"{unit(low)} to {unit(high)}"


def print_changes(console: Console, found: Mapping[str, Any], *, names: tuple[str, str]) -> None:
    """Two benchmarks side by side.

    Args:
        console: where to.
        found: a comparison as plain data.
        names: of A and B.
    """
    for letter, name in zip("AB", names, strict=True):
        console.print(Text(f"{letter}: {_cut(name)}"), soft_wrap=True)
    for warning in found["warnings"]:
        console.print(Text(f"They were not measured alike. {_cut(warning)}.", style="yellow"), soft_wrap=True)
    for mode, title in _MODES.items():
        changes = [change for change in found["changes"] if change["mode"] == mode]
        if changes:
            console.print(Text(title, style="bold"))
            console.print(_changes(changes))
    for letter, only in (("A", found["only_before"]), ("B", found["only_after"])):
        for mode, parser, executor, workers in only:
            told = f"Only in {letter}: {parser}, {place(executor, workers)}, {_MODES.get(mode, mode).lower()}."
            console.print(Text(_cut(told)), soft_wrap=True)
    real = [change for change in found["changes"] if change["is_real"]]
    compared = [change for change in found["changes"] if change["ratio"] is not None]
    if compared:
        console.print(
            Text(f"{len(real)} of {figures.plural(len(compared), 'strategy', 'strategies')} differ.", style="bold")
        )
    elif not found["changes"]:
        console.print(Text("They have no strategy in common.", style="bold"))


def _changes(changes: Sequence[Mapping[str, Any]]) -> Table:
    table = _new_table("A pages/s", "B pages/s", "B / A", "at least to at most", "")
    for change in changes:
        style = ("green" if (change["ratio"] or 0) > 1 else "red") if change["is_real"] else "dim"
        table.add_row(
            Text(one_line(change["parser"])),
            Text(place(change["executor"], change["workers"])),
            Text(figures.short(change["before"])),
            Text(figures.short(change["after"])),
            Text(figures.ratio(change["ratio"])),
            Text(_span(change["low"], change["high"], figures.ratio)),
            Text(_cut(change["text"]), style=style),
        )
    return table
