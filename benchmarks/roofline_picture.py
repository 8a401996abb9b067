"""Draws the roofline: what threads and processes can do, by how much of a page holds the GIL, and by how many wait.

    python -m benchmarks.roofline_picture docs/roofline.svg

The curves are `scraper.offload.roofline.predict` for the machine below; nothing in them is measured on the one that
draws, so that the picture is the same everywhere.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from scraper.offload.costs import HandoffCost, LoopCost, Machine, WorkCost
from scraper.offload.roofline import Bound, predict

MACHINE = Machine(
    cpus=4,
    capacity=3.4,
    handoffs={
        "inline": HandoffCost(4e-6, 4e-6),
        "thread": HandoffCost(2e-6, 2e-6, worker_cpu_s=3e-6),
        "process": HandoffCost(4e-6, 4e-6, 3e-10, 5e-6, 2e-10),
    },
    mapping=LoopCost(3e-6, 3e-6),
)
PAGE = WorkCost(
    wall_s=0.004,
    cpu_s=0.004,
    held_s=0.004,
    gil_waits=2.0,
    payload_bytes=100_000,
    result_bytes=2_000,
    pickle_s=1e-5,
    worker_pickle_s=1e-5,
)
WAITING = replace(PAGE, wall_s=0.022, cpu_s=0.002, held_s=0.002)

PANEL_W, PANEL_H = 330, 230
LEFT, TOP, GAP = 58, 58, 92
WIDTH, HEIGHT = 2 * PANEL_W + GAP + LEFT + 24, TOP + PANEL_H + 100

# Mid tones stay readable on white and on black; the text takes the reader's own scheme.
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #444; }
  .title { font-size: 13px; font-weight: 600; }
  .axis { stroke: #888; fill: none; }
  .grid { stroke: #8883; fill: none; }
  .roof { stroke: #888; fill: none; stroke-dasharray: 4 4; }
  .thread { stroke: #3b82c4; fill: none; stroke-width: 2.5; }
  .process { stroke: #c77b30; fill: none; stroke-width: 2.5; }
  .inline { stroke: #8a8a8a; fill: none; stroke-width: 2.5; }
  text.thread { fill: #3b82c4; stroke: none; } text.process { fill: #c77b30; stroke: none; }
  text.inline { fill: #8a8a8a; stroke: none; }
  @media (prefers-color-scheme: dark) { text { fill: #c4c4c4; } }
"""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Panel:
    """One diagram: its place, and how far its axes go."""

    left: float
    most_x: float
    most_y: float

    def x(self, value: float) -> float:
        return self.left + PANEL_W * value / self.most_x

    def y(self, value: float) -> float:
        return TOP + PANEL_H * (1 - value / self.most_y)

    def line(self, kind: str, points: Sequence[Point]) -> str:
        inside = [(self.x(x), self.y(min(y, self.most_y))) for x, y in points]
        return f'<polyline class="{kind}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in inside)}"/>'

    def label(self, kind: str, at: Point, text: str, anchor: str = "start") -> str:
        return (
            f'<text class="{kind}" x="{self.x(at[0]):.0f}" y="{self.y(at[1]):.0f}" text-anchor="{anchor}">{text}</text>'
        )

    def axes(
        self, title: str, x_name: str, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[float]
    ) -> list[str]:
        bottom, right = TOP + PANEL_H, self.left + PANEL_W
        parts = [
            f'<text class="title" x="{self.left}" y="{TOP - 30}">{title}</text>',
            f'<text x="{self.left}" y="{TOP - 12}">pages a second</text>',
            f'<path class="axis" d="M{self.left},{TOP}V{bottom}H{right}"/>',
            f'<text x="{self.left + PANEL_W / 2}" y="{bottom + 38}" text-anchor="middle">{x_name}</text>',
        ]
        for value, text in x_ticks:
            parts.append(f'<text x="{self.x(value):.0f}" y="{bottom + 18}" text-anchor="middle">{text}</text>')
        for value in y_ticks:
            y = self.y(value)
            parts.append(f'<path class="grid" d="M{self.left},{y:.1f}H{right}"/>')
            parts.append(f'<text x="{self.left - 8}" y="{y + 4:.1f}" text-anchor="end">{value:,.0f}</text>')
        return parts


