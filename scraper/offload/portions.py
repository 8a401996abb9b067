"""Workers behind sockets: portions of the backlog go out, two under way in each worker, and results come back.

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
import pickle
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from scraper.errors import ScraperError, WorkerCrashed, WorkerStartFailed
from scraper.model import Failure, Stage
from scraper.offload.backlog import Backlog, Job, Queue, deliver
from scraper.offload.describe import describe_error
from scraper.offload.executor import CAN_BE_ENDED, Reply, first_replies, setup_failure
from scraper.offload.kind import Exit, WorkerHandle, WorkerKind
from scraper.offload.observation import Observation, observation_of
from scraper.offload.progress import RUNNING, Doing
from scraper.offload.slot import Portion, Slot
from scraper.offload.values import ExecutorStatistics, Result, Work
from scraper.options import OffloadOptions

# A page that was in so many workers when they died, and was not the running one, is suspected nevertheless.
_DEATHS_OF_AN_INNOCENT = 3

# A work that was set up before, and so often in a row ended the workers that replaced others, is not tried again.
_FATAL_BUILDS = 5

# Workers that cannot be ended and run on are replaced, at most so many at a time (or as many as there are workers):
# a few odd pages cost no speed, and what is wrong with every page does not fill the memory.
_MOST_LOST = 4

# This process may have been too busy to read what a worker sent; it gets this long to do so before the worker is ended.
_SECOND_LOOK_S = 0.02

# How much a portion's mean run time moves what is expected of the next: a few portions make a change of page type
# known, and one odd page does not.
_PACE_WEIGHT = 0.3

# A closing pool asks its workers to end after the page they run, then terminates them, then kills them.
_POLITE_S = 1.0
_TERMINATED_S = 1.0

_Ended = list[tuple[Job, Result]]


class _Wish(NamedTuple):
    """A portion that shall be measured."""

    work: Work
    items: int
    has_heartbeat: bool
    observed: asyncio.Future[Observation]


class PortionExecutor:
    """Workers of one kind with one backlog.

    Args:
        options: portions and limits.
        workers: how many.
        kind: what they are.
    """

    def __init__(self, options: OffloadOptions, workers: int, kind: WorkerKind) -> None:
        self._loop = asyncio.get_running_loop()
        self._options = options
        self._kind = kind
        self._backlog = Backlog()
        self._works: dict[Work, int] = {}
        self._refused: dict[Work, ScraperError] = {}
        self._fatal_builds: dict[Work, int] = {}  # in a row; no entry: it was not set up yet
        self._slots = [Slot(index, options, kind, self._works, self) for index in range(workers)]
        self._work_numbers = itertools.count()
        self._portion_numbers = itertools.count()
        self._run_s: dict[Work, float] = {}  # what a payload of it is expected to take
        self._wishes: dict[Work, _Wish] = {}
        self._observing: dict[int, tuple[Slot, asyncio.Future[Observation]]] = {}  # by the portion's number
        self._dispatch_handle: asyncio.Handle | None = None
        self._watch_handle: asyncio.TimerHandle | None = None
        self._has_room = True
        self._is_quiet = False
        self._is_closing = False
        self._batches = self._items = self._returned = self._crashes = 0
        self._timeouts = self._lost = self._recovered = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} [{self.statistics()}]>"

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
        if job.is_suspect:
            self._backlog.put_suspect(job)
        else:
            self._backlog.put(job)
        if self._has_room and self._dispatch_handle is None:
            # Not at once: what is submitted in the same turn of the loop is shared out together.
            self._dispatch_handle = self._loop.call_soon(self._dispatch)

    def observe(self, work: Work, *, items: int, has_heartbeat: bool) -> asyncio.Future[Observation]:
        """Has the next portion of a work, up to so many payloads, measured by the worker that runs it.

        Meanwhile the other workers get nothing new, if that is not for long: they would take its CPU.
        The future fails with WorkerCrashed when that worker ends before it has answered.
        """
        wish = _Wish(work, items, has_heartbeat, self._loop.create_future())
        self._wishes[work] = wish
        return wish.observed

    def on_observed(self, number: int, fields: Sequence[Any]) -> None:
        _, observed = self._observing.pop(number)
        self._is_quiet = False
        if not observed.done():
            observed.set_result(observation_of(fields))
        self.on_room()

    def drop(self, queue: Queue) -> list[Job]:
        return self._backlog.drop(queue)

    def statistics(self) -> ExecutorStatistics:
        return ExecutorStatistics(
            self._kind.executor,
            workers=sum(slot.is_ready for slot in self._slots),
            running=sum(slot.outstanding for slot in self._slots),
            waiting=self._backlog.items,
            waiting_bytes=self._backlog.bytes,
            batches=self._batches,
            items=self._items,
            returned=self._returned,
            crashes=self._crashes,
            restarts=sum(max(0, slot.starts - slot.recycled - 1) for slot in self._slots),
            timeouts=self._timeouts,
            lost=self._lost,
            recovered=self._recovered,
            recycled=sum(slot.recycled for slot in self._slots),
        )

    async def aclose(self) -> None:
        self._is_closing = True
        self._backlog.take_all()
        for handle in (self._dispatch_handle, self._watch_handle):
            if handle is not None:
                handle.cancel()
        # One that is starting may be in an import, and would not read what it is asked.
        starting = [slot.worker for slot in self._slots if slot.is_starting]
        workers = [worker for slot in self._slots for worker in slot.stop()]
        try:
            for worker in workers:
                if worker in starting:
                    worker.terminate()
                else:
                    worker.send(("close",))
            await _wait_ended(workers, _POLITE_S)
            for worker in workers:
                worker.terminate()
            await _wait_ended(workers, _TERMINATED_S)
        finally:
            for worker in workers:
                worker.kill_and_reap()

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
            group = [] if self._is_quiet else self._slots_with_room()
            if not group and self._is_broken:
                self._fail(self._backlog.take_all(), self._broken_failure())
                return
            if not group:
                self._has_room = False
                return
            slot = min(group, key=lambda slot: slot.outstanding)
            wish = None if self._backlog.next_is_suspect else self._wishes.pop(work, None)
            if wish is not None and not wish.observed.done():
                self._hand_out(slot, wish.items, wish)
            else:
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

    def _hand_out(self, slot: Slot, max_items: int, wish: _Wish | None = None) -> None:
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
                unpicklable.append((job, self._failed("payload_not_picklable", detail)))
            else:
                has_heartbeat = None if wish is None else wish.has_heartbeat
                portion = portion or Portion(job.queue.work, is_alone=is_alone, has_heartbeat=has_heartbeat)
                portion.add(job)
        if portion is not None:
            number = next(self._portion_numbers)
            if wish is not None:
                self._observing[number] = slot, wish.observed
                self._is_quiet = portion.items * self._run_s.get(portion.work, 0.0) <= self._options.batch_s
            slot.run(number, portion, blobs)
            if self._watch_handle is None and self._options.deadline_s is not None:
                self._watch_handle = self._loop.call_later(self._options.deadline_s, self._watch)
            portion.cpu_s = time.thread_time() - started_cpu_s
        elif wish is not None:
            self._wishes[wish.work] = wish
        if unpicklable:
            self._loop.call_soon(self._end, unpicklable)

    # coming back

    def on_ended(self, slot: Slot, report: Sequence[Any], blobs: list[memoryview], read_cpu_s: float) -> None:
        started_cpu_s = time.thread_time()
        assert slot.worker is not None
        number, received_s, records, returned, is_late, resident_bytes = report
        portion = slot.portions[number]
        portion.received_s = received_s
        portion.cpu_s += slot.worker.take_write_cpu_s()
        if is_late:
            slot.late_portion = next(iter(slot.portions))
        ended = []
        for record, blob in zip(records, blobs, strict=True):
            job = portion.jobs.pop(record[0])
            ended.append((job, self._result(slot, portion, job, record, blob)))
        self._put_back([portion.jobs.pop(index) for index in returned])
        self._returned += len(returned)
        if not portion.jobs:
            del slot.portions[number]
            if slot.late_portion == number:
                slot.late_portion = None
        slot.reported(len(ended), resident_bytes)
        if ended:
            self._learn_pace(portion.work, sum(result.run_s for _, result in ended) / len(ended))
        self.on_room()  # before the results are dealt with: the worker may have nothing to do
        if ended:
            cpu_s = (read_cpu_s + time.thread_time() - started_cpu_s) / len(ended)
            now_s = time.monotonic()
            for (_, result), record in zip(ended, records, strict=True):
                result.return_s = now_s - record[-1]
                result.return_cpu_s = cpu_s
            self._end(ended)

    def _result(self, slot: Slot, portion: Portion, job: Job, record: Any, blob: memoryview) -> Result:
        _, reason, taken_s, started_s, ended_s = record
        value, failure = None, None
        if reason is not None:
            failure = Failure(Stage.EXTRACT, reason, str(blob, "utf-8"))
        else:
            try:
                value = pickle.loads(blob)  # noqa: S301  # from our own worker
            except Exception as error:  # noqa: BLE001  # the boundary to the result's own unpickling
                detail = f"it does not unpickle: {describe_error(error)}"
                failure = Failure(Stage.EXTRACT, "result_not_picklable", detail)
        return Result(
            value,
            failure,
            # In this process for a worker, and in the worker for its turn: the clock is the same for both.
            queue_s=portion.cut_s - job.submitted_s + taken_s - portion.received_s,
            handoff_s=portion.received_s - portion.cut_s + started_s - taken_s,
            run_s=ended_s - started_s,
            handoff_cpu_s=portion.cpu_s / portion.items,
            executor=self._kind.executor,
            worker=slot.index,
        )

    def _learn_pace(self, work: Work, run_s: float) -> None:
        known_s = self._run_s.get(work, run_s)
        self._run_s[work] = known_s + _PACE_WEIGHT * (run_s - known_s)

    def _put_back(self, jobs: list[Job]) -> None:
        self._backlog.put_back(job for job in jobs if job in job.queue.unended)

    def _watch(self) -> None:
        """Ends workers whose page is past its deadline.

        Wakes when the first of the running pages would be: nothing is done for each page.
        """
        self._watch_handle = None
        deadline_s = self._options.deadline_s
        busy = [slot for slot in self._slots if slot.portions]
        if deadline_s is None or not busy:
            return
        now_s = time.monotonic()
        wait_s = deadline_s
        for slot in busy:
            left_s = slot.overdue_in_s(deadline_s, now_s)
            if left_s <= 0.0:
                left_s = deadline_s if slot.end_overdue() else _SECOND_LOOK_S
            wait_s = min(wait_s, left_s)
        if self._watch_handle is None:  # else what ended here was handed out again
            self._watch_handle = self._loop.call_later(wait_s, self._watch)

    def on_death(self, slot: Slot, doing: Doing, ending: Exit, *, is_overdue: bool) -> None:
        """The page that ran is suspected, or if it ran alone blamed; all others run again."""
        portions, slot.portions = slot.portions, {}
        slot.late_portion = None
        for number in [number for number, (observing, _) in self._observing.items() if observing is slot]:
            _, observed = self._observing.pop(number)
            self._is_quiet = False
            if not observed.done():
                observed.set_exception(WorkerCrashed(f"the {self._kind.title} that measured it ended ({ending.how})"))
        self._timeouts += is_overdue
        self._crashes += bool(portions) and not is_overdue
        again = []
        for number, portion in portions.items():
            for index, job in portion.jobs.items():
                job.deaths += 1
                is_running = doing.state == RUNNING and (number, index) == (doing.number, doing.place)
                is_final = portion.is_alone or (is_running and is_overdue and not self._kind.is_killable)
                if is_final:
                    result = self._blamed(slot, doing, ending, is_overdue=is_overdue)
                    self._loop.call_soon(self._end, [(job, result)])
                elif job not in job.queue.unended:
                    pass
                elif is_running or job.deaths >= _DEATHS_OF_AN_INNOCENT:
                    self._backlog.put_suspect(job)
                else:
                    again.append(job)
        self._put_back(again)
        self.on_room()

    def _blamed(self, slot: Slot, doing: Doing, ending: Exit, *, is_overdue: bool) -> Result:
        title = self._kind.title
        if not is_overdue:
            reason = "out_of_memory" if ending.is_out_of_memory else "worker_crashed"
            return self._failed(reason, f"its {title} ended ({ending.how}) while it ran this page alone", slot.index)
        detail = f"it ran past its deadline of {self._options.deadline_s:g} s"
        if self._kind.is_killable:
            detail += f", alone in its {title}"
        else:
            detail += f", and goes on running, because a {title} cannot be stopped: {CAN_BE_ENDED}"
        result = self._failed("parse_timeout", detail, slot.index)
        result.run_s = time.monotonic() - doing.since_s
        return result

    def on_lost(self) -> str | None:
        self._lost += 1
        if self._lost <= max(_MOST_LOST, len(self._slots)):
            return None
        title = self._kind.title
        return f"{self._lost} of them run past a deadline, and a {title} cannot be stopped: {CAN_BE_ENDED}"

    def on_recovered(self) -> None:
        self._lost -= 1
        self._recovered += 1
        if not self._is_closing:
            for slot in self._slots:
                slot.revive()

    @property
    def _is_broken(self) -> bool:
        return all(slot.why_given_up is not None for slot in self._slots)

    def _why_broken(self) -> WorkerStartFailed:
        return WorkerStartFailed(self._slots[-1].why_given_up or "")

    def _broken_failure(self) -> Failure:
        failure = setup_failure(self._why_broken())
        return replace(failure, reason="workers_lost") if self._lost else failure

    def _fail(self, jobs: Sequence[Job], failure: Failure) -> None:
        if jobs:
            self._loop.call_soon(
                self._end, [(job, Result(failure=failure, executor=self._kind.executor)) for job in jobs]
            )

    def _failed(self, reason: str, detail: str, worker: int | None = None) -> Result:
        return Result(failure=Failure(Stage.EXTRACT, reason, detail), executor=self._kind.executor, worker=worker)

    def _end(self, ended: _Ended) -> None:
        self._batches += 1
        self._items += len(ended)
        deliver(self._loop, ended)


async def _wait_ended(workers: Sequence[WorkerHandle], timeout_s: float) -> None:
    running = [worker.ended for worker in workers if not worker.ended.done()]
    if running:
        await asyncio.wait(running, timeout=timeout_s)
