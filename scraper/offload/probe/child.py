"""The probe's child: a process that runs one work's function and measures it.

The main thread runs the function. A second one sleeps while calls come back soon; beside a first call that does not
it sets a heartbeat and tells what that sees, so that there is a verdict even if the call never returns.
"""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from scraper.errors import FunctionFailed
from scraper.handlers import AdoptedMain, resolve
from scraper.offload.describe import describe_error, setup_error
from scraper.offload.frames import pack, receive, send
from scraper.offload.heartbeat import Heartbeat, ThreadClock
from scraper.offload.memory import limit_memory
from scraper.offload.probe.values import Crossing, Run, Together
from scraper.offload.progress import Cell
from scraper.offload.worker import die_with_parent

# What the cell says is going on.
STARTING, BUILDING, WARMING, ALONE, BESIDE, PAIRING, DONE = range(7)

# Shares of the budget. The heartbeat gets the most: its uncertainty shrinks with the root of its time. The rest is
# for what ends late.
_WARM, _ALONE, _BESIDE, _PAIR = 0.1, 0.18, 0.38, 0.16

# A call that has run so long gets a heartbeat beside it. Enough to see how much it waits before that.
PATIENCE_S = 0.25

# How often an unfinished call is told of.
TELL_EVERY_S = 0.2

# Half a millisecond gives twice as many samples as one, and takes a hundredth of the watched thread's time.
_MEAN_S = 5e-4

# Failures beyond these say nothing new.
_MOST_FAILURES = 5

Function = Callable[[Any], Any]


def main(socket_fd: int, lifeline_fd: int, cell_fd: int) -> None:
    """Measures the work that the parent sends, and ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    for fd in (socket_fd, lifeline_fd, cell_fd):
        os.set_inheritable(fd, False)
    die_with_parent(lifeline_fd)
    cell = Cell(cell_fd)
    sock = socket.socket(fileno=socket_fd)
    frame = receive(sock)
    if frame is None:
        os._exit(1)
    (factory, args, main_place, argv0, budget_s, memory_bytes), blobs = frame
    sys.argv[:] = [argv0]
    if main_place is not None:
        sys.modules["__main__"] = AdoptedMain(main_place)
    if memory_bytes is not None:
        limit_memory(memory_bytes)
    _Child(sock, cell, factory, args, budget_s).measure([bytes(blob) for blob in blobs])
    os._exit(0)  # whatever threads the function has left behind


class _Child:
    def __init__(self, sock: socket.socket, cell: Cell, factory: str, args: Sequence[str], budget_s: float) -> None:
        self._socket = sock
        self._cell = cell
        self._factory = factory
        self._args = args
        self._budget_s = budget_s
        self._send_lock = threading.Lock()
        self._failed: set[int] = set()

    def measure(self, blobs: Sequence[bytes]) -> None:
        self._cell.write(BUILDING)
        try:
            function = self._build()
        except BaseException as error:  # noqa: BLE001  # the boundary to the factory
            refused = setup_error(self._args[-1] if self._args else self._factory, error)
            self._tell("refused", type(refused).__name__, str(refused))
            return
        is_enabled = getattr(sys, "_is_gil_enabled", None)  # Python 3.13
        self._tell("built", is_enabled() if is_enabled else True)
        self._ends_s = time.monotonic() + self._budget_s
        payloads = self._warm(function, blobs)
        if payloads:
            self._measure(function, payloads)
        self._cell.write(DONE)
        self._tell("done")

    def _build(self) -> Function:
        made: Function = resolve(self._factory)(*self._args)
        return made

    def _measure(self, function: Function, payloads: Sequence[_Payload]) -> None:
        pass_s = sum(payload.warm.wall_s for payload in payloads)
        self._tell("warm", *_mean([payload.warm for payload in payloads]))
        # Without the heartbeat there is no verdict; without these, the first calls have to do.
        if self._has_time_for(2.2 * pass_s):
            self._measure_alone(function, payloads)
        if self._has_time_for(pass_s):
            self._measure_beside(function, payloads)
        if self._has_time_for(min(2.2 * pass_s, _PAIR * self._budget_s)):
            self._measure_pair(payloads)

    def _has_time_for(self, wall_s: float) -> bool:
        return time.monotonic() + wall_s < self._ends_s

    def _tell(self, *what: Any) -> None:
        try:
            with self._send_lock:
                send(self._socket, pack(what))
        except OSError:
            os._exit(1)  # nobody is left to measure for

    # the first calls

    def _warm(self, function: Function, blobs: Sequence[bytes]) -> list[_Payload]:
        """Calls the function with as many payloads as there is time for; gives those that it returned for."""
        watch = _Watch(self._tell)
        worked: list[_Payload] = []
        tried = 0
        enough_s = time.monotonic() + _WARM * self._budget_s
        for index, blob in enumerate(blobs):
            if (worked and time.monotonic() >= enough_s) or not self._has_time_for(0.0):
                break
            self._cell.write(WARMING, tried, index, time.monotonic())
            tried += 1
            try:
                payload = _Payload(index, pickle.loads(blob), len(blob))  # noqa: S301  # from our own parent
                with watch.over(index):
                    payload.warm, _ = _timed(function, payload.value, watch.clock)
                if not worked and payload.warm.wall_s > PATIENCE_S and self._has_time_for(payload.warm.wall_s):
                    with watch.over(index):  # the very first call may have imported something
                        payload.warm, _ = _timed(function, payload.value, watch.clock)
                worked.append(payload)
            except BaseException as error:  # noqa: BLE001  # the boundary to the user's function
                self._tell_failure(index, error)
        watch.end()
        self._tell("warmed", tried)
        return worked

    def _tell_failure(self, index: int, error: BaseException) -> None:
        """Tells of a payload on which the function raised, at first or only later: of each once, of a few in all."""
        if index not in self._failed:
            self._failed.add(index)
            if len(self._failed) <= _MOST_FAILURES:
                self._tell("failed", index, _described(error))

    # the phases

    def _measure_alone(self, function: Function, payloads: Sequence[_Payload]) -> None:
        """The mean over the payloads of each one's median, so that a disturbed call does not count."""
        clock = ThreadClock(threading.current_thread())
        runs: list[list[Run]] = [[] for _ in payloads]
        crossings: list[Crossing] = []
        ends_s = time.monotonic() + _ALONE * self._budget_s
        for passes in itertools.count():
            for payload, own in zip(payloads, runs, strict=True):
                self._cell.write(ALONE, passes, payload.index, time.monotonic())
                try:
                    run, result = _timed(function, payload.value, clock)
                except BaseException as error:  # noqa: BLE001  # the boundary to the user's function
                    self._tell_failure(payload.index, error)
                    continue
                own.append(run)
                if not passes:
                    crossings.append(_cross(payload, result))
                del result
            if time.monotonic() >= ends_s:
                break
        clock.close()
        if crossings:
            self._tell("crossing", *_mean_crossing(crossings))
            self._tell("alone", *_mean([_median(own) for own in runs if own]))

    def _measure_beside(self, function: Function, payloads: Sequence[_Payload]) -> None:
        heartbeat = Heartbeat(_MEAN_S)
        heartbeat.start()
        ends_s = time.monotonic() + _BESIDE * self._budget_s
        while time.monotonic() < ends_s:  # whole passes: every payload as often as the others
            for payload in payloads:
                self._cell.write(BESIDE, 0, payload.index, time.monotonic())
                try:
                    function(payload.value)
                except BaseException as error:  # noqa: BLE001  # the boundary to the user's function
                    self._tell_failure(payload.index, error)
        self._tell("beside", *heartbeat.stop())

    def _measure_pair(self, payloads: Sequence[_Payload]) -> None:
        self._cell.write(PAIRING)
        pair = _Pair(self._build, [payload.value for payload in payloads], _PAIR * self._budget_s)
        together = pair.measure()
        if together is not None:
            self._tell("together", together.payloads, *together.run)