def curve(xs: Sequence[float], bound: Callable[[float], Bound]) -> list[Point]:
    return [(x, bound(x).payloads_per_s) for x in xs]


def roof(xs: Sequence[float], bound: Callable[[float], Bound]) -> list[Point]:
    """The same without the correction: the longest term alone."""
    return [(x, 1 / max(bound(x).occupied_s.values())) for x in xs]


def computing() -> list[str]:
    """A page that computes, by how much of it holds the GIL."""
    panel = Panel(LEFT, 1.0, 1000.0)
    xs = [step / 100 for step in range(101)]

    def threads(held: float) -> Bound:
        work = replace(PAGE, held_s=held * PAGE.cpu_s)
        return predict("thread", 4, work, MACHINE.mapping, MACHINE)

    def processes(_: float) -> Bound:
        return predict("process", 4, PAGE, MACHINE.mapping, MACHINE)

    def inline(_: float) -> Bound:
        return predict("inline", 1, PAGE, MACHINE.mapping, MACHINE)

    ticks = [(share / 4, f"{share / 4:.0%}") for share in range(5)]
    return [
        *panel.axes("4 ms of CPU a page, 4 workers", "of them with the GIL held", ticks, range(0, 1001, 250)),
        panel.line("roof", roof(xs, threads)),
        panel.line("inline", curve(xs, inline)),
        panel.line("process", curve(xs, processes)),
        panel.line("thread", curve(xs, threads)),
        panel.label("", (0.02, 885), "cores"),
        panel.label("", (0.62, 440), "GIL"),
        panel.label("process", (0.98, 835), "processes", "end"),
        panel.label("thread", (0.3, 640), "threads", "end"),
        panel.label("inline", (0.02, 190), "in line"),
    ]


def waiting() -> list[str]:
    """A page that waits, by the number of workers."""
    panel = Panel(LEFT + PANEL_W + GAP, 32.0, 1600.0)
    xs = [float(workers) for workers in range(1, 33)]

    def threads(workers: float) -> Bound:
        return predict("thread", int(workers), WAITING, MACHINE.mapping, MACHINE)

    def processes(workers: float) -> Bound:
        return predict("process", int(workers), WAITING, MACHINE.mapping, MACHINE)

    ticks = [(float(workers), str(workers)) for workers in (1, 8, 16, 24, 32)]
    return [
        *panel.axes("20 ms of waiting and 2 ms of Python a page", "workers", ticks, range(0, 1601, 400)),
        panel.line("roof", roof(xs, threads)),
        panel.line("roof", roof(xs, processes)),
        panel.line("process", curve(xs, processes)),
        panel.line("thread", curve(xs, threads)),
        panel.label("", (8.2, 290), "workers"),
        panel.label("", (14, 545), "GIL"),
        panel.label("process", (25, 1250), "processes", "end"),
        panel.label("thread", (31, 545), "threads", "end"),
    ]


def picture() -> str:
    captions = (
        "Dashed: the roofline alone, the longest of the terms. Solid: with the correction where two of them meet.",
        "Predicted for a machine with 4 CPUs that together do the work of 3.4.",
    )
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            'aria-label="Predicted pages a second of threads and processes">'
        ),
        f"<style>{STYLE}</style>",
        *computing(),
        *waiting(),
        *(f'<text x="{LEFT}" y="{HEIGHT - 32 + 18 * line}">{text}</text>' for line, text in enumerate(captions)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    Path(sys.argv[1]).write_text(picture(), encoding="utf-8")


if __name__ == "__main__":
    main()
