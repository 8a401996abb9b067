"""One time limit for many tasks, with one timer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from types import TracebackType
from typing import Any

from scraper.fetch.stalls import LoopClock

_SHORTEST_S = 0.001


@dataclass(slots=True)
class _Spell:
    """A task's time under the limit: when it ends, who else cancels the task, and whether the limit did."""

    due_s: float
    cancelling: int
    has_expired: bool = False


class TimeLimit:
    """Ends what a task does under it with TimeoutError, as `asyncio.timeout` would.

    One object serves any number of tasks at a time, each once: their limits are equal, so they expire in the order
    in which they began, and one timer for the oldest is enough. A timer for each makes a request 5 % more expensive.

    Args:
        limit_s: for each task.
        clock: that tells the time; what it leaves out does not count.

    Attributes:
        clock: the same.
    """

    def __init__(self, limit_s: float, clock: LoopClock) -> None:
        self._limit_s = limit_s
        self.clock = clock
        self._loop = asyncio.get_running_loop()
        # Those that paused are out of order, and few.
        self._spells: dict[asyncio.Task[Any], _Spell] = {}
        self._resumed: dict[asyncio.Task[Any], _Spell] = {}
        self._paused: dict[asyncio.Task[Any], _Spell] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = inf

    def __enter__(self) -> None:
        task = _current_task()
        now_s = self.clock.now_s()
        self._spells[task] = _Spell(now_s + self._limit_s, task.cancelling())
        if self._timer is None:
            self._set_timer(now_s + self._limit_s, now_s)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = _current_task()
        spell = self._take(task)
        # Somebody else may have cancelled the task too; then it stays cancelled.
        if spell.has_expired and task.uncancel() <= spell.cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time that the current task spends in it does not count. The task must be under the limit.

        It may be under the limit anew meanwhile.
        """
        task = _current_task()
        spell = self._take(task)
        left_s = spell.due_s - self.clock.now_s()
        outer = self._paused.get(task)
        self._paused[task] = spell
        try:
            yield
        finally:
            if outer is None:
                del self._paused[task]
            else:
                self._paused[task] = outer
            now_s = self.clock.now_s()
            spell.due_s = now_s + left_s
            self._resumed[task] = spell
            if not spell.has_expired and (self._timer is None or self._timer_s > spell.due_s):
                self._set_timer(spell.due_s, now_s)

    def close(self) -> None:
        """Ends whatever is still under way, paused or not."""
        if self._timer is not None:
            self._timer.cancel()
        for spells in (self._spells, self._resumed, self._paused):
            for task, spell in spells.items():
                _cancel(task, spell)

    def _take(self, task: asyncio.Task[Any]) -> _Spell:
        return self._spells.pop(task, None) or self._resumed.pop(task)

    def _set_timer(self, due_s: float, now_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_s = due_s
        # Not at once again, should the timer have come a little early.
        self._timer = self._loop.call_later(max(due_s - now_s, _SHORTEST_S), self._expire)

    def _expire(self) -> None:
        self._timer = None
        now_s = self.clock.now_s()
        next_s = inf
        for task, spell in self._spells.items():
            if spell.due_s > now_s:
                next_s = spell.due_s
                break
            _cancel(task, spell)
        for task, spell in self._resumed.items():
            if spell.due_s > now_s:
                next_s = min(next_s, spell.due_s)
            else:
                _cancel(task, spell)
        if next_s < inf:
            self._set_timer(next_s, now_s)


def _current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


def _cancel(task: asyncio.Task[Any], spell: _Spell) -> None:
    if not spell.has_expired:
        spell.has_expired = True
        task.cancel()
