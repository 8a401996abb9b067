"""How late the event loop is, and why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from scraper.metrics.clocks import ThreadClock
from scraper.metrics.histogram import Histogram

# Short beside the lag that anybody minds (50 ms), and 200 wake-ups a second cost about 0.2 % of a core.
TICK_S = 0.005

# A timer on an idle loop comes up to 1 ms late, because the loop sleeps in whole milliseconds. A thread that wants
# the GIL gets it after 5 ms at the latest, if whoever has it runs Python.
_BARRED_S = 0.002


class LagMeter:
    """A ticker on the running loop that notes how late each tick came.

    A loop that is blocked for 100 ms misses twenty ticks of 5 ms. Noting one late tick would hide that for all
    of the 100 ms everybody waited, so the missed ones are filled in, each with the lateness it would have had
    (Gil Tene calls the mistake "coordinated omission"). So the ticks are looks at the loop at moments that the loop
    did not choose, and their mean lateness is what anything that comes from outside waits for the loop.

    A tick that is late by more than the loop's thread computed and stood in the queue for a CPU since the tick before
    was barred: the thread waited for the GIL, or something blocked it.

    Args:
        clock: of the loop's thread.
        on_tick: called with the number of ticks that passed, and with how many of them were barred.
    """

    def __init__(self, clock: ThreadClock | None = None, on_tick: Callable[[int, int], None] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock = clock or ThreadClock()
        self._on_tick = on_tick
        self._handle: asyncio.TimerHandle | None = None
        self._due_s = 0.0
        self._served_s = 0.0
        self._recent_max_s = 0.0
        self.lateness = Histogram()

    def start(self) -> None:
        self._due_s = self._loop.time() + TICK_S
        self._served_s = self._clock.cpu_s + self._clock.delay_s
        self._handle = self._loop.call_at(self._due_s, self._tick)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def take_recent_max_s(self) -> float:
        """The worst lateness since this was last asked."""
        worst_s, self._recent_max_s = self._recent_max_s, 0.0
        return worst_s

    def _tick(self) -> None:
        now_s = self._loop.time()
        late_s = max(now_s - self._due_s, 0.0)
        self._recent_max_s = max(self._recent_max_s, late_s)
        served_s = self._clock.cpu_s + self._clock.delay_s
        barred_s = late_s - (served_s - self._served_s)
        ticks = 1
        while late_s > TICK_S:
            self.lateness.add(late_s)
            late_s -= TICK_S
            ticks += 1
        self.lateness.add(late_s)
        if self._on_tick is not None:
            self._on_tick(ticks, 0 if barred_s < _BARRED_S else min(ticks, 1 + int(barred_s / TICK_S)))
        self._served_s = served_s
        self._due_s = now_s + TICK_S
        self._handle = self._loop.call_at(self._due_s, self._tick)
