"""A benchmark as an HTML file, drawn from the form of its `--json` file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from scraper.report import figures
from scraper.report.charts import Bar, Curve, Estimate, Frame, Range, bars, curves, estimates, ranges
from scraper.report.markup import Child, Html, join, tag
from scraper.report.page import card, document, facts, legend, table, tiles
from scraper.report.words import place

_MODES = {"crawl": "End to end", "parse": "Parsing alone"}
_MEANINGS = {
    "crawl": "From the network to the sinks: pages are fetched, parsed, and what they give is committed.",
    "parse": "Pages that are in memory already go through a pool of workers.",
}
_EXECUTORS = ("inline", "thread", "process", "interpreter", "auto")

Cell = Mapping[str, Any]
Drawn = TypeVar("Drawn")


def render_bench(found: Mapping[str, Any], *, command: str = "") -> str:
    """One self-contained HTML file: it opens without a network, in light and dark, and prints.

    Args:
        found: a benchmark in the form of the `--json` file.
        command: as it was typed.
    """
    cells = found["cells"]
    modes = [mode for mode in _MODES if any(cell["mode"] == mode for cell in cells)]
    return document(
        kind="Parser benchmark",
        title=_title(cells),
        command=command,
        sections=[
            tag("p", _lead(found), class_="lead"),
            _headline(found),
            _verdict(found),
            *(section for mode in modes for section in _mode(found, mode)),
            _table(cells, modes),
            card("Where it ran", facts(found["environment"])),
        ],
    )


def _title(cells: Sequence[Cell]) -> str:
    parsers = len({cell["parser"] for cell in cells})
    places = len({cell["executor"] for cell in cells})
    them = "it" if parsers == 1 else "them"
    return f"{figures.plural(parsers, 'parser')}, {figures.plural(places, 'place')} to run {them}"


def _lead(found: Mapping[str, Any]) -> str:
    pages, settings = found["pages"], found["settings"]
    cut = " It was interrupted: what is here is what was measured until then." if found["status"] != "complete" else ""
    return (
        f"{pages['title']}, {figures.size(pages['mean_bytes'])} on average. {settings['rounds']} rounds in random "
        f"order, {figures.seconds(settings['seconds'])} for each measurement. Medians, with the interval that holds "
        f"the true median with 95 %.{cut}"
    )


def _headline(found: Mapping[str, Any]) -> Html:
    verdict = found["verdict"]
    shown = []
    for best in sorted(verdict["best"], key=lambda each: list(_MODES).index(each["mode"])):
        name = f"pages/s: {best['parser']}, {place(best['executor'], best['workers'])}"
        shown.append((f"Fastest, {_MODES[best['mode']].lower()}", figures.short(best["pages_per_s"]), name))
    most = max((each for each in verdict["parsers"] if each["is_real"]), key=lambda each: each["ratio"], default=None)
    if most is not None and most["ratio"] > 1:
        name = f"{most['parser']}, {place(most['executor'], most['workers'])}, {_MODES[most['mode']].lower()}"
        shown.append(("Most gained over in line", figures.ratio(most["ratio"]), name))
    error = verdict["prediction_error"]
    if error is not None:
        beneath = f"in the median; at worst {error['worst']:.0%}"
        shown.append(("Predictions were off by", f"{error['median']:.0%}", beneath))
    noise = found["noise"]
    beneath = f"a fixed computation varied by {noise['reference_spread']:.0%}"
    shown.append(("The machine was", "noisy" if noise["is_noisy"] else "quiet", beneath))
    return tiles(shown)


def _verdict(found: Mapping[str, Any]) -> Html:
    verdict = found["verdict"]
    best = sorted(verdict["best"], key=lambda each: list(_MODES).index(each["mode"]))
    head = best[0]["text"] if best else verdict["text"]
    said = [*(each["text"] for each in best[1:]), *found["noise"]["notes"], *found["notes"]]
    noisy = " noisy" if found["noise"]["is_noisy"] else ""
    return tag(
        "section",
        tag("p", "Verdict", class_="kicker"),
        tag("h2", head),
        [tag("p", sentence) for sentence in said],
        class_=f"card verdict{noisy}",
    )


def _mode(found: Mapping[str, Any], mode: str) -> list[Html | None]:
    cells = [cell for cell in found["cells"] if cell["mode"] == mode]
    drawn = [curve for curve in found["curves"] if curve["mode"] == mode]
    return [
        tag("h2", _MODES[mode], class_="part-head"),
        tag("p", _MEANINGS[mode], class_="lead"),
        _throughput(mode, cells),
        _scaling(mode, cells, drawn),
        _lag(mode, cells),
        _cpu(mode, cells),
        _memory(mode, cells),
        _findings(found, mode),
        _extrapolation(mode, drawn, found["environment"].get("CPUs", "")),
    ]


def _is_measured(cell: Cell) -> bool:
    return cell["pages_per_s"] is not None


def _tone(executor: str) -> str:
    return executor if executor in _EXECUTORS else "auto"


def _by_parser(cells: Sequence[Cell], draw: Callable[[Cell], Drawn]) -> list[tuple[str, list[Drawn]]]:
    parsers = dict.fromkeys(cell["parser"] for cell in cells)
    return [(parser, [draw(cell) for cell in cells if cell["parser"] == parser]) for parser in parsers]


def _name(cell: Cell) -> str:
    return place(cell["executor"], cell["workers"])


def _word(cell: Cell) -> str:
    """A status without its reason, which the table has room for."""
    return str(cell["status"]).partition(":")[0]


def _interval(cell: Cell) -> tuple[float, float] | None:
    return None if cell["low"] is None or cell["high"] is None else (cell["low"], cell["high"])


def _throughput(mode: str, cells: Sequence[Cell]) -> Html:
    def draw(cell: Cell) -> Estimate:
        if not _is_measured(cell):
            return Estimate(_name(cell), None, None, None, _word(cell), _tone(cell["executor"]))
        interval, beside = _interval(cell), cell["speedup_vs_inline"]
        span = f"{figures.short(interval[0])} to {figures.short(interval[1])}" if interval else "one measurement"
        times = figures.ratio(beside) if beside and cell["executor"] != "inline" else ""
        return Estimate(
            _name(cell),
            cell["pages_per_s"],
            interval,
            cell["predicted_pages_per_s"],
            figures.short(cell["pages_per_s"]),
            _tone(cell["executor"]),
            times,
            span,
        )

    frame = Frame(
        f"{mode}-throughput", f"Pages a second, {_MODES[mode].lower()}", "Further right is better; logarithmic."
    )
    has_prediction = any(cell["predicted_pages_per_s"] for cell in cells)
    return card(
        "Pages a second",
        _legend(cells, has_prediction=has_prediction),
        estimates(frame, _by_parser(cells, draw), figures.short),
        note="Further right is better. The dot is the median, the bar its 95 % interval; behind each figure how it "
        "compares with the same parser in line. Where bars overlap there is no difference. Logarithmic.",
    )


def _legend(cells: Sequence[Cell], *, has_prediction: bool) -> Html:
    executors = dict.fromkeys(cell["executor"] for cell in cells)
    entries = legend([(place(executor), _tone(executor)) for executor in executors])
    if not has_prediction:
        return entries
    stroke = tag("li", tag("span", class_="stroke", aria_hidden="true"), "predicted")
    return Html(entries.text.removesuffix("</ul>") + join([stroke]).text + "</ul>")


def _scaling(mode: str, cells: Sequence[Cell], drawn: Sequence[Mapping[str, Any]]) -> Html | None:
    measured = [cell for cell in cells if _is_measured(cell)]
    most = max([cell["workers"] for cell in measured] + [p["workers"] for c in drawn for p in c["scaling"]], default=1)
    if most < 2 or not measured:
        return None
    places = [2.0**power for power in range(most.bit_length()) if 2**power < most] + [float(most)]
    charts = []
    for at, parser in enumerate(dict.fromkeys(cell["parser"] for cell in measured)):
        series = []
        for executor in dict.fromkeys(cell["executor"] for cell in measured):
            model = _points(drawn, parser, executor, "scaling", "workers")
            if executor == "inline" and model:  # one worker, however many there might be
                model = [(1.0, model[0][1]), (float(most), model[0][1])]
            own = [cell for cell in measured if (cell["parser"], cell["executor"]) == (parser, executor)]
            marks = [(cell["workers"], cell["pages_per_s"], _interval(cell)) for cell in own]
            series.append(Curve(place(executor), _tone(executor), model, marks=marks))
        frame = Frame(
            f"{mode}-scaling-{at}", f"{parser}: pages a second by workers", "Points measured, lines predicted."
        )
        charts.append(tag("div", tag("h3", parser), curves(frame, series, places, figures.rate)))
    return card(
        "With more workers",
        _legend(cells, has_prediction=False),
        tag("div", charts, class_="multiples"),
        note="Upwards: pages a second; across: workers. Points are measured, with their intervals; lines are "
        "predicted. Each parser has a scale of its own.",
    )


def _points(
    drawn: Sequence[Mapping[str, Any]], parser: str, executor: str, which: str, across: str
) -> list[tuple[float, float]]:
    curve = next((each for each in drawn if (each["parser"], each["executor"]) == (parser, executor)), None)
    return [(float(point[across]), point["pages_per_s"]) for point in curve[which]] if curve else []


def _lag(mode: str, cells: Sequence[Cell]) -> Html:
    def draw(cell: Cell) -> Range:
        if not _is_measured(cell):
            return Range(_name(cell), None, _word(cell), _tone(cell["executor"]))
        values = (cell["loop_lag_p50_ms"], cell["loop_lag_p99_ms"], cell["loop_lag_max_ms"])
        return Range(_name(cell), values, figures.milliseconds(values[1]), _tone(cell["executor"]))

    frame = Frame(f"{mode}-lag", f"Lateness of the event loop, {_MODES[mode].lower()}", "Further left is better.")
    return card(
        "Event loop lag",
        ranges(frame, _by_parser(cells, draw), figures.milliseconds, lowest=0.1),
        note="Further left is better: median to worst; the dot and the figure are the 99th percentile. Logarithmic.",
        width="half",
    )


def _bars(frame: Frame, cells: Sequence[Cell], field: str, unit: Callable[[float], str]) -> Html:
    def draw(cell: Cell) -> Bar:
        if not _is_measured(cell):
            return Bar(_name(cell), None, _word(cell), _tone(cell["executor"]))
        return Bar(_name(cell), cell[field], unit(cell[field]), _tone(cell["executor"]))

    return bars(frame, _by_parser(cells, draw))


def _cpu(mode: str, cells: Sequence[Cell]) -> Html:
    frame = Frame(f"{mode}-cpu", f"CPU time a page, {_MODES[mode].lower()}", "Shorter is better.")
    drawn = _bars(frame, cells, "cpu_s_per_page", lambda value: figures.milliseconds(1000 * value))
    return card("CPU time a page", drawn, note="Shorter is better. This process and its workers.", width="half")


def _memory(mode: str, cells: Sequence[Cell]) -> Html:
    frame = Frame(f"{mode}-memory", f"Memory, {_MODES[mode].lower()}", "Shorter is better.")
    drawn = _bars(frame, cells, "rss_mb", lambda value: f"{figures.short(value)} MB")
    note = "Shorter is better. Resident memory of this process, which holds the pages, and its workers."
    return card("Memory", drawn, note=note, width="half")


def _findings(found: Mapping[str, Any], mode: str) -> Html | None:
    said = [each for each in found["verdict"]["parsers"] if each["mode"] == mode]
    if not said:
        return None
    drawn = []
    for each in said:
        head, _, text = each["text"].partition(": ")
        alike = each["no_difference_to"]
        more = f" It cannot be told from {_listed(alike)}." if alike and each["is_real"] else ""
        drawn.append(tag("div", tag("dt", head), tag("dd", f"{text[:1].upper()}{text[1:]}{more}")))
    return card(
        "Best place for each parser",
        tag("dl", drawn, class_="findings one-column"),
        note="Beside the same parser in line. A difference is named where the intervals leave no doubt of it.",
        width="half",
    )


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _extrapolation(mode: str, drawn: Sequence[Mapping[str, Any]], cpus: str) -> Html | None:
    if not drawn:
        return None
    places = [float(point["cpus"]) for point in drawn[0]["extrapolation"]]
    charts = []
    for at, parser in enumerate(dict.fromkeys(curve["parser"] for curve in drawn)):
        series = []
        for curve in drawn:
            if curve["parser"] == parser:
                points = [(float(point["cpus"]), point["pages_per_s"]) for point in curve["extrapolation"]]
                band = [(point["low"], point["high"]) for point in curve["extrapolation"]]
                series.append(Curve(place(curve["executor"]), _tone(curve["executor"]), points, band))
        frame = Frame(f"{mode}-cores-{at}", f"{parser}: predicted pages a second by cores", "A worker for each core.")
        charts.append(tag("div", tag("h3", parser), curves(frame, series, places, figures.rate, plot_height=150)))
    executors = dict.fromkeys(curve["executor"] for curve in drawn)
    return card(
        "On a machine with more cores",
        legend([(place(executor), _tone(executor)) for executor in executors]),
        tag("div", charts, class_="multiples"),
        note=f"Upwards: pages a second, predicted; across: cores, with a worker for each. Shaded: where nine of ten "
        f"predictions should hold. Measured was only on this machine{f', with {cpus} cores' if cpus else ''}.",
    )


def _table(cells: Sequence[Cell], modes: Sequence[str]) -> Html:
    columns = [("Parser", "word"), ("Ran", "word"), ("Pages/s", "number"), ("low", "number")]
    columns += [("high", "number"), ("vs in line", "number"), ("Predicted", "number"), ("off by", "number")]
    columns += [("Lag p99", "number"), ("CPU a page", "number"), ("Memory", "number"), ("Status", "text")]
    tables = []
    for mode in modes:
        rows = [_row(cell) for cell in cells if cell["mode"] == mode]
        caption = f"All numbers, {_MODES[mode].lower()}"
        tables.append(tag("div", tag("h3", _MODES[mode]), table(columns, rows, caption=caption)))
    return card("All numbers", tag("div", tables, class_="tables"))


def _row(cell: Cell) -> list[Child]:
    numbers = [figures.NOTHING] * 9
    if _is_measured(cell):
        predicted = cell["predicted_pages_per_s"]
        numbers = [
            figures.short(cell["pages_per_s"]),
            figures.short(cell["low"]),
            figures.short(cell["high"]),
            figures.ratio(cell["speedup_vs_inline"]),
            figures.short(predicted),
            f"{predicted / cell['pages_per_s'] - 1:+.0%}" if predicted else figures.NOTHING,
            figures.milliseconds(cell["loop_lag_p99_ms"]),
            figures.milliseconds(1000 * cell["cpu_s_per_page"]),
            f"{figures.short(cell['rss_mb'])} MB",
        ]
    return [cell["parser"], _name(cell), *numbers, cell["status"]]
