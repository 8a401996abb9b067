"""One time limit for many tasks, with one timer."""

from __future__ import annotations

import asyncio
from math import inf
from types import TracebackType
from typing import Any


class TimeLimit:
    """Ends what a task does under it with TimeoutError, as `asyncio.timeout` would.

    One object serves any number of tasks at a time, each once: their limits are equal, so they expire in the order
    in which they began, and one timer for the oldest is enough. A timer for each makes a request 5 % more expensive.

    Args:
        limit_s: for each task.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[asyncio.Task[Any], tuple[float, int]] = {}  # when it expires, who cancels it already
        self._expired: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        due_s = self._loop.time() + self._limit_s
        self._tasks[task] = (due_s, task.cancelling())
        if self._timer is None:
            self._timer = self._loop.call_at(due_s, self._expire)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        if task not in self._expired:
            del self._tasks[task]
            return
        self._expired.remove(task)
        _, cancelling = self._tasks.pop(task)
        # Somebody else may have cancelled the task too; then it stays cancelled.
        if task.uncancel() <= cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def close(self) -> None:
        """Ends whatever is still under way."""
        if self._timer is not None:
            self._timer.cancel()
        self._expire_until(inf)

    def _expire(self) -> None:
        self._timer = None
        self._expire_until(self._loop.time())

    def _expire_until(self, now_s: float) -> None:
        for task, (due_s, _) in self._tasks.items():
            if due_s > now_s:
                self._timer = self._loop.call_at(due_s, self._expire)
                return
            if task not in self._expired:
                self._expired.add(task)
                task.cancel()