def _since(started: Run, now: Run) -> Run:
    return Run(now.wall_s - started.wall_s, now.cpu_s - started.cpu_s, now.delay_s - started.delay_s)


class _Payload:
    def __init__(self, index: int, value: Any, pickled_bytes: int) -> None:
        self.index = index
        self.value = value
        self.pickled_bytes = pickled_bytes
        self.warm = Run(0.0, 0.0, 0.0)


def _timed(function: Function, value: Any, clock: ThreadClock) -> tuple[Run, Any]:
    delay_s, cpu_s, wall_s = clock.delay_s(), time.thread_time(), time.perf_counter()
    result = function(value)
    wall_s = time.perf_counter() - wall_s
    return Run(wall_s, time.thread_time() - cpu_s, clock.delay_s() - delay_s), result


def _described(error: BaseException) -> str:
    """From where the function was called, which is one call further in than where it was caught."""
    if isinstance(error, FunctionFailed):
        return str(error)
    trace = error.__traceback__
    return describe_error(error.with_traceback(trace.tb_next) if trace is not None and trace.tb_next else error)


def _mean(runs: Sequence[Run]) -> Run:
    return Run(*(statistics.fmean(column) for column in zip(*runs, strict=True)))


def _median(runs: Sequence[Run]) -> Run:
    """Of the time that is its own: what it waited for a CPU differs from call to call."""
    return Run(statistics.median(run.own_wall_s for run in runs), statistics.median(run.cpu_s for run in runs), 0.0)


