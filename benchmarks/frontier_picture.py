"""Draws what the durable frontier does as it grows, from the file that `benchmarks.frontier --json` wrote.

python -m benchmarks.frontier_picture out/frontier.json docs/frontier.svg
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PANEL_W, PANEL_H = 260, 210
LEFT, TOP, GAP = 66, 62, 74
WIDTH, HEIGHT = 3 * PANEL_W + 2 * GAP + LEFT + 24, TOP + PANEL_H + 62

# Mid tones stay readable on white and on black; the text takes the reader's own scheme.
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #444; }
  .title { font-size: 13px; font-weight: 600; }
  .axis { stroke: #888; fill: none; }
  .grid { stroke: #8883; fill: none; }
  .target { stroke: #888; fill: none; stroke-dasharray: 4 4; }
  .even { stroke: #3b82c4; fill: none; stroke-width: 2.5; }
  .local { stroke: #c77b30; fill: none; stroke-width: 2.5; }
  circle.even { fill: #3b82c4; stroke: none; } circle.local { fill: #c77b30; stroke: none; }
  text.even { fill: #3b82c4; stroke: none; } text.local { fill: #c77b30; stroke: none; }
  @media (prefers-color-scheme: dark) { text { fill: #c4c4c4; } }
"""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Panel:
    """One diagram over the number of known URLs: its place, and how far its axes go."""

    left: float
    least_x: float
    most_x: float
    most_y: float

    def x(self, known: float) -> float:
        whole = math.log10(self.most_x / self.least_x)
        return self.left + 8 + (PANEL_W - 16) * math.log10(known / self.least_x) / whole

    def y(self, value: float) -> float:
        return TOP + PANEL_H * (1 - min(value, self.most_y) / self.most_y)

    def curve(self, kind: str, points: Sequence[Point]) -> list[str]:
        places = [(self.x(x), self.y(y)) for x, y in points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        dots = [f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in places]
        return [f'<polyline class="{kind}" points="{line}"/>', *dots]

    def legend(self, kind: str, line: int, text: str) -> str:
        x, y = self.left + PANEL_W - 4, TOP + 16 + 16 * line
        return f'<text class="{kind}" x="{x:.0f}" y="{y}" text-anchor="end">{text}</text>'

    def target(self, value: float, text: str) -> list[str]:
        y = self.y(value)
        return [
            f'<path class="target" d="M{self.left},{y:.1f}H{self.left + PANEL_W}"/>',
            f'<text x="{self.left + 6}" y="{y - 5:.1f}">{text}</text>',
        ]

    def axes(self, title: str, unit: str, ticks: Sequence[tuple[float, str]]) -> list[str]:
        bottom, right = TOP + PANEL_H, self.left + PANEL_W
        parts = [
            f'<text class="title" x="{self.left}" y="{TOP - 32}">{title}</text>',
            f'<text x="{self.left}" y="{TOP - 14}">{unit}</text>',
            f'<path class="axis" d="M{self.left},{TOP}V{bottom}H{right}"/>',
            f'<text x="{self.left + PANEL_W / 2}" y="{bottom + 38}" text-anchor="middle">known URLs</text>',
        ]
        for power in range(math.ceil(math.log10(self.least_x)), math.floor(math.log10(self.most_x)) + 1):
            x = self.x(10**power)
            parts.append(f'<path class="grid" d="M{x:.1f},{TOP}V{bottom}"/>')
            parts.append(f'<text x="{x:.0f}" y="{bottom + 18}" text-anchor="middle">{in_short(10**power)}</text>')
        for value, text in ticks:
            y = self.y(value)
            parts.append(f'<path class="grid" d="M{self.left},{y:.1f}H{right}"/>')
            parts.append(f'<text x="{self.left - 8}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
        return parts


def in_short(number: float) -> str:
    return f"{number / 1e6:g} M" if number >= 1e6 else f"{number / 1e3:g} k"


def ticks(most: float) -> list[float]:
    """Up to five round values, from 0 to at least the most there is."""
    rough = most / 4
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough)
    return [step * number for number in range(math.ceil(most / step) + 1)]


def picture(sizes: Sequence[dict[str, Any]]) -> str:
    """The curves of sizes as `benchmarks.frontier` tells them; it takes at least two."""
    known = [float(size["known"]) for size in sizes]
    if len(known) < 2:
        raise ValueError("a curve takes two sizes or more")
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            'aria-label="URLs a second, memory and speed of a crawl over the number of known URLs">'
        ),
        f"<style>{STYLE}</style>",
    ]

    rates = {kind: [size["dedup"][kind]["urls_per_s"] for size in sizes] for kind in ("even", "local")}
    marks = ticks(1.1 * max(*rates["even"], *rates["local"], 50_000))
    panel = Panel(LEFT, known[0], known[-1], marks[-1])
    parts += panel.axes("Links looked up and committed", "URLs a second", [(mark, in_short(mark)) for mark in marks])
    parts += panel.target(50_000, "target 50 k")
    for line, (kind, text) in enumerate((("local", "as sites link"), ("even", "without locality"))):
        parts += panel.curve(kind, list(zip(known, rates[kind], strict=True)))
        parts.append(panel.legend(kind, line, text))

    memory = [float(size["rss_mb"]) for size in sizes]
    marks = ticks(1.1 * max(*memory, 300))
    panel = Panel(LEFT + PANEL_W + GAP, known[0], known[-1], marks[-1])
    parts += panel.axes("Memory", "MB, the most of any process", [(mark, f"{mark:g}") for mark in marks])
    parts += panel.target(300, "target 300 MB")
    parts += panel.curve("even", list(zip(known, memory, strict=True)))

    panel = Panel(LEFT + 2 * (PANEL_W + GAP), known[0], known[-1], 1.25)
    marks = [0, 0.25, 0.5, 0.75, 1.0, 1.25]
    title = f"A crawl, beside one that knows {in_short(known[0])}"
    parts += panel.axes(title, "ratio of pages/s, 95 % interval", [(mark, f"{mark:g}") for mark in marks])
    parts += panel.target(0.85, "target 0.85")
    for size in sizes:
        if size["paired"] is not None and size["paired"]["low"] is not None:
            x, low, high = panel.x(size["known"]), panel.y(size["paired"]["low"]), panel.y(size["paired"]["high"])
            parts.append(f'<path class="even" d="M{x:.1f},{low:.1f}V{high:.1f}"/>')
    parts += panel.curve("even", [(size["known"], size["ratio"]) for size in sizes])
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sizes = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["sizes"]
    Path(sys.argv[2]).write_text(picture(sizes), encoding="utf-8")


if __name__ == "__main__":
    main()
