"""Runs a coroutine as the command line does: on uvloop where installed, with Ctrl-C in two steps."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any


class Interrupts:
    """Signals while a crawl runs: the first stops it in good order, the second at once."""

    def __init__(self, stop: Callable[[str], None]) -> None:
        self._stop = stop
        self.signal: signal.Signals | None = None

    @contextmanager
    def installed(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._receive, number, task)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def _receive(self, number: signal.Signals, task: asyncio.Task[Any] | None) -> None:
        if self.signal is None:
            self.signal = number
            self._stop("interrupted")
        elif task is not None:
            task.cancel()

    @property
    def status(self) -> int:
        """The exit status a shell expects: 128 and the signal's number; 0 without a signal."""
        return 0 if self.signal is None else 128 + self.signal


def run(main: Coroutine[Any, Any, int]) -> int:
    """Runs a command's coroutine to its end and returns its exit status."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if importlib.util.find_spec("uvloop") is not None:
        import uvloop  # noqa: PLC0415 (an optional part)

        factory = uvloop.new_event_loop
    # What start-up made stays to the end. Looking through it for garbage would stop the event loop for 50 ms.
    gc.collect()
    gc.freeze()
    # A crawl's values are tuples without cycles, so there is little to find: looking 14 times less often is enough.
    gc.set_threshold(10_000)
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)