def _cross(payload: _Payload, result: Any) -> Crossing:
    started_s = time.thread_time()
    sent = pickle.dumps(payload.value, pickle.HIGHEST_PROTOCOL)
    sent_s = time.thread_time()
    pickle.loads(sent)  # noqa: S301  # made here
    received_s = time.thread_time()
    main_s, worker_s = sent_s - started_s, received_s - sent_s
    try:
        returned = pickle.dumps(result, pickle.HIGHEST_PROTOCOL)
        returned_s = time.thread_time()
        pickle.loads(returned)  # noqa: S301  # made here
    except Exception as error:  # noqa: BLE001  # the boundary to the result's own pickling
        text = f"it returned a {type(result).__name__}: {describe_error(error)}"
        return Crossing(payload.pickled_bytes, 0.0, main_s, worker_s, text)
    main_s += time.thread_time() - returned_s
    return Crossing(payload.pickled_bytes, len(returned), main_s, worker_s + returned_s - received_s)


def _mean_crossing(crossings: Sequence[Crossing]) -> Crossing:
    return Crossing(
        payload_bytes=statistics.fmean(each.payload_bytes for each in crossings),
        result_bytes=statistics.fmean(each.result_bytes for each in crossings),
        main_s=statistics.fmean(each.main_s for each in crossings),
        worker_s=statistics.fmean(each.worker_s for each in crossings),
        error=next((each.error for each in crossings if each.error), ""),
    )


class _Watch:
    """Watches over calls in the main thread: sets a heartbeat beside one that does not come back soon."""

    def __init__(self, tell: Callable[..., None]) -> None:
        self.clock = ThreadClock(threading.current_thread())
        self._tell = tell
        self._watched = threading.current_thread()
        self._changed = threading.Condition()
        self._calls = 0  # those that have returned
        self._index: int | None = None
        self._started = Run(0.0, 0.0, 0.0)
        self._has_ended = False
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    @contextmanager
    def over(self, index: int) -> Iterator[None]:
        with self._changed:
            self._index, self._started = index, self._now()
            self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._index = None
                self._calls += 1
                self._changed.notify()

    def end(self) -> None:
        with self._changed:
            self._has_ended = True
            self._changed.notify()
        self._thread.join()
        self.clock.close()

    def _now(self) -> Run:
        return Run(time.perf_counter(), self.clock.cpu_s(), self.clock.delay_s())

    def _run(self) -> None:
        with self._changed:
            while not self._has_ended:
                self._changed.wait_for(lambda: self._index is not None or self._has_ended)
                calls, index, started = self._calls, self._index, self._started
                if index is not None and not self._changed.wait_for(self._has_left(calls), PATIENCE_S):
                    self._accompany(index, calls, started)

    def _has_left(self, calls: int) -> Callable[[], bool]:
        return lambda: self._calls != calls

    def _accompany(self, index: int, calls: int, started: Run) -> None:
        """Under the condition, which its waits let go."""
        heartbeat = Heartbeat(_MEAN_S, watched=self._watched)
        heartbeat.start()
        while not self._changed.wait_for(self._has_left(calls), TELL_EVERY_S):
            self._tell("running", index, _since(started, self._now()), tuple(heartbeat.sample()))
        self._tell("ran", index, _since(started, self._now()), tuple(heartbeat.stop()))


class _Pair:
    """Two threads at once, each with a function of its own, on the same payloads.

    Args:
        build: makes a function, in the thread that will use it.
        values: the payloads.
        window_s: how long.
    """

    def __init__(self, build: Callable[[], Function], values: Sequence[Any], window_s: float) -> None:
        self._build = build
        self._values = values
        self._window_s = window_s
        self._barrier = threading.Barrier(2)
        self._both_run = True
        self._told: list[Together] = []

    def measure(self) -> Together | None:
        """What both did while both ran; None if one of them failed."""
        threads = [threading.Thread(target=self._run, args=(start,), daemon=True) for start in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if len(self._told) < 2:
            return None
        runs = zip(*(each.run for each in self._told), strict=True)
        return Together(sum(each.payloads for each in self._told), Run(*(sum(column) for column in runs)))

    def _run(self, start: int) -> None:
        try:
            function = self._build()
            # The second begins in the middle: with the same payload at the same time both would wait in step.
            middle = start * len(self._values) // 2
            values = itertools.cycle([*self._values[middle:], *self._values[:middle]])
            function(next(values))
            self._barrier.wait()
            self._told.append(self._loop(function, values))
        except BaseException:  # noqa: BLE001  # the function's, or that of the other thread's barrier
            self._barrier.abort()
        finally:
            self._both_run = False

    def _loop(self, function: Function, values: Iterator[Any]) -> Together:
        """Ends with the call during which the time is over or the other thread has ended."""
        clock = ThreadClock(threading.current_thread())
        started = Run(time.perf_counter(), clock.cpu_s(), clock.delay_s())
        ends_s = time.perf_counter() + self._window_s
        payloads = 0
        while True:
            function(next(values))
            payloads += 1
            if time.perf_counter() >= ends_s or not self._both_run:
                break
        ended = Run(time.perf_counter(), clock.cpu_s(), clock.delay_s())
        clock.close()
        return Together(payloads, _since(started, ended))
