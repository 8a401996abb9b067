"""The share of CPU time with the GIL, from what a heartbeat noted."""

from __future__ import annotations

import hashlib
import pickle
import random
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from scraper.offload.heartbeat import (
    SWITCH_INTERVAL_S,
    WAKE_S,
    Beat,
    GilUse,
    Heartbeat,
    Sample,
    ThreadClock,
    gil_use,
    summarise,
)

MS = 1e-3

# A hold that ends sooner goes unseen: the heartbeat was still on its way to sleep.
BLIND_S = 5e-6


def use_of(*beats: Beat, times: int = 200) -> GilUse:
    return gil_use(summarise(beats * times))


class Watched:
    """A thread that takes turns between holding the GIL and computing without it, as a heartbeat would see it.

    Args:
        held_s, free_s: how long each of its turns is.
        gives_way: Python, which lets the GIL go when asked; otherwise C, which keeps it to the end of the turn.
        waits_s: sleep after each turn without the GIL.
    """

    def __init__(self, held_s: float, free_s: float, *, gives_way: bool, waits_s: float = 0.0) -> None:
        self._turns = (held_s, free_s, waits_s)
        self._gives_way = gives_way

    def beats(self, mean_s: float, count: int, seed: int = 1) -> list[Beat]:
        rng = random.Random(seed)
        length_s = sum(self._turns)
        found = []
        now_s = 0.0
        for _ in range(count):
            free_s = rng.expovariate(1 / mean_s)
            place_s = (now_s + free_s) % length_s
            blocked_s = 0.0
            if place_s < self._turns[0]:
                blocked_s = self._turns[0] - place_s
                if self._gives_way:
                    blocked_s = min(blocked_s, SWITCH_INTERVAL_S)
            if blocked_s < BLIND_S:
                blocked_s = 0.0
            cpu_s = self._cpu_until(now_s + free_s + blocked_s) - self._cpu_until(now_s)
            now_s += free_s + blocked_s
            found.append(Beat(free_s, blocked_s + WAKE_S if blocked_s else 0.0, cpu_s, 0.0))
        return found

    def _cpu_until(self, wall_s: float) -> float:
        busy_s = self._turns[0] + self._turns[1]
        turns, rest_s = divmod(wall_s, sum(self._turns))
        return turns * busy_s + min(rest_s, busy_s)


@pytest.mark.parametrize("gives_way", [True, False], ids=["Python", "C"])
@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("turn_s", [0.3 * MS, 1 * MS, 10 * MS, 50 * MS])
def test_the_share_is_found_however_the_work_is_cut(turn_s: float, share: float, gives_way: bool) -> None:
    """Regular work beside a regular clock would be seen in step; instants of a Poisson process are not."""
    watched = Watched(share * turn_s, (1 - share) * turn_s, gives_way=gives_way)
    use = gil_use(summarise(watched.beats(0.5 * MS, 20_000)))
    assert use.held_share == pytest.approx(share, abs=0.05)


def test_sleep_does_not_bend_the_share() -> None:
    watched = Watched(2 * MS, 2 * MS, gives_way=True, waits_s=6 * MS)
    assert gil_use(summarise(watched.beats(0.5 * MS, 20_000))).held_share == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("held_ms", [5, 20])
def test_c_that_keeps_the_gil_is_told_from_python_that_gives_it(held_ms: int) -> None:
    keeps = gil_use(summarise(Watched(held_ms * MS, held_ms * MS, gives_way=False).beats(0.5 * MS, 20_000)))
    gives = gil_use(summarise(Watched(held_ms * MS, held_ms * MS, gives_way=True).beats(0.5 * MS, 20_000)))
    assert keeps.native_held_share == pytest.approx(0.5, abs=0.07)
    assert gives.native_held_share == 0.0


def test_how_often_the_gil_is_let_go_is_counted() -> None:
    """A thousand turns of a millisecond in a second."""
    use = gil_use(summarise(Watched(0.5 * MS, 0.5 * MS, gives_way=True).beats(0.5 * MS, 20_000)))
    assert use.releases_per_s == pytest.approx(1000, rel=0.2)


