"""What a terminal shows after a probe."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from scraper.report import figures
from scraper.report.clean import one_line
from scraper.report.words import executor_phrase, place

_BAR = 40  # characters of the whole
_MOST_FAILURES = 3
_NATURES = MappingProxyType(
    {
        "waiting": ("waiting", "bright_black"),
        "python": ("Python, or short calls into C, with the GIL", "yellow"),
        "native": ("C that let the GIL go", "green"),
        "native_held": ("C that keeps the GIL for more than a millisecond", "red"),
    }
)
_KINDS = MappingProxyType(
    {
        "waiting": "It mostly waits",
        "python": "It is mostly Python",
        "native": "It is mostly C that lets the GIL go",
        "native-held": "It is mostly C that keeps the GIL",
    }
)


def print_probe(console: Console, report: Mapping[str, Any]) -> None:
    """What a function does and where it runs best, in plain words.

    Args:
        console: where to.
        report: in the form of `scraper probe --json`.
    """
    has_bars = "utf" in console.encoding.lower()
    lines = [*_head(report), *_shares(report["shares"], has_bars=has_bars), *_costs(report)]
    console.print(Text("\n").join(lines), soft_wrap=True)
    console.print(_predictions(report))
    console.print(Text("\n").join([*_advice(report), *_notes(report)]), soft_wrap=True)


def _head(report: Mapping[str, Any]) -> list[Text]:
    kind = _KINDS.get(report["kind"], one_line(report["kind"]))
    held = f"It holds the GIL for {figures.share(report['gil_held'], 1.0)} of its CPU time"
    give_or_take = f"give or take {figures.share(report['uncertainty'], 1.0)}"
    name = one_line(report["function"], at_most=200)
    return [Text.assemble((name, "bold")), Text(f"{kind}. {held}, {give_or_take}.")]


def _shares(shares: Mapping[str, float], *, has_bars: bool) -> list[Text]:
    lines = []
    for name, (meaning, colour) in _NATURES.items():
        bar = ("█" if has_bars else "#") * round(_BAR * shares[name])
        lines.append(
            Text.assemble(f"  {figures.share(shares[name], 1.0):>5}  ", (f"{bar:<{_BAR}}", colour), f" {meaning}")
        )
    return lines


def _costs(report: Mapping[str, Any]) -> list[Text]:
    taken = (
        f"A page takes {figures.seconds(report['wall_s_per_page'])}, {figures.seconds(report['cpu_s_per_page'])} CPU"
    )
    crossing = figures.seconds(report["pickle_s_per_page"])
    line = f"{taken}; {crossing} more to cross to another process and back."
    on = f"Measured on {figures.plural(report['pages'], 'page')}."
    lines = [Text(f"{line} {on}")]
    if report["thread_speedup"] is not None:
        lines.append(
            Text(f"Two threads do {figures.ratio(report['thread_speedup'])} the work of one, on a core for each.")
        )
    return lines


def _predictions(report: Mapping[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), title_justify="left")
    table.add_column("pages/s at most, on cores", no_wrap=True)
    predicted = report["predicted"]
    cores = sorted({int(count) for by_cores in predicted.values() for count in by_cores})
    for count in cores:
        table.add_column(str(count), justify="right", no_wrap=True)
    for executor, by_cores in predicted.items():
        style = "bold" if executor == report["recommended"] else ""
        rates = [Text(figures.short(by_cores.get(str(count))), style=style) for count in cores]
        table.add_row(Text(place(executor), style=style), *rates)
    return table


def _advice(report: Mapping[str, Any]) -> list[Text]:
    where = executor_phrase(report["recommended"], report["recommended_workers"])
    why = one_line(report["why"])
    return [Text.assemble((f"Best {where}", "bold"), f": {why}.")]


def _notes(report: Mapping[str, Any]) -> list[Text]:
    failures = report["failures"][:_MOST_FAILURES]
    return [
        *(Text(one_line(note), style="yellow") for note in report["notes"]),
        *(Text(f"  page {each['index'] + 1}: {one_line(each['detail'], at_most=200)}") for each in failures),
    ]
