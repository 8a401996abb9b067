"""How late the event loop is."""

from __future__ import annotations

import asyncio

from scraper.metrics.histogram import Histogram

# Short beside the lag that anybody minds (50 ms), and 200 wake-ups a second cost about 0.2 % of a core.
TICK_S = 0.005


class LagMeter:
    """A ticker on the running loop that notes how late each tick came.

    A loop that is blocked for 100 ms misses twenty ticks of 5 ms. Noting one late tick would hide that for all
    of the 100 ms everybody waited, so the missed ones are filled in, each with the lateness it would have had
    (Gil Tene calls the mistake "coordinated omission").
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None
        self._due_s = 0.0
        self._recent_max_s = 0.0
        self.lateness = Histogram()

    def start(self) -> None:
        self._due_s = self._loop.time() + TICK_S
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
        while late_s > TICK_S:
            self.lateness.add(late_s)
            late_s -= TICK_S
        self.lateness.add(late_s)
        self._due_s = now_s + TICK_S
        self._handle = self._loop.call_at(self._due_s, self._tick)
