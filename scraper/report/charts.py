"""Charts as inline SVG, without a script: bars, ranges and estimates on a logarithmic axis, lines over time, curves
over a number that doubles, parts of a whole.

Heights are in pixels and widths in percent, so that text and strokes keep their size on every screen; only what
has to be a path is stretched, inside an SVG of its own. Colours come from the style sheet by a tone's name,
tooltips are `title` elements, and each chart has a title and a description for those who do not see it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from scraper.report import figures
from scraper.report.markup import Html, join, tag
from scraper.report.scales import (
    Points,
    fine_log_ticks,
    log_axis,
    log_share,
    log_ticks,
    mean,
    thinned,
    ticks,
    time_ticks,
)

# In percent of the chart's width: the names to the left, and the figures behind the longest bar.
_NAMES = 24.0
_FIGURES = 24.0
_PLOT = 100.0 - _NAMES - _FIGURES
# In pixels.
_ROW = 25
_HEAD = 25
_GAP = 14
_AXIS = 22
_TOP = 20
# In percent: room for the marks at both ends of a curve.
_CURVE_MARGIN = 7.0
_LEVELS = 18.0  # in percent, for the numbers left of curves
_ASIDE = 9  # pixels between marks at one place
# An axis of estimates begins at this share of the least value, and goes as far beyond the greatest.
_AROUND = 0.7
_MOST_POINTS = 150  # of a line; more would be closer than two pixels in half a page's width


@dataclass(frozen=True, slots=True)
class Frame:
    """What every chart has: a name of its own in the document, and the words for those who do not see it."""

    name: str
    title: str
    description: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A value from 0 on. `text` stands behind the bar, alone where the value is None or not finite."""

    name: str
    value: float | None
    text: str
    tone: str
    note: str = ""

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            object.__setattr__(self, "value", None)


