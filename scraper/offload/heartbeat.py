"""Whether a thread holds the GIL while it runs, seen from a second thread of the same interpreter.

The heartbeat leaves the GIL for a random time, in which it only computes (PBKDF2: no memory traffic), and asks for
it again. If the GIL is free that costs nothing; otherwise the heartbeat is blocked until the watched thread lets go.
Its wall time less its CPU time less its time in the run queue is how long that was. The times between are
exponential, so the instants at which it asks are a Poisson process, and the share of them at which the GIL is held
is the share of time in which it is (Wolff 1982, "Poisson arrivals see time averages"), however regular the watched
thread is.

        watched   ░░░ C, GIL released ░░░░▓▓▓▓ Python ▓▓▓▓▓▓▓▓░░░░░░░░░░
        heartbeat ─── computes ────┤asks: free├─ computes ──┤asks: ▓ blocked ▓├─ computes ──

Time is the watched thread's CPU time, which the heartbeat reads at every beat: what else the machine does stretches a
beat in which the watched thread had no CPU, and such a beat counts for nothing.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
import random
import resource
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

_RUSAGE_THREAD: int | None = getattr(resource, "RUSAGE_THREAD", None)

# More than taking a free GIL costs, less than any wake-up. A hold that ends while the heartbeat is still on its way to
# sleep goes unseen, so a thread that lets the GIL go very often is corrected for the share of these.
_BLOCKED_S = 5e-6

# `native_held_s` in costs.py: C that keeps the GIL for longer than this although another thread asks.
_LONG_S = 1e-3

# With this switch interval Python gives the GIL within 0.2 ms, and so is told from C that keeps it.
SWITCH_INTERVAL_S = 1e-4

# A hold that ends so soon after being asked for was let go by itself, long before the switch interval had passed. Short
# beside most holds: how often they end is seen at their ends only.
_UNASKED_S = 2e-5

# From the release of the GIL to the heartbeat's return with it. The result hardly depends on it.
WAKE_S = 1e-5

# Less than this between two beats is the watched thread's way back to where it was.
_MOVED_S = 4e-5

# On a machine that is busy with other things shares were off by up to a third of the share of time in the run queue.
_BUSY_DOUBT = 0.35

# Samples that are near each other are not independent; so many of them together nearly are.
_BATCH = 8

# Of a cut-off exponential: 1 in 400 is longer, and none keeps `stop` waiting.
_LONGEST_MEANS = 6.0


class Beat(NamedTuple):
    """From one return with the GIL to the next: how long the heartbeat did not want it, and then was blocked.

    Of the same time: what the watched thread ran, and what it was in the run queue.
    """

    free_s: float
    blocked_s: float
    cpu_s: float
    delay_s: float


class Sample(NamedTuple):
    """What a heartbeat saw: sums, so that it crosses to other processes as a tuple of numbers.

    Args:
        beats: how often it asked for the GIL.
        cpu_s: CPU time of the watched thread while it was watched.
        delay_s: its time in the run queue meanwhile.
        free_s: CPU time while the heartbeat did not want the GIL.
        held_free_s: of that, the part in beats at whose end the GIL was held.
        active: beats at whose end the watched thread ran, as far as the time before them tells.
        held, held_s: beats at whose end it held the GIL, and its CPU time from then until it let go.
        long, long_s: of these, the ones longer than a millisecond.
        near, near_s: of these again, the ones shorter than two.
        unclear, unclear_s: others that may have been, if the watched thread had its CPU at the right time.
        released, exposed_s: how often the GIL was let go unasked, in so much time of watching it being held.
        batches, held_held, held_cpu, cpu_cpu: sums of squares and products over batches, for the uncertainty.
    """

    beats: int = 0
    cpu_s: float = 0.0
    delay_s: float = 0.0
    free_s: float = 0.0
    held_free_s: float = 0.0
    active: float = 0.0
    held: int = 0
    held_s: float = 0.0
    long: int = 0
    long_s: float = 0.0
    near: int = 0
    near_s: float = 0.0
    unclear: int = 0
    unclear_s: float = 0.0
    released: int = 0
    exposed_s: float = 0.0
    batches: int = 0
    held_held: float = 0.0
    held_cpu: float = 0.0
    cpu_cpu: float = 0.0

    @property
    def mean_s(self) -> float:
        """CPU time of the watched thread between two instants at which the heartbeat asks."""
        return self.free_s / self.active if self.active else 0.0

    @property
    def queue_share(self) -> float:
        """Of the time in which the watched thread could run, what it had no CPU."""
        return self.delay_s / (self.delay_s + self.cpu_s) if self.cpu_s else 0.0


@dataclass(frozen=True, slots=True)
class GilUse:
    """How a thread uses the GIL.

    Args:
        held_share: of its CPU time, with the GIL.
        native_held_share: of its CPU time, in C that kept the GIL for more than a millisecond.
        releases_per_s: how often it lets the GIL go, for each second of its CPU time.
        uncertainty: of `held_share`, two standard errors.
    """

    held_share: float
    native_held_share: float
    releases_per_s: float
    uncertainty: float


class Heartbeat:
    """Watches one thread. Light enough to run for a tenth of a second beside real work.

    Args:
        mean_s: mean time between two beats; each one interrupts Python code for some hundredths of a millisecond.
        watched: the thread, by default the one that calls `start`.
        switch_interval_s: `sys.setswitchinterval` while it runs; None leaves it, and then C that keeps the GIL
            cannot be told from Python that waits for its interval to end.
    """

    def __init__(
        self,
        mean_s: float = 1e-3,
        *,
        watched: threading.Thread | None = None,
        switch_interval_s: float | None = SWITCH_INTERVAL_S,
    ) -> None:
        self._mean_s = mean_s
        self._watched = watched
        self._switch_interval_s = switch_interval_s
        self._beats: list[Beat] = []
        self._stopping = threading.Event()
        self._is_beating = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Starts it; it beats when this returns."""
        self._clock = ThreadClock(self._watched or threading.current_thread())
        self._usual_interval_s = sys.getswitchinterval()
        if self._switch_interval_s is not None:
            sys.setswitchinterval(self._switch_interval_s)
        self._thread.start()
        self._is_beating.wait()

    def stop(self) -> Sample:
        """Ends it, within a few mean times, and gives what it saw."""
        self._stopping.set()
        self._thread.join()
        sys.setswitchinterval(self._usual_interval_s)
        self._clock.close()
        return self.sample()

    def sample(self) -> Sample:
        """What it saw so far."""
        return summarise(tuple(self._beats))

    def _run(self) -> None:
        compute, watched = hashlib.pbkdf2_hmac, self._clock
        lengths = self._lengths()
        position = random.randrange(len(lengths))  # noqa: S311  # no secret
        own = ThreadClock(threading.current_thread())
        now = _look(own, watched)
        self._is_beating.set()
        while not self._stopping.is_set():
            position = (position + 1) % len(lengths)
            compute("sha256", b"heart", b"beat", lengths[position])
            # From the end of one beat to the end of the next: the GIL may also be taken from it between its own lines.
            before, now = now, _look(own, watched)
            took_s = now.at_s - before.at_s
            blocked_s = took_s - (now.cpu_s - before.cpu_s) - (now.delay_s - before.delay_s)
            if blocked_s <= _BLOCKED_S or (now.sleeps is not None and now.sleeps == before.sleeps):
                if self._stopping.is_set():
                    break  # the watched thread ended before this beat did
                blocked_s = 0.0
            watched_cpu_s = now.watched_cpu_s - before.watched_cpu_s
            watched_delay_s = now.watched_delay_s - before.watched_delay_s
            self._beats.append(Beat(took_s - blocked_s, blocked_s, watched_cpu_s, watched_delay_s))
        own.close()

    def _lengths(self) -> list[int]:
        """Iterations that take exponential times of the mean."""
        mean = self._mean_s / (min(_timed(1000) for _ in range(3)) / 1000)
        return [max(1, round(min(random.expovariate(1.0), _LONGEST_MEANS) * mean)) for _ in range(1024)]


