"""A crawl while it runs: a few lines that are redrawn in a terminal, and now and then a line anywhere else."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from rich.console import Console
from rich.text import Text

from scraper.report import figures
from scraper.report.clean import one_line
from scraper.report.live import LiveLines, can_redraw

# Drawing takes the event loop about a millisecond, so five times a second is 0.5 % of it, and still looks alive.
_REDRAW_S = 0.2
_LINE_S = 5.0  # between lines where nothing can be redrawn: a log of an hour stays under a thousand lines
_RECENT = 25  # redraws that the small curve and the worst lag look back on: five seconds
_CURVE = "▁▂▃▄▅▆▇█"
_BAR = 40


class Progress(Protocol):
    """A crawl at one moment, as its statistics call it."""

    @property
    def elapsed_s(self) -> float: ...
    @property
    def seen(self) -> int: ...
    @property
    def done(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def skipped(self) -> int: ...
    @property
    def waiting(self) -> int: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def items(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def loop_lag_ms(self) -> float: ...
    @property
    def limited_by(self) -> str: ...


class ProgressDisplay(LiveLines):
    """Shows snapshots of a crawl, used as a context; `update` is the callback to hand to the crawl.

    It has no thread and no clock of its own: it draws when a snapshot comes, at most five times a second.

    Args:
        console: standard error's, so that items on standard output stay clean.
        title: what runs, in front of the numbers.
        is_live: redrawn lines; None where the console is a terminal.
        ended_before: pages that were done or failed in earlier runs, which say nothing of this one's pace.
    """

    def __init__(
        self, console: Console, *, title: str = "", is_live: bool | None = None, ended_before: int = 0
    ) -> None:
        super().__init__(console, is_live=can_redraw(console) if is_live is None else is_live)
        self._title = one_line(title, at_most=60)
        self._has_blocks = "utf" in console.encoding.lower()
        self._rates: deque[float] = deque(maxlen=_RECENT)
        self._lags_ms: deque[float] = deque(maxlen=_RECENT)
        self._shown_s = 0.0
        self._shown_ended = ended_before
        self._worst_lag_ms = 0.0

    def update(self, snapshot: Progress) -> None:
        """Takes a snapshot, and draws if it is time to."""
        self._worst_lag_ms = max(self._worst_lag_ms, snapshot.loop_lag_ms)
        passed_s = snapshot.elapsed_s - self._shown_s
        if passed_s < (_LINE_S if self._live is None else _REDRAW_S):
            return
        ended = snapshot.done + snapshot.failed
        rate = (ended - self._shown_ended) / passed_s
        if self._live is None:
            self._console.print(self._line(snapshot, rate), soft_wrap=True)
        else:
            self._rates.append(rate)
            self._lags_ms.append(self._worst_lag_ms)
            self._live.update(self._lines(snapshot), refresh=True)
        self._shown_s, self._shown_ended, self._worst_lag_ms = snapshot.elapsed_s, ended, 0.0

    def _line(self, now: Progress, rate: float) -> Text:
        parts = [
            f"{self._title + ': ' if self._title else ''}{figures.seconds(now.elapsed_s)}",
            f"{figures.count(now.done)} done",
            figures.rate(rate),
            f"{figures.count(now.waiting)} waiting",
            f"{figures.count(now.in_flight)} under way",
            f"{figures.count(now.failed)} failed",
            f"loop lag {figures.milliseconds(self._worst_lag_ms)}",
        ]
        if now.limited_by:
            parts.append(f"limited by {one_line(now.limited_by)}")
        return Text(", ".join(parts))

    def _lines(self, now: Progress) -> Text:
        recent = list(self._rates)[-5:]  # a second's worth: less jumps about too much to be read
        counts = [
            (f"{figures.count(now.waiting)} waiting", ""),
            (f"{figures.count(now.in_flight)} under way", ""),
            (f"{figures.count(now.failed)} failed", "red" if now.failed else ""),
            (f"{figures.count(now.skipped)} skipped", ""),
            (f"loop lag {figures.milliseconds(max(self._lags_ms))}", ""),
            (f"{figures.plural(now.items, 'item')}", ""),
            (figures.size(now.bytes), ""),
        ]
        first = Text.assemble(
            (f"{self._title}  " if self._title else "", "bold"),
            *self._bar(now),
            f"  {figures.count(now.done)} of {figures.count(now.seen)} done  ",
            (figures.seconds(now.elapsed_s), "dim"),
        )
        second = Text.assemble((figures.rate(sum(recent) / len(recent)), "bold"), f"  {self._curve()}  ")
        third = Text("  ").join(Text(text, style=style) for text, style in counts)
        lines = [first, second, third]
        if now.limited_by:
            lines.append(Text.assemble(("limited by: ", "dim"), one_line(now.limited_by)))
        return Text("\n").join(lines)

    def _bar(self, now: Progress) -> list[tuple[str, str]]:
        """What has ended of what is known; the known grows while a crawl finds links."""
        mark = "━" if self._has_blocks else "-"
        widths = [round(_BAR * number / max(now.seen, 1)) for number in (now.done, now.failed + now.skipped)]
        return [
            (mark * widths[0], "blue"),
            (mark * widths[1], "red"),
            ((mark if self._has_blocks else ".") * max(_BAR - sum(widths), 0), "bright_black"),
        ]

    def _curve(self) -> str:
        highest = max(self._rates)
        if not self._has_blocks or highest <= 0:
            return ""
        return "".join(_CURVE[round((len(_CURVE) - 1) * rate / highest)] for rate in self._rates)