@dataclass(frozen=True, slots=True)
class Range:
    """Three rising values, the middle one marked. `text` stands at the end, alone where one is not finite."""

    name: str
    values: tuple[float, float, float] | None
    text: str
    tone: str

    def __post_init__(self) -> None:
        if self.values is not None and not all(map(math.isfinite, self.values)):
            object.__setattr__(self, "values", None)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval, and what was expected of it; None where that is not known.

    `text`, `ratio` and `note` stand at the end; `text` alone where there is no value.
    """

    name: str
    value: float | None
    interval: tuple[float, float] | None
    expected: float | None
    text: str
    tone: str
    ratio: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Curve:
    """A model and what was measured of it, over a number from 1 on.

    Args:
        name, tone: as in the legend.
        points: of the model, in order.
        band: at the same places, between which values it may be wrong; empty without one.
        marks: what was measured: place, value, and its interval or None.
    """

    name: str
    tone: str
    points: Points
    band: Sequence[tuple[float, float]] = ()
    marks: Sequence[tuple[float, float, tuple[float, float] | None]] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """Values over time; x in seconds. Points that are not finite are left out."""

    name: str
    points: Points
    tone: str
    is_filled: bool = False
    keep: Callable[[Sequence[float]], float] = mean


@dataclass(frozen=True, slots=True)
class Part:
    """A share of a whole."""

    name: str
    value: float
    tone: str


def bars(frame: Frame, groups: Sequence[tuple[str, Sequence[Bar]]]) -> Html:
    """Horizontal bars on one linear scale, in named groups; a group without a name has no heading."""
    highest = max((bar.value for _, members in groups for bar in members if bar.value), default=0.0)
    height, placed = _stacked([(name, len(members)) for name, members in groups])
    drawn: list[Html] = []
    for (name, members), (head_y, row_ys) in zip(groups, placed, strict=True):
        drawn += _heading(name, head_y)
        for bar, y in zip(members, row_ys, strict=True):
            width = _PLOT * bar.value / highest if bar.value else 0.0
            drawn.append(
                tag(
                    "g",
                    tag("title", f"{name} {bar.name}: {bar.text} {bar.note}"),
                    tag("text", bar.name, x="0", y=y + 16, class_="name"),
                    _bar(y, width, bar.tone) if bar.value is not None else None,
                    _figure(y, _NAMES + width, bar),
                )
            )
    return _svg(frame, height, drawn)


def _bar(y: float, width: float, tone: str) -> Html:
    # At least a hair of it, so that a small value is told from none.
    return tag(
        "rect", x=f"{_NAMES}%", y=y + 4, width=f"{max(width, 0.3):.2f}%", height="16", rx="2", class_=f"bar {tone}"
    )


def _figure(y: float, x: float, bar: Bar) -> Html:
    note = tag("tspan", bar.note, dx="7", class_="note") if bar.note else None
    class_ = "figure" if bar.value is not None else "note"
    return tag("text", bar.text, note, x=f"{x:.2f}%", dx="8", y=y + 16, class_=class_)


def ranges(
    frame: Frame, groups: Sequence[tuple[str, Sequence[Range]]], unit: Callable[[float], str], *, lowest: float
) -> Html:
    """Horizontal ranges on one logarithmic scale, in named groups.

    Args:
        frame: words.
        groups: name and members.
        unit: a value as text, for the axis.
        lowest: where the axis begins at the latest; what is less is drawn there.
    """
    values = [value for _, members in groups for row in members for value in row.values or ()]
    axis = log_axis(max(min((value for value in values if value > 0), default=lowest), lowest), max(values, default=1))
    height, placed = _stacked([(name, len(members)) for name, members in groups])
    drawn = [*_log_grid(axis, height, unit)]
    for (name, members), (head_y, row_ys) in zip(groups, placed, strict=True):
        drawn += _heading(name, head_y)
        for row, y in zip(members, row_ys, strict=True):
            drawn.append(
                tag(
                    "g",
                    tag("title", f"{name} {row.name}: {row.text}"),
                    tag("text", row.name, x="0", y=y + 16, class_="name"),
                    _range(y + 12, row.values, axis, row.tone) if row.values else None,
                    tag("text", row.text, x="100%", y=y + 16, class_="figure end" if row.values else "note end"),
                )
            )
    return _svg(frame, height + _AXIS, drawn)


def _range(y: float, values: tuple[float, float, float], axis: tuple[float, float], tone: str) -> Html:
    low, middle, high = (f"{_log_x(value, axis):.2f}%" for value in values)
    return tag(
        "g",
        tag("line", x1=low, x2=high, y1=y, y2=y, class_="span"),
        tag("line", x1=low, x2=low, y1=y - 4, y2=y + 4, class_="end-mark"),
        tag("line", x1=high, x2=high, y1=y - 4, y2=y + 4, class_="end-mark"),
        tag("circle", cx=middle, cy=y, r="5.5", class_="mark"),
        class_=tone,
    )


def estimates(frame: Frame, groups: Sequence[tuple[str, Sequence[Estimate]]], unit: Callable[[float], str]) -> Html:
    """Values with their intervals on one logarithmic scale, in named groups; what was expected is an upright stroke."""
    rows = [row for _, members in groups for row in members]
    # Values have to be seen whole; an interval of two measurements may be a thousand times as long.
    known = [value for row in rows for value in (row.value, row.expected) if value]
    axis = _AROUND * min(known, default=1.0), max(known, default=1.0) / _AROUND
    height, placed = _stacked([(name, len(members)) for name, members in groups])
    drawn = [*_log_grid(axis, height, unit, fine_log_ticks(axis))]
    for (name, members), (head_y, row_ys) in zip(groups, placed, strict=True):
        drawn += _heading(name, head_y)
        for row, y in zip(members, row_ys, strict=True):
            told = f"{name} {row.name}: {row.text} ({row.note})"
            told += f", predicted {figures.short(row.expected)}" if row.expected else ""
            drawn.append(
                tag(
                    "g",
                    tag("title", told),
                    tag("text", row.name, x="0", y=y + 16, class_="name"),
                    _estimate(y + 12, row, axis) if row.value else None,
                    _estimate_figure(y + 16, row),
                )
            )
    return _svg(frame, height + _AXIS, drawn)


def _estimate(y: float, row: Estimate, axis: tuple[float, float]) -> Html:
    assert row.value is not None
    expected = f"{_log_x(row.expected, axis):.2f}%" if row.expected else None
    low, high = (f"{_log_x(value, axis):.2f}%" for value in row.interval or (row.value, row.value))
    return tag(
        "g",
        tag("line", x1=expected, x2=expected, y1=y - 9, y2=y + 9, class_="expected") if expected else None,
        tag("line", x1=low, x2=high, y1=y, y2=y, class_="interval"),
        tag("circle", cx=f"{_log_x(row.value, axis):.2f}%", cy=y, r="5", class_="mark"),
        class_=row.tone,
    )


def _estimate_figure(y: float, row: Estimate) -> Html:
    x = f"{_NAMES + _PLOT:.2f}%"
    if not row.value:
        return tag("text", row.text, x=x, dx="12", y=y, class_="note")
    return join(
        [
            tag("text", row.text, x=x, dx="12", y=y, class_="figure"),
            tag("text", row.ratio, x=f"{_NAMES + _PLOT + _FIGURES / 2 - 1:.2f}%", y=y, class_="figure end"),
            tag("text", row.note, x="100%", y=y, class_="note end"),
        ]
    )


def _log_x(value: float, axis: tuple[float, float]) -> float:
    return _NAMES + _PLOT * log_share(value, axis)


def _log_grid(
    axis: tuple[float, float], height: float, unit: Callable[[float], str], at: Sequence[float] | None = None
) -> Iterator[Html]:
    for tick in log_ticks(axis) if at is None else at:
        x = f"{_log_x(tick, axis):.2f}%"
        yield tag("line", x1=x, x2=x, y1="0", y2=height, class_="grid")
        yield tag("text", unit(tick), x=x, y=height + 15, class_="tick middle")


def _heading(name: str, y: float) -> list[Html]:
    return [tag("text", name, x="0", y=y + 17, class_="group")] if name else []


def _stacked(groups: Sequence[tuple[str, int]]) -> tuple[float, list[tuple[float, list[float]]]]:
    """The height of all groups, and for each where its heading and its rows begin."""
    y = 0.0
    placed = []
    for at, (name, rows) in enumerate(groups):
        head_y = y = y + (_GAP if at else 0)
        y += _HEAD if name else 0
        placed.append((head_y, [y + _ROW * row for row in range(rows)]))
        y += _ROW * rows
    return y, placed


def lines(
    frame: Frame,
    series: Sequence[Line],
    unit: Callable[[float], str],
    *,
    plot_height: int = 160,
) -> Html:
    """Values over time, from 0 on both axes.

    Args:
        frame: words.
        series: lines; those that are filled come first, below the others.
        unit: a value as text, for the highest tick and for tooltips.
        plot_height: in pixels.
    """
    thin = [(line, thinned(_known(line.points), _MOST_POINTS, line.keep)) for line in series]
    top = max((y for _, points in thin for _, y in points), default=0.0)
    end_s = max((x for _, points in thin for x, _ in points), default=0.0) or 1.0
    levels = ticks(top, plot_height // 55)

    def y_of(value: float) -> float:
        return plot_height * (1 - value / levels[-1])

    grid = [
        tag("line", x1="0", x2="100%", y1=_TOP + y_of(level), y2=_TOP + y_of(level), class_="grid") for level in levels
    ]
    labels = [
        tag(
            "text",
            unit(level) if level == levels[-1] else figures.short(level),
            x="0",
            y=_TOP + y_of(level) - 4,
            class_="tick halo",
        )
        for level in levels[1:]
    ]
    paths = [path for line, points in thin for path in _paths(line, points, end_s, y_of, plot_height)]
    plot = _stretched(paths, plot_height)
    bottom = _TOP + plot_height
    clock = list(_clock(end_s, bottom))
    return _svg(frame, bottom + _AXIS, [*grid, plot, *labels, *clock, *_tooltips(thin, end_s, plot_height, unit)])


def curves(
    frame: Frame,
    series: Sequence[Curve],
    places: Sequence[float],
    unit: Callable[[float], str],
    *,
    plot_height: int = 170,
) -> Html:
    """Curves from 0 up, over a number whose every doubling is as wide.

    Args:
        frame: words.
        series: curves, with their bands and marks.
        places: numbers to label on the axis; the first is 1, and the last is where it ends.
        unit: a value as text, for tooltips.
        plot_height: in pixels.
    """
    values = [y for curve in series for _, y in curve.points]
    values += [value for curve in series for _, value, _ in curve.marks]
    # A band grows with every doubling; on its own scale it would flatten what it belongs to.
    widest = 1.6 * max(values, default=0.0)
    values += [min(high, widest) for curve in series for _, high in curve.band]
    levels = ticks(max(values, default=0.0) * 1.04, plot_height // 55)

    def x_of(place: float) -> float:
        reach = 100 - _LEVELS - 2 * _CURVE_MARGIN
        return _LEVELS + _CURVE_MARGIN + reach * math.log2(place) / math.log2(max(places[-1], 2))

    def y_of(value: float) -> float:
        return plot_height * (1 - min(value / levels[-1], 1.0))

    drawn: list[Html] = []
    for level in levels:
        y = _TOP + y_of(level)
        drawn.append(tag("line", x1=f"{_LEVELS}%", x2="100%", y1=y, y2=y, class_="grid"))
        drawn.append(tag("text", figures.short(level), x=f"{_LEVELS - 2.5}%", y=y + 4, class_="tick end"))
    plot = [path for curve in series for path in _bands(curve, x_of, y_of)]
    plot += [path for curve in series for path in _courses(curve, x_of, y_of)]
    bottom = _TOP + plot_height
    drawn.append(_stretched(plot, plot_height))
    # Side by side, because all curves have their marks at the same places.
    drawn += [
        tag("g", _marks(curve, x_of, y_of, unit), transform=f"translate({_ASIDE * (at - (len(series) - 1) / 2):g})")
        for at, curve in enumerate(series)
    ]
    for place in places:
        x = f"{x_of(place):.2f}%"
        drawn.append(tag("line", x1=x, x2=x, y1=bottom, y2=bottom + 4, class_="grid"))
        drawn.append(tag("text", figures.short(place), x=x, y=bottom + 16, class_="tick middle"))
    return _svg(frame, bottom + _AXIS, drawn)


def _stretched(paths: Sequence[Html], plot_height: int) -> Html:
    return tag(
        "svg",
        paths,
        x="0",
        y=_TOP,
        width="100%",
        height=plot_height,
        viewBox=f"0 0 1000 {plot_height}",
        preserveAspectRatio="none",
    )


def _bands(curve: Curve, x_of: Callable[[float], float], y_of: Callable[[float], float]) -> Iterator[Html]:
    if not curve.band:
        return
    xs = [10 * x_of(x) for x, _ in curve.points]
    edge = [(x, y_of(high)) for x, (_, high) in zip(xs, curve.band, strict=True)]
    edge += [(x, y_of(low)) for x, (low, _) in reversed(list(zip(xs, curve.band, strict=True)))]
    yield tag("path", d=f"M{'L'.join(f'{x:.1f} {y:.1f}' for x, y in edge)}Z", class_=f"area {curve.tone}")


def _courses(curve: Curve, x_of: Callable[[float], float], y_of: Callable[[float], float]) -> Iterator[Html]:
    places = [(10 * x_of(x), y_of(y)) for x, y in curve.points]
    if len(places) == 1:  # one place is no line: a short one through it
        (x, y), reach = places[0], 18
        places = [(x - reach, y), (x + reach, y)]
    if places:
        course = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        yield tag("path", d=f"M{course}", class_=f"line {curve.tone}", vector_effect="non-scaling-stroke")


def _marks(
    curve: Curve, x_of: Callable[[float], float], y_of: Callable[[float], float], unit: Callable[[float], str]
) -> Iterator[Html]:
    for place, value, interval in curve.marks:
        x, y = f"{x_of(place):.2f}%", _TOP + y_of(value)
        low, high = interval or (value, value)
        yield tag(
            "g",
            tag("title", f"{curve.name}, {figures.short(place)}: {unit(value)}"),
            tag("line", x1=x, x2=x, y1=_TOP + y_of(low), y2=_TOP + y_of(high), class_="interval"),
            tag("circle", cx=x, cy=y, r="4.5", class_="mark"),
            class_=curve.tone,
        )


def _known(points: Points) -> Points:
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]


def _paths(
    line: Line, points: Points, end_s: float, y_of: Callable[[float], float], plot_height: int
) -> Iterator[Html]:
    if not points:
        return
    places = [(1000 * x / end_s, y_of(y)) for x, y in points]
    course = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    if line.is_filled:
        area = f"M{places[0][0]:.1f} {plot_height}L{course}L{places[-1][0]:.1f} {plot_height}Z"
        yield tag("path", d=area, class_=f"area {line.tone}")
    yield tag("path", d=f"M{course}", class_=f"line {line.tone}", vector_effect="non-scaling-stroke")


def _clock(end_s: float, y: float) -> Iterator[Html]:
    for tick in time_ticks(end_s, 4):
        x = 100 * tick / end_s
        anchor = "tick" if x < 2 else "tick end" if x > 96 else "tick middle"
        yield tag("line", x1=f"{x:.2f}%", x2=f"{x:.2f}%", y1=y, y2=y + 4, class_="grid")
        yield tag("text", figures.clock(tick), x=f"{x:.2f}%", y=y + 16, class_=anchor)


def _tooltips(
    thin: Sequence[tuple[Line, Points]], end_s: float, plot_height: int, unit: Callable[[float], str]
) -> Iterator[Html]:
    """Invisible columns that show the values of all lines; none where the lines have moments of their own."""
    moments = {tuple(x for x, _ in points) for _, points in thin}
    if len(moments) != 1:
        return
    previous_s = 0.0
    for at, x in enumerate(moments.pop()):
        told = [f"{line.name} {unit(points[at][1])}" for line, points in thin]
        width = max(100 * (x - previous_s) / end_s, 0.0)
        yield tag(
            "rect",
            tag("title", f"{figures.seconds(x)}: {', '.join(told)}"),
            x=f"{100 * previous_s / end_s:.2f}%",
            y=_TOP,
            width=f"{width:.2f}%",
            height=plot_height,
            class_="hover",
        )
        previous_s = x


def whole(frame: Frame, parts: Sequence[Part]) -> Html:
    """One bar, divided by the parts' values; a part that has any is seen."""
    total = sum(part.value for part in parts) or 1.0
    x = 0.0
    drawn = []
    for part in parts:
        if part.value > 0:
            width = 100 * part.value / total
            text = f"{part.name}: {figures.count(part.value)} ({figures.share(part.value, total)})"
            drawn.append(
                tag(
                    "rect",
                    tag("title", text),
                    x=f"{min(x, 99.5):.3f}%",
                    y="0",
                    width=f"{max(width, 0.5):.3f}%",
                    height="22",
                    class_=f"bar part {part.tone}",
                )
            )
            x += width
    return _svg(frame, 22, drawn)


def _svg(frame: Frame, height: float, drawn: Sequence[Html]) -> Html:
    title, description = f"{frame.name}-title", f"{frame.name}-description"
    return tag(
        "svg",
        tag("title", frame.title, id=title),
        tag("desc", frame.description, id=description),
        drawn,
        class_="chart",
        role="img",
        aria_labelledby=f"{title} {description}",
        width="100%",
        height=height,
    )