class _Look(NamedTuple):
    """All clocks at one moment; seconds."""

    at_s: float
    cpu_s: float
    delay_s: float
    sleeps: int | None
    watched_cpu_s: float
    watched_delay_s: float


def _look(own: ThreadClock, watched: ThreadClock) -> _Look:
    """Reads all clocks, again if the GIL was lost in between: what it was lost for would be in some of them only."""
    while True:
        sleeps = _sleeps()
        look = _Look(time.perf_counter(), time.thread_time(), own.delay_s(), sleeps, watched.cpu_s(), watched.delay_s())
        if _sleeps() == sleeps:
            return look


def _sleeps() -> int | None:
    """How often this thread has gone to sleep, as it does for a GIL that is held, and does not when it is preempted.

    A preemption costs some hundredths of a millisecond that no clock counts, and looks like a short wait otherwise.
    None where the system does not tell (other than Linux).
    """
    return None if _RUSAGE_THREAD is None else resource.getrusage(_RUSAGE_THREAD).ru_nvcsw


def _timed(iterations: int) -> float:
    started_s = time.thread_time()
    hashlib.pbkdf2_hmac("sha256", b"heart", b"beat", iterations)
    return time.thread_time() - started_s


class ThreadClock:
    """CPU time and run-queue time of any thread of this process, read without letting go of the GIL."""

    def __init__(self, thread: threading.Thread) -> None:
        self._thread = thread.ident or 0
        get_clock = getattr(time, "pthread_getcpuclockid", None)  # not on macOS
        self._cpu_clock: int | None = get_clock(self._thread) if get_clock is not None else None
        self._fd = _open_schedstat(thread.native_id)
        self._buffer = ctypes.create_string_buffer(_SCHEDSTAT_BYTES)

    def cpu_s(self) -> float:
        """Where threads have no clocks that others can read, all that this process ran beside the reader."""
        if self._cpu_clock is not None:
            return time.clock_gettime(self._cpu_clock)
        own_s = time.thread_time()
        return own_s if threading.get_ident() == self._thread else time.process_time() - own_s

    def delay_s(self) -> float:
        """Time in which it could run and had no CPU; 0 where the system does not count that (other than Linux)."""
        if self._fd is None or _pread(self._fd, self._buffer, _SCHEDSTAT_BYTES - 1, 0) <= 0:
            return 0.0
        return int(self._buffer.value.split()[1]) * 1e-9

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


