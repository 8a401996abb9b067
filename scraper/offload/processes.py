"""Worker processes: portions of the backlog go out, two under way in each worker, and results come back.

The backlog and every decision are here, on the event loop; a worker knows only its portions.

Which worker gets the next portion: an idle one at once, shared fairly among the idle ones; without one, a worker that
runs its only portion, so that it has the next when that ends, unless what it has takes it long anyway. Then the
payloads wait here, where any worker can have them.

What happens to payloads when a worker dies: it has written down which one it was running (`progress`). That one is a
suspect, and runs again alone; if its worker dies again, the page fails. All others run again: nobody knows more
against them. One that has seen three workers die is a suspect too, so that a cause that strikes late comes out.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import pickle
import sys
import time
from collections.abc import Sequence
from typing import Any

from scraper.errors import ScraperError, UsageError, WorkerStartFailed
from scraper.model import Failure, Stage
from scraper.offload.backlog import Backlog, Job, Queue, deliver
from scraper.offload.describe import describe_error, describe_exit
from scraper.offload.executor import Reply, first_replies, setup_failure
from scraper.offload.progress import RUNNING, Doing
from scraper.offload.slot import Portion, Slot
from scraper.offload.values import ExecutorStatistics, Result, Work
from scraper.offload.worker_process import WorkerProcess
from scraper.options import OffloadOptions

# A page that was in so many workers when they died, and was not the running one, is suspected nevertheless.
_DEATHS_OF_AN_INNOCENT = 3

# A work that was set up before, and so often in a row ended the workers that replaced others, is not tried again.
_FATAL_BUILDS = 5

# How much a portion's mean run time moves what is expected of the next: a few portions make a change of page type
# known, and one odd page does not.
_PACE_WEIGHT = 0.3

# A closing pool asks its workers to end after the page they run, then terminates them, then kills them.
_POLITE_S = 1.0
_TERMINATED_S = 1.0

_Ended = list[tuple[Job, Result]]


class ProcessExecutor:
    """Worker processes with one backlog.

    Raises:
        UsageError: the system has no way to hand sockets to a new process.
    """

    def __init__(self, options: OffloadOptions) -> None:
        if os.name != "posix":
            raise UsageError("executor process needs a POSIX system such as Linux or macOS: use thread")
        # What workers return may be of a class of the main script, which they run under this name.
        sys.modules.setdefault("__mp_main__", sys.modules["__main__"])
        self._loop = asyncio.get_running_loop()
        self._options = options
        self._backlog = Backlog()
        self._works: dict[Work, int] = {}
        self._refused: dict[Work, ScraperError] = {}
        self._fatal_builds: dict[Work, int] = {}  # in a row; no entry: it was not set up yet
        self._slots = [Slot(index, options, self._works, self) for index in range(options.worker_count)]
        self._work_numbers = itertools.count()
        self._portion_numbers = itertools.count()
        self._run_s: dict[Work, float] = {}  # what a payload of it is expected to take
        self._dispatch_handle: asyncio.Handle | None = None
        self._has_room = True
        self._is_closing = False
        self._batches = self._items = self._returned = self._crashes = 0

    async def prepare(self, work: Work) -> None:
        if work not in self._works:
            self._introduce(work)
        idle: list[Reply] = []
        busy: list[Reply] = []
        for slot in self._slots:
            reply = slot.pending_build(work)
            if reply is not None:
                (idle if slot.is_idle else busy).append(reply)
        try:
            # An idle worker's slot has its own eye on the time, and ends the worker too.
            await first_replies(work, idle, busy, None if idle else self._options.start_timeout_s)
        except ScraperError as error:
            self._refuse(work, error)
            raise
        if self._is_broken:
            raise self._why_broken()

    def submit(self, job: Job) -> None:
        work = job.queue.work
        if work not in self._works and work not in self._refused:
            self._introduce(work)
        self._backlog.put(job)
        if self._has_room and self._dispatch_handle is None:
            # Not at once: what is submitted in the same turn of the loop is shared out together.
            self._dispatch_handle = self._loop.call_soon(self._dispatch)

    def drop(self, queue: Queue) -> None:
        self._backlog.drop(queue)

    def statistics(self) -> ExecutorStatistics:
        return ExecutorStatistics(
            "process",
            workers=sum(slot.is_ready for slot in self._slots),
            running=sum(slot.outstanding for slot in self._slots),
            waiting=self._backlog.items,
            waiting_bytes=self._backlog.bytes,
            batches=self._batches,
            items=self._items,
            returned=self._returned,
            crashes=self._crashes,
            restarts=sum(max(0, slot.starts - 1) for slot in self._slots),
        )

    async def aclose(self) -> None:
        self._is_closing = True
        self._backlog.take_all()
        if self._dispatch_handle is not None:
            self._dispatch_handle.cancel()
        # One that is starting may be in an import, and would not read what it is asked.
        starting = [slot.process for slot in self._slots if slot.is_starting]
        processes = [process for slot in self._slots if (process := slot.stop()) is not None]
        try:
            for process in processes:
                if process in starting:
                    process.terminate()
                else:
                    process.send(("close",))
            await _wait_ended(processes, _POLITE_S)
            for process in processes:
                process.terminate()
            await _wait_ended(processes, _TERMINATED_S)
        finally:
            for process in processes:
                process.kill_and_reap()

    # works

    def _introduce(self, work: Work) -> None:
        self._refused.pop(work, None)
        self._works[work] = next(self._work_numbers)
        for slot in self._slots:
            slot.build(work)

    def on_built(self, work: Work) -> None:
        self._fatal_builds[work] = 0

    def on_fatal_build(self, work: Work, error: ScraperError) -> bool:
        # What was set up before was perhaps killed by chance, as any worker may be; what never was is to blame.
        fatal_builds = self._fatal_builds.get(work, _FATAL_BUILDS - 1) + 1
        self._fatal_builds[work] = fatal_builds
        if fatal_builds >= _FATAL_BUILDS:
            self._refuse(work, error)
            return True
        return False

    def _refuse(self, work: Work, error: ScraperError) -> None:
        """Fails what waits for this work; workers to come do not set it up."""
        self._fatal_builds.pop(work, None)
        self._works.pop(work, None)
        self._refused[work] = error
        self._fail(self._backlog.take_work(work), setup_failure(error))

    # handing out

    def on_room(self) -> None:
        self._has_room = True
        self._dispatch()

    def _dispatch(self) -> None:
        """Hands out what waits, as far as there is room."""
        self._dispatch_handle = None
        while self._backlog and not self._is_closing:
            work = self._backlog.next_work
            if work in self._refused:
                self._fail(self._backlog.take_work(work), setup_failure(self._refused[work]))
                continue
            group = self._slots_with_room()
            if not group and self._is_broken:
                self._fail(self._backlog.take_all(), setup_failure(self._why_broken()))
                return
            if not group:
                self._has_room = False
                return
            slot = min(group, key=lambda slot: slot.outstanding)
            self._hand_out(slot, self._portion_items(work, len(group)))

    def _slots_with_room(self) -> list[Slot]:
        idle = [slot for slot in self._slots if slot.is_ready and slot.is_idle]
        if idle or self._backlog.next_is_suspect:  # which waits for a worker of its own
            return idle
        return [slot for slot in self._slots if slot.is_ready and self._takes_another(slot)]

    def _takes_another(self, slot: Slot) -> bool:
        """Whether a portion may wait in this worker behind the one that runs."""
        if len(slot.portions) > 1 or slot.late_portion is not None:
            return False
        portion = next(iter(slot.portions.values()))
        expected_s = len(portion.jobs) * self._run_s.get(portion.work, 0.0)
        return not portion.is_alone and expected_s <= self._options.batch_s

    def _portion_items(self, work: Work, workers: int) -> int:
        """An equal share, that ends well before its deadline if its pages are like those before."""
        items = min(self._options.batch_items, math.ceil(self._backlog.items / workers))
        run_s = self._run_s.get(work)
        return items if run_s is None else max(1, min(items, int(self._options.batch_s / 2 / max(run_s, 1e-6))))

    def _hand_out(self, slot: Slot, max_items: int) -> None:
        started_cpu_s = time.thread_time()
        is_alone = self._backlog.next_is_suspect
        portion = None
        blobs = []
        unpicklable: _Ended = []
        for job in self._backlog.cut(max_items, self._options.batch_bytes):
            try:
                blobs.append(pickle.dumps(job.payload, pickle.HIGHEST_PROTOCOL))
            except Exception as error:  # noqa: BLE001  # the boundary to the payload's own pickling
                detail = f"a {type(job.payload).__name__} was submitted: {describe_error(error)}"
                unpicklable.append((job, _failed("payload_not_picklable", detail)))
            else:
                portion = portion or Portion(job.queue.work, is_alone=is_alone)
                portion.add(job)
        if portion is not None:
            slot.run(next(self._portion_numbers), portion, blobs)
            portion.cpu_s = time.thread_time() - started_cpu_s
        if unpicklable:
            self._loop.call_soon(self._end, unpicklable)

    # coming back

    def on_ended(self, slot: Slot, report: Sequence[Any], blobs: list[memoryview], read_cpu_s: float) -> None:
        started_cpu_s = time.thread_time()
        assert slot.process is not None
        number, received_s, records, returned, is_late = report
        portion = slot.portions[number]
        portion.received_s = received_s
        portion.cpu_s += slot.process.take_write_cpu_s()
        if is_late:
            slot.late_portion = next(iter(slot.portions))
        ended = []
        for record, blob in zip(records, blobs, strict=True):
            job = portion.jobs.pop(record[0])
            ended.append((job, _result(job, portion, record, blob, slot.index)))
        self._put_back([portion.jobs.pop(index) for index in returned])
        self._returned += len(returned)
        if not portion.jobs:
            del slot.portions[number]
            if slot.late_portion == number:
                slot.late_portion = None
        if ended:
            slot.succeeded()
            self._learn_pace(portion.work, sum(result.run_s for _, result in ended) / len(ended))
        self.on_room()  # before the results are dealt with: the worker may have nothing to do
        if ended:
            cpu_s = (read_cpu_s + time.thread_time() - started_cpu_s) / len(ended)
            now_s = time.monotonic()
            for (_, result), record in zip(ended, records, strict=True):
                result.return_s = now_s - record[-1]
                result.return_cpu_s = cpu_s
            self._end(ended)

    def _learn_pace(self, work: Work, run_s: float) -> None:
        known_s = self._run_s.get(work, run_s)
        self._run_s[work] = known_s + _PACE_WEIGHT * (run_s - known_s)

    def _put_back(self, jobs: list[Job]) -> None:
        self._backlog.put_back(job for job in jobs if job in job.queue.unended)

    def on_death(self, slot: Slot, doing: Doing, returncode: int) -> None:
        """The page that ran is suspected, or if it ran alone blamed; all others run again."""
        portions, slot.portions = slot.portions, {}
        slot.late_portion = None
        self._crashes += bool(portions)
        again = []
        for number, portion in portions.items():
            for index, job in portion.jobs.items():
                job.deaths += 1
                is_running = doing.state == RUNNING and (number, index) == (doing.number, doing.place)
                if portion.is_alone:
                    detail = f"its worker process ended ({describe_exit(returncode)}) while it ran this page alone"
                    self._loop.call_soon(self._end, [(job, _failed("worker_crashed", detail, slot.index))])
                elif job not in job.queue.unended:
                    pass
                elif is_running or job.deaths >= _DEATHS_OF_AN_INNOCENT:
                    self._backlog.put_suspect(job)
                else:
                    again.append(job)
        self._put_back(again)
        self.on_room()

    @property
    def _is_broken(self) -> bool:
        return all(slot.why_given_up is not None for slot in self._slots)

    def _why_broken(self) -> WorkerStartFailed:
        return WorkerStartFailed(self._slots[-1].why_given_up or "")

    def _fail(self, jobs: Sequence[Job], failure: Failure) -> None:
        if jobs:
            self._loop.call_soon(self._end, [(job, Result(failure=failure, executor="process")) for job in jobs])

    def _end(self, ended: _Ended) -> None:
        self._batches += 1
        self._items += len(ended)
        deliver(self._loop, ended)


def _result(job: Job, portion: Portion, record: Any, blob: memoryview, worker: int) -> Result:
    _, reason, taken_s, started_s, ended_s = record
    value, failure = None, None
    if reason is not None:
        failure = Failure(Stage.EXTRACT, reason, str(blob, "utf-8"))
    else:
        try:
            value = pickle.loads(blob)  # noqa: S301  # from our own worker
        except Exception as error:  # noqa: BLE001  # the boundary to the result's own unpickling
            failure = Failure(Stage.EXTRACT, "result_not_picklable", f"it does not unpickle: {describe_error(error)}")
    return Result(
        value,
        failure,
        # In this process for a worker, and in the worker for its turn: the clock is the same for both.
        queue_s=portion.cut_s - job.submitted_s + taken_s - portion.received_s,
        handoff_s=portion.received_s - portion.cut_s + started_s - taken_s,
        run_s=ended_s - started_s,
        handoff_cpu_s=portion.cpu_s / portion.items,
        executor="process",
        worker=worker,
    )


def _failed(reason: str, detail: str, worker: int | None = None) -> Result:
    return Result(failure=Failure(Stage.EXTRACT, reason, detail), executor="process", worker=worker)


async def _wait_ended(processes: Sequence[WorkerProcess], timeout_s: float) -> None:
    running = [process.ended for process in processes if not process.ended.done()]
    if running:
        await asyncio.wait(running, timeout=timeout_s)
