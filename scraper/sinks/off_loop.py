"""The life of a sink that blocks: its calls run in a thread, one at a time, and fail in our own words."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Sequence

import anyio
import anyio.to_thread

from scraper.completion import to_its_end
from scraper.errors import NotRunning, OutputRefused, SinkError
from scraper.sinks.protocol import Record


class OffLoop:
    """Runs a sink's blocking calls off the event loop.

    Args:
        name: of the output, as messages begin.
        foreign: what the sink's library raises beside OSError.
    """

    def __init__(self, name: str, *foreign: type[Exception]) -> None:
        self.name = name
        self._foreign: tuple[type[Exception], ...] = (OSError, *foreign)
        self._lock = threading.Lock()
        self._limiter: anyio.CapacityLimiter | None = None
        self._has_started = False

    async def open(self, call: Callable[[], None]) -> None:
        """For `resume` as well. Raises OutputRefused where the call fails."""
        # A limiter of its own, so that a thread pool that something else filled does not hold up commits.
        # Two: one at work, and `close` behind a write whose task was cancelled while its thread went on.
        self._limiter = anyio.CapacityLimiter(2)
        try:
            await self._run(call)
        except self._foreign as exc:
            self._limiter = None
            raise OutputRefused(f"{self.name} cannot be written: {cause_of(exc)}") from exc
        except OutputRefused:
            self._limiter = None
            raise

    async def write(self, call: Callable[[Sequence[Record]], None], records: Sequence[Record]) -> None:
        """Raises SinkError where the call fails. An empty batch costs nothing after the first."""
        if self._limiter is None:
            raise NotRunning(f"{self.name} is not open")
        if not records and self._has_started:
            return
        self._has_started = True
        await self._change(lambda: call(records))

    async def finish(self, call: Callable[[], None]) -> None:
        """Raises SinkError where the call fails."""
        if self._limiter is None:
            raise NotRunning(f"{self.name} is not open")
        await self._change(call)

    async def _change(self, call: Callable[[], None]) -> None:
        try:
            await self._run(call)
        except self._foreign as exc:
            raise SinkError(f"{self.name} failed: {cause_of(exc)}") from exc
        except SinkError as exc:
            raise SinkError(f"{self.name} failed: {exc}") from exc

    async def close(self, call: Callable[[], None]) -> None:
        """Runs to its end also when cancelled. Raises SinkError where the call fails."""
        if self._limiter is None:
            return
        try:
            await to_its_end(self._run(call))
        except self._foreign as exc:
            raise SinkError(f"{self.name} could not be finished: {cause_of(exc)}") from exc
        except SinkError as exc:
            raise SinkError(f"{self.name} could not be finished: {exc}") from exc
        finally:
            self._limiter = None

    async def _run(self, call: Callable[[], None]) -> None:
        def alone() -> None:
            with self._lock:
                call()

        await anyio.to_thread.run_sync(alone, limiter=self._limiter)

    def __repr__(self) -> str:
        return f"<{self.name}: {'closed' if self._limiter is None else 'open'}>"


def cause_of(exc: Exception) -> str:
    """Why an output failed, in words that say what to do about it."""
    if not isinstance(exc, OSError):
        return str(exc) or type(exc).__name__
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return "no space left on the disk"
    if exc.errno == errno.EPIPE:
        return "its reader has closed the pipe"
    if exc.errno == errno.ENOENT:
        return "its folder does not exist"
    if exc.errno == errno.EISDIR:
        return "it is a directory"
    return (exc.strerror or str(exc)).lower()
