"""Lines at the end of a terminal that are drawn again and again."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live


def can_redraw(console: Console) -> bool:
    """Whether lines that were written can be taken back."""
    return console.is_terminal and not console.is_dumb_terminal


class LiveLines:
    """Lines that are there as long as the context lasts.

    Args:
        console: standard error's. Other text on it goes above the lines; standard output belongs to the items.
        is_live: whether there are any.
    """

    def __init__(self, console: Console, *, is_live: bool) -> None:
        self._console = console
        self._live: Live | None = None
        if is_live:
            self._live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
