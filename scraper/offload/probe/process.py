"""Starts the probe's child, takes down what it tells, and ends it."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil

from scraper import errors
from scraper.errors import FunctionFailed, ScraperError, WorkerCrashed, WorkerStartFailed
from scraper.handlers import main_place
from scraper.offload.channel import memory_file
from scraper.offload.describe import describe_exit
from scraper.offload.frames import FrameAssembler, pack, send
from scraper.offload.heartbeat import Sample
from scraper.offload.probe.child import BUILDING, PAIRING, PATIENCE_S, STARTING, TELL_EVERY_S, WARMING
from scraper.offload.probe.values import Crossing, Measured, ProbeFailure, Run, Together
from scraper.offload.progress import CELL_BYTES, Cell, Doing
from scraper.offload.startup import in_same_place, interpreter_options
from scraper.offload.values import Work

# A module that imports for longer makes every worker late; with the default budget all ends within ten seconds.
LOAD_S = 4.5

# Beyond the budget, for the last call that was begun within it.
GRACE_S = 1.0

# When nothing was told for so long while a first call runs, not even a second thread gets to run.
_SILENT_S = PATIENCE_S + 3 * TELL_EVERY_S


class Probing:
    """One measurement. `run` blocks the calling thread; `cancel` may be called from any other.

    Args:
        work: what is measured.
        blobs: its payloads, pickled.
        budget_s: time for measuring; loading the function comes before it.
        memory_bytes: what the child may take for its data; None is without bound.
    """

    def __init__(self, work: Work, blobs: Sequence[bytes], *, budget_s: float, memory_bytes: int | None) -> None:
        self._work = work
        self._blobs = blobs
        self._budget_s = budget_s
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_cancelled = False

    def run(self) -> Measured:
        """What was measured, in about `budget_s`; whatever the function does, its process is gone afterwards.

        Raises:
            UsageError: the factory refused.
            WorkerStartFailed: the process did not start, or the function did not load in it.
            WorkerCrashed: the function ended its process.
            FunctionFailed: the function raised on every payload that it was tried with.
        """
        with ExitStack() as stack:
            child = _Child(stack)
            try:
                with self._lock:
                    self._process = child.start(self._is_cancelled)
                greeting = (
                    self._work.factory,
                    self._work.args,
                    main_place(),
                    sys.argv[0] if sys.argv else "",
                    self._budget_s,
                    self._memory_bytes,
                )
                return _Listener(child, self._work.title, self._budget_s).listen(pack(greeting, self._blobs))
            except OSError as error:
                raise WorkerStartFailed(f"a process for the probe could not be started: {error}") from error

    def cancel(self) -> None:
        """Ends the process, whereupon `run` raises in a moment."""
        with self._lock:
            self._is_cancelled = True
            if self._process is not None:
                self._process.kill()


class _Child:
    """The process and what connects to it; all of it is gone when the stack unwinds."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def start(self, is_cancelled: bool) -> subprocess.Popen[bytes]:
        if is_cancelled:
            raise WorkerCrashed("the probe was cancelled")
        if not sys.executable:
            raise OSError("sys.executable is not set")
        ours = self._stack
        with ExitStack() as theirs:
            self.socket, their_socket = socket.socketpair()
            ours.callback(self.socket.close)
            theirs.callback(their_socket.close)
            lifeline, our_lifeline = os.pipe()
            ours.callback(os.close, our_lifeline)
            theirs.callback(os.close, lifeline)
            cell = memory_file(CELL_BYTES)
            theirs.callback(os.close, cell)
            self.cell = Cell(cell)
            ours.callback(self.cell.close)
            call = f"main({their_socket.fileno()}, {lifeline}, {cell})"
            # What a function prints is not wanted a thousand times.
            self.process = subprocess.Popen(  # noqa: S603  # our own program
                [
                    sys.executable,
                    *interpreter_options(),
                    "-c",
                    in_same_place(f"from scraper.offload.probe.child import {call.partition('(')[0]}; {call}"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(their_socket.fileno(), lifeline, cell),
                process_group=0,
            )
            ours.callback(self.process.wait)
            ours.callback(self.process.kill)
        return self.process


class _Listener:
    def __init__(self, child: _Child, title: str, budget_s: float) -> None:
        self._child = child
        self._title = title
        self._budget_s = budget_s
        self._measured = Measured()
        self._is_built = False
        self._is_done = False
        self._heard_s = time.monotonic()
        self._quiet = Run(self._heard_s, 0.0, 0.0)  # when it was first seen to be silent, and what it had run by then

    def listen(self, greeting: Sequence[memoryview]) -> Measured:
        # The payloads may be more than a socket takes at once, and the child may die while it reads them.
        threading.Thread(target=self._greet, args=(greeting,), daemon=True).start()
        self._ends_s = time.monotonic() + LOAD_S
        for what in self._frames():
            self._take(what)
        return self._conclude()

    def _greet(self, greeting: Sequence[memoryview]) -> None:
        try:
            with self._child.socket.dup() as sock:
                send(sock, list(greeting))
        except OSError:
            pass  # it is dead, which the reading side will see

    def _frames(self) -> Iterator[tuple[Any, ...]]:
        """Until the child has ended, said that it is done, or had its time."""
        assembler = FrameAssembler()
        poll = select.poll()
        poll.register(self._child.socket, select.POLLIN)
        while not self._is_done and (left_s := self._ends_s - time.monotonic()) > 0:
            if not poll.poll(1000 * min(left_s, TELL_EVERY_S)):
                self._look()
                continue
            frames = assembler.read(self._child.socket)
            if frames is None:
                return
            for what, _ in frames:
                self._heard_s = time.monotonic()
                yield what

    def _look(self) -> None:
        """Notes from when on a call counts that stays silent."""
        if self._quiet.wall_s <= self._heard_s:
            self._quiet = _ran(self._child.process.pid)

    def _take(self, what: tuple[Any, ...]) -> None:
        measured = self._measured
        match what:
            case ("built", has_gil):
                self._is_built = True
                measured.has_gil = has_gil
                self._ends_s = time.monotonic() + self._budget_s + GRACE_S
            case ("refused", kind, message):
                raise _refusal(kind, message)
            case ("failed", index, detail):
                measured.failures.append(ProbeFailure(index, detail))
            case ("warmed", tried):
                measured.tried = tried
            case ("running" | "ran" as state, index, run, sample):
                measured.long_run, measured.long_sample = Run(*run), Sample(*sample)
                measured.unfinished_index = index if state == "running" else None
            case ("alone", *run):
                measured.alone = Run(*run)
            case ("warm", *run):
                measured.warm = Run(*run)
            case ("crossing", *crossing):
                measured.crossing = Crossing(*crossing)
            case ("beside", *sample):
                measured.sample = Sample(*sample)
            case ("together", payloads, *run):
                measured.together = Together(payloads, Run(*run))
            case ("done",):
                self._is_done = True

    def _conclude(self) -> Measured:
        """What it means that no more is to be heard."""
        measured, doing = self._measured, self._child.cell.read()
        how = self._how_it_ended()
        if doing.state in (STARTING, BUILDING) and not self._is_built:
            raise self._not_ready(how)
        if measured.warm is None:
            self._conclude_first_calls(how, doing)
        elif doing.state == PAIRING and not self._is_done:
            measured.threads_error = how or "did not come to an end in the time there was"
        elif how:
            raise WorkerCrashed(f"{self._title!r} ended its process ({how}) on a page that it had returned from before")
        elif not self._is_done:
            self._give_up(doing)
        return measured

    def _how_it_ended(self) -> str:
        """How the process ended by itself; empty if it runs, or had told everything."""
        if self._is_done:
            return ""
        try:
            # Its socket closes a moment before it is dead.
            returncode = self._child.process.wait(0.0 if time.monotonic() >= self._ends_s else 1.0)
        except subprocess.TimeoutExpired:
            return ""
        return describe_exit(returncode)

    def _not_ready(self, how: str) -> WorkerStartFailed:
        if how:
            return WorkerStartFailed(f"{self._title!r} ended its process while it was loaded ({how})")
        return WorkerStartFailed(
            f"{self._title!r} was not loaded within {LOAD_S:g} s: a worker imports its module, "
            'so what the module does at import belongs under if __name__ == "__main__"'
        )

    def _conclude_first_calls(self, how: str, doing: Doing) -> None:
        measured = self._measured
        if how:
            raise WorkerCrashed(
                f"{self._title!r} ended its process ({how}) on page {doing.place + 1}: "
                "only a worker process may do that, so use executor process"
            )
        if doing.state != WARMING:
            first = measured.failures[0].detail if measured.failures else "there was no page"
            raise FunctionFailed(f"{self._title!r} raised on every page that it was tried with, as in: {first}")
        measured.tried = doing.number + 1
        self._give_up(doing)
        if time.monotonic() - self._heard_s > _SILENT_S:
            measured.silent = Run(
                *(now - then for now, then in zip(_ran(self._child.process.pid), self._quiet, strict=True))
            )

    def _give_up(self, doing: Doing) -> None:
        self._measured.unfinished_index = doing.place
        self._measured.unfinished_s = time.monotonic() - doing.since_s


def _ran(pid: int) -> Run:
    """The time, and until now the CPU and run-queue time of another process's main thread, or of all of it."""
    try:
        # Linux has both, of a thread that runs at this moment up to the last tick.
        cpu_ns, delay_ns, _ = Path(f"/proc/{pid}/task/{pid}/schedstat").read_text(encoding="ascii").split()
        return Run(time.monotonic(), int(cpu_ns) * 1e-9, int(delay_ns) * 1e-9)
    except (OSError, ValueError):
        with suppress(psutil.Error):
            times = psutil.Process(pid).cpu_times()
            return Run(time.monotonic(), times.user + times.system, 0.0)
    return Run(time.monotonic(), 0.0, 0.0)


def _refusal(kind: str, message: str) -> ScraperError:
    refused = getattr(errors, kind, WorkerStartFailed)
    error: ScraperError = refused(message)
    return error