# Three numbers of up to twenty digits.
_SCHEDSTAT_BYTES = 80

# os.pread would let the GIL go, and then wait for it: what the heartbeat measures would depend on its own clock.
_pread = ctypes.PyDLL(None).pread
_pread.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_long)
_pread.restype = ctypes.c_ssize_t


def _open_schedstat(native_id: int | None) -> int | None:
    try:
        return os.open(f"/proc/self/task/{native_id}/schedstat", os.O_RDONLY)
    except OSError:
        return None


def summarise(beats: Sequence[Beat]) -> Sample:
    """The sums over what a heartbeat noted."""
    moved = [_Moved.of(beat) for beat in beats]
    free_s = sum(each.free_s for each in moved)
    active = sum(each.active for each in moved)
    mean_s = free_s / active if active else 0.0
    held = [each for each in moved if each.is_held]
    long = [each for each in held if each.surely_s > _LONG_S]
    near = [each for each in long if each.surely_s < 2 * _LONG_S]
    unclear = [each for each in held if each.surely_s <= _LONG_S < min(each.blocked_s, each.cpu_s)]
    unasked = [each for each in held if each.blocked_s < _UNASKED_S]
    batches = [moved[start : start + _BATCH] for start in range(0, len(moved), _BATCH)]
    pairs = [
        (sum(each.held_s + mean_s * each.is_held for each in batch), sum(each.cpu_s for each in batch))
        for batch in batches
    ]
    return Sample(
        beats=len(beats),
        cpu_s=sum(each.cpu_s for each in moved),
        delay_s=sum(beat.delay_s for beat in beats),
        free_s=free_s,
        held_free_s=sum(each.free_s for each in held),
        active=active,
        held=len(held),
        held_s=sum(each.held_s for each in held),
        long=len(long),
        long_s=sum(each.held_s for each in long),
        near=len(near),
        near_s=sum(each.held_s for each in near),
        unclear=len(unclear),
        unclear_s=sum(each.held_s for each in unclear),
        released=len(unasked),
        exposed_s=sum(min(max(each.blocked_s, _BLOCKED_S), _UNASKED_S) for each in held),
        batches=len(pairs),
        held_held=sum(held_s * held_s for held_s, _ in pairs),
        held_cpu=sum(held_s * cpu_s for held_s, cpu_s in pairs),
        cpu_cpu=sum(cpu_s * cpu_s for _, cpu_s in pairs),
    )


