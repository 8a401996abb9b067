"""A clock that the crawler's own lateness does not move."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from math import inf

# 20 wake-ups a second cost nothing that can be measured, and a site is charged with this much of a stall at most.
_TICK_S = 0.045
_STALLED_AFTER_S = 0.05  # what is less late than 5 ms is how timers are


class LoopClock:
    """Seconds as they pass for the sites: it stands still while the event loop does not run.

    A handler in line, a page that is unpacked, a thread that holds the GIL: they keep the loop from an answer that came
    long ago. A timer notices. The clock runs on until a tick is late, and stands until that tick comes; so it never
    jumps, and never runs backwards.

    Args:
        time_s: what it follows while it runs.
    """

    def __init__(self, time_s: Callable[[], float] = time.monotonic) -> None:
        self._time_s = time_s
        self._users = 0
        self._stands_from_s = inf
        self._lost_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def now_s(self) -> float:
        """Seconds from some time in the past. Outside of `start` and `stop` no stall is noticed."""
        return min(self._time_s(), self._stands_from_s) - self._lost_s

    def start(self) -> None:
        """From here on stalls are noticed. Each call is undone by one of `stop`."""
        self._users += 1
        if self._timer is None:
            self._set_timer(self._time_s())

    def stop(self) -> None:
        # The timer ends by itself: requests that come one after another would otherwise make one each.
        self._users -= 1

    def close(self) -> None:
        """Ends the timer at once."""
        if self._timer is not None:
            self._timer.cancel()
            self._end(self._time_s())

    def _set_timer(self, time_s: float) -> None:
        self._stands_from_s = time_s + _STALLED_AFTER_S
        self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        time_s = self._time_s()
        self._end(time_s)
        if self._users:
            self._set_timer(time_s)

    def _end(self, time_s: float) -> None:
        self._lost_s += max(time_s - self._stands_from_s, 0.0)
        self._stands_from_s = inf
        self._timer = None