def test_the_true_share_lies_within_the_uncertainty() -> None:
    """Nineteen times out of twenty is what two standard errors promise."""
    watched = Watched(2 * MS, 3 * MS, gives_way=True)
    uses = [gil_use(summarise(watched.beats(0.5 * MS, 400, seed))) for seed in range(100)]
    assert sum(abs(use.held_share - 0.4) <= use.uncertainty for use in uses) >= 93


def test_more_beats_leave_less_uncertainty() -> None:
    beats = Watched(2 * MS, 3 * MS, gives_way=True).beats(0.5 * MS, 4_000)
    uncertain = [gil_use(summarise(beats[:count])).uncertainty for count in (40, 400, 4_000)]
    assert all(more < less for less, more in pairwise(uncertain))


def test_a_beat_in_which_the_watched_thread_had_no_cpu_counts_for_nothing() -> None:
    """On a busy machine most beats are such, and the thread was in the same state before and after."""
    stalled = Beat(1 * MS, 0.0, 0.0, 1 * MS)
    moved = Beat(1 * MS, 0.15 * MS, 1.1 * MS, 0.0)
    assert use_of(stalled, stalled, moved).held_share > 0.95


def test_a_thread_that_never_ran_is_taken_for_python_without_any_certainty() -> None:
    assert gil_use(Sample()) == GilUse(1.0, 0.0, 0.0, 1.0)
    assert use_of(Beat(1 * MS, 0.0, 0.0, 0.0)).uncertainty == 1.0


def test_a_call_that_keeps_the_gil_all_the_time_is_seen_by_one_beat() -> None:
    use = use_of(Beat(0.5 * MS, 900 * MS, 900.5 * MS, 0.0), times=1)
    assert use.held_share > 0.9
    assert use.native_held_share > 0.9


def test_a_sample_is_a_tuple_of_numbers() -> None:
    """It crosses to other processes, and to programs that know nothing of this class."""
    sample = summarise([Beat(1 * MS, 0.2 * MS, 1 * MS, 0.0)] * 5)
    assert all(isinstance(number, int | float) for number in sample)
    assert Sample(*pickle.loads(pickle.dumps(tuple(sample)))) == sample


def watch(function: Callable[[], object], for_s: float = 0.5) -> Sample:
    heartbeat = Heartbeat(0.5 * MS)
    heartbeat.start()
    ends_s = time.monotonic() + for_s
    while time.monotonic() < ends_s:
        function()
    return heartbeat.stop()


def test_python_is_seen_to_hold_the_gil_and_c_to_let_it_go() -> None:
    """Beside other tests on a busy machine: hence the margins."""
    python = gil_use(watch(lambda: sum(range(2_000))))
    native = gil_use(watch(lambda: hashlib.pbkdf2_hmac("sha256", b"a", b"b", 20_000)))
    assert python.held_share > 0.7
    assert native.held_share < 0.3


def test_a_heartbeat_leaves_nothing_behind() -> None:
    interval_s = sys.getswitchinterval()
    watch(lambda: time.sleep(0.01), for_s=0.05)
    assert sys.getswitchinterval() == pytest.approx(interval_s)
    assert [thread for thread in threading.enumerate() if thread.name == "heartbeat"] == []


def test_a_thread_can_watch_another_one() -> None:
    done = threading.Event()
    worker = threading.Thread(target=done.wait)
    worker.start()
    clock = ThreadClock(worker)
    heartbeat = Heartbeat(0.5 * MS, watched=worker)
    heartbeat.start()
    time.sleep(0.05)
    sample = heartbeat.stop()
    assert sample.beats > 0
    assert sample.cpu_s < 0.04
    assert clock.delay_s() >= 0.0
    clock.close()
    done.set()
    worker.join()


def test_without_clocks_that_other_threads_can_read_python_still_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS has none."""
    monkeypatch.delattr(time, "pthread_getcpuclockid", raising=False)
    assert gil_use(watch(lambda: sum(range(2_000)))).held_share > 0.6