class _Moved(NamedTuple):
    """A beat in the watched thread's CPU time.

    Args:
        cpu_s: all of it.
        held_s: while the heartbeat was blocked.
        free_s: before that.
        active: 1 if it ran all of the time before, less by its sleep.
        is_held: whether it held the GIL when it was asked for.
        blocked_s: how long the heartbeat was blocked, the wake-up left out.
        surely_s: the same, less all that the watched thread spent in the run queue in this beat.
    """

    cpu_s: float
    held_s: float
    free_s: float
    active: float
    is_held: bool
    blocked_s: float
    surely_s: float

    @classmethod
    def of(cls, beat: Beat) -> _Moved:
        blocked_s = max(beat.blocked_s - WAKE_S, 0.0)
        # When in the beat it was held up is not known: evenly, then.
        kept_s = max(blocked_s - beat.delay_s * blocked_s / (beat.free_s + blocked_s), 0.0)
        held_s = min(kept_s, beat.cpu_s)
        free_s = beat.cpu_s - held_s
        asleep_s = max(beat.free_s - free_s - beat.delay_s, 0.0)
        has_moved = free_s > _MOVED_S
        active = free_s / (free_s + asleep_s) if has_moved else 0.0
        surely_s = max(blocked_s - beat.delay_s, 0.0)
        return cls(beat.cpu_s, held_s, free_s, active, has_moved and beat.blocked_s > 0, blocked_s, surely_s)


def gil_use(sample: Sample) -> GilUse:
    """What a sample says of the watched thread. One that never ran is taken for Python, with all uncertainty."""
    if sample.cpu_s <= 0:
        return GilUse(1.0, 0.0, 0.0, 1.0)
    seen, doubt = _seen_share(sample)
    ends_per_s = sample.released / sample.exposed_s if sample.exposed_s else 0.0
    share = min(seen * math.exp(ends_per_s * _BLOCKED_S), 1.0)
    return GilUse(
        held_share=share,
        native_held_share=_native_part(sample) * share,
        releases_per_s=_releases_per_held_s(sample) * share,
        uncertainty=min(_uncertainty(sample, seen) + doubt + (share - seen) / 2, 1.0),
    )


def _seen_share(sample: Sample) -> tuple[float, float]:
    """The share of CPU time with the GIL, and how much two ways to count it leave in doubt.

    By instants: each one stands for the mean time between two. By time: each one stands for the CPU time before it.
    With a CPU for each thread the first is right, and the second too high where one state lasts long. Where they had
    to take turns on a CPU, instants come when the watched thread was stopped, and the first is too low, the second
    too high by about as much.
    """
    by_instants = min((sample.held_s + sample.mean_s * sample.held) / sample.cpu_s, 1.0)
    by_time = min((sample.held_s + sample.held_free_s) / sample.cpu_s, 1.0)
    weight = min(sample.queue_share, 0.5)
    doubt = weight * (abs(by_time - by_instants) + _BUSY_DOUBT)
    return by_instants + weight * (by_time - by_instants), doubt


def _releases_per_held_s(sample: Sample) -> float:
    """The rate at which holds end, seen from the moment on at which an end can be seen."""
    watched_s = max(sample.exposed_s - _BLOCKED_S * sample.held, sample.exposed_s / 2)
    return sample.released / watched_s if watched_s else 0.0


def _native_part(sample: Sample) -> float:
    """The part of the held time that is in long holds, as far as holds can be told to be long or short.

    Each hold counts from the last time it was free. One that was asked for in its last millisecond looks short even
    if it is long. Because instants are exponential there are e^(-1 ms/mean) times as many of these as of those that
    were asked for in the millisecond before.
    """
    mean_s = max(sample.mean_s, 1e-6)
    missed_s = sample.near_s + (mean_s - _LONG_S) * sample.near
    long_s = sample.long_s + mean_s * sample.long + math.exp(-_LONG_S / mean_s) * max(missed_s, 0.0)
    told_s = sample.held_s - sample.unclear_s + mean_s * (sample.held - sample.unclear)
    return min(long_s / told_s, 1.0) if told_s > 0 else 0.0


def _uncertainty(sample: Sample, share: float) -> float:
    """Two standard errors of a ratio of sums over batches; never less than one further beat could change."""
    scatter = sample.held_held - 2 * share * sample.held_cpu + share * share * sample.cpu_cpu
    spread_s = math.sqrt(max(scatter, 0.0) * sample.batches / max(sample.batches - 1, 1))
    return 2 * spread_s / sample.cpu_s + 1.0 / max(sample.active, 1.0)
