"""How much of the event loop's time something takes that others wait for."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Steps:
    """Awaits things, and adds up the CPU time of their own steps: what the loop does in between is not theirs.

    Attributes:
        cpu_s: of the thread, so far.
    """

    def __init__(self) -> None:
        self.cpu_s = 0.0

    async def of(self, awaitable: Awaitable[T]) -> T:
        """Gives and raises whatever it does; a cancellation reaches it as if it were awaited directly."""
        return await _Stepped(self, awaitable)

    def run(self, steps: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        error: BaseException | None = None
        while True:
            started_s = time.thread_time()
            try:
                wanted = next(steps) if error is None else steps.throw(error)
            except StopIteration as end:
                value: T = end.value
                return value
            finally:
                self.cpu_s += time.thread_time() - started_s
            error = None
            try:
                yield wanted
            except BaseException as raised:  # noqa: BLE001  # it is for the awaited to deal with
                error = raised


class _Stepped(Generic[T]):
    def __init__(self, steps: Steps, awaitable: Awaitable[T]) -> None:
        self._steps = steps
        self._awaitable = awaitable

    def __await__(self) -> Generator[Any, Any, T]:
        return self._steps.run(self._awaitable.__await__())
