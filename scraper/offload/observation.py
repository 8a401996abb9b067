"""What a worker measures of a work while it runs some of its payloads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from scraper.offload.costs import WorkCost
from scraper.offload.heartbeat import Heartbeat, Sample, ThreadClock, gil_use

# Four samples a millisecond: enough from some hundredths of a second.
_MEAN_S = 2.5e-4


class Observation(NamedTuple):
    """One portion's payloads, run in a worker that did nothing else. Seconds and bytes are sums.

    Args:
        payloads: how many.
        wall_s, cpu_s, delay_s: in the function: wall time, CPU time, and time ready to run without a CPU. 0 beside a
            heartbeat.
        around_wall_s, around_cpu_s, around_delay_s: the same of the whole portion, pickling included.
        payload_bytes, result_bytes: pickled.
        sample: what a heartbeat saw beside the whole portion; None if there was none.
    """

    payloads: int
    wall_s: float
    cpu_s: float
    delay_s: float
    around_wall_s: float
    around_cpu_s: float
    around_delay_s: float
    payload_bytes: int
    result_bytes: int
    sample: Sample | None = None

    def to_fields(self) -> tuple[Any, ...]:
        """As it crosses a process border; `observation_of` reads it."""
        return (*self[:-1], None if self.sample is None else tuple(self.sample))


class Observer:
    """Measures one portion, in the thread that runs it."""

    def __init__(self, *, has_heartbeat: bool) -> None:
        self._heartbeat = Heartbeat(_MEAN_S) if has_heartbeat else None
        self._clock = ThreadClock(threading.current_thread())
        self._wall_s = self._cpu_s = self._delay_s = 0.0
        self._payloads = self._payload_bytes = self._result_bytes = 0
        if self._heartbeat is not None:
            self._heartbeat.start()
        self._started = self._now()

    def _now(self) -> tuple[float, float, float]:
        return time.perf_counter(), time.thread_time(), self._clock.delay_s()

    def around(self, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """The function with clocks around it, or beside a heartbeat the function itself.

        Reading the clocks takes system calls, and at their end is where a kernel likes to take the CPU from a thread.
        Holding the GIL just then, it would look like one that holds it for long.
        """
        if self._heartbeat is not None:
            return function

        def observed(payload: Any) -> Any:
            wall_s, cpu_s, delay_s = self._now()
            try:
                return function(payload)
            finally:
                ended = self._now()
                self._wall_s += ended[0] - wall_s
                self._cpu_s += ended[1] - cpu_s
                self._delay_s += ended[2] - delay_s

        return observed

    def count(self, payload_bytes: int, result_bytes: int) -> None:
        """One payload has ended."""
        self._payloads += 1
        self._payload_bytes += payload_bytes
        self._result_bytes += result_bytes

    def stop(self) -> Observation:
        """Ends the measurement."""
        wall_s, cpu_s, delay_s = (end - start for start, end in zip(self._started, self._now(), strict=True))
        sample = self._heartbeat.stop() if self._heartbeat is not None else None
        self._clock.close()
        return Observation(
            self._payloads,
            self._wall_s,
            self._cpu_s,
            self._delay_s,
            wall_s,
            cpu_s,
            delay_s,
            self._payload_bytes,
            self._result_bytes,
            sample,
        )


def observation_of(fields: Sequence[Any]) -> Observation:
    """The observation that crossed a process border."""
    *numbers, sample = fields
    return Observation._make([*numbers, None if sample is None else Sample(*sample)])


def cost_of(observations: Sequence[Observation]) -> WorkCost | None:
    """The mean cost of a payload, from portions without a heartbeat and portions beside one; None without both.

    Waiting shows only in the first kind, because a heartbeat makes a function wait for the GIL; the share of CPU time
    that holds the GIL shows only in the second. Pickling holds it throughout, and is no part of the function.
    """
    alone = [each for each in observations if each.sample is None and each.payloads]
    beside = [(each, each.sample) for each in observations if each.sample is not None and each.payloads]
    if not alone or not beside:
        return None
    payloads = sum(each.payloads for each in alone)
    cpu_s = sum(each.cpu_s for each in alone) / payloads
    wall_s = max(sum(each.wall_s - each.delay_s for each in alone) / payloads, cpu_s)
    pickle_s = sum(each.around_cpu_s - each.cpu_s for each in alone) / payloads
    # A function that takes less than its pickling cannot be told from it: the two are taken for alike.
    apart_s = pickle_s if pickle_s < cpu_s else 0.0
    held_s = native_held_s = releases = 0.0
    for each, sample in beside:
        use = gil_use(sample)
        held_s += max(use.held_share * each.around_cpu_s - apart_s * each.payloads, 0.0)
        native_held_s += use.native_held_share * each.around_cpu_s
        releases += use.releases_per_s * each.around_cpu_s
    beside_cpu_s = max(sum(each.around_cpu_s - apart_s * each.payloads for each, _ in beside), 1e-9)
    every = [*alone, *(each for each, _ in beside)]
    count = sum(each.payloads for each in every)
    return WorkCost(
        wall_s=wall_s,
        cpu_s=cpu_s,
        held_s=min(held_s / beside_cpu_s, 1.0) * cpu_s,
        native_held_s=min(native_held_s / beside_cpu_s, 1.0) * cpu_s,
        gil_waits=releases / sum(each.payloads for each, _ in beside),
        payload_bytes=sum(each.payload_bytes for each in every) / count,
        result_bytes=sum(each.result_bytes for each in every) / count,
        # The parent does the same with the same bytes, the other way round.
        pickle_s=pickle_s,
        worker_pickle_s=pickle_s,
    )
