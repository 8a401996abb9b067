"""Threads: payloads are taken one by one, because taking costs nothing; results come back many at a time."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from scraper.errors import NotRunning, ScraperError, WorkerStartFailed
from scraper.model import Failure, Stage
from scraper.offload.backlog import Backlog, Job, Queue, deliver
from scraper.offload.describe import describe_error, failure_reason, setup_error
from scraper.offload.executor import CAN_BE_ENDED, Reply, first_replies, not_ready, settle_reply, setup_failure
from scraper.offload.gil import load
from scraper.offload.values import ExecutorStatistics, Result, Work
from scraper.options import OffloadOptions

logger = logging.getLogger(__name__)

# Waking the loop costs some 15 µs. A hundred times a second for each thread is nothing beside that, and a result
# waits no longer for company; a thread that runs out of work delivers at once.
_DELIVER_EVERY_S = 0.01

# How long a closing pool waits for pages that run. A thread cannot be stopped; one whose page takes longer is left
# behind, ends with its page, and does not keep the program from its end.
_PATIENCE_S = 1.0

# Threads that were given up and run on are replaced, at most so many at a time (or as many as there are workers): a
# few odd pages cost no speed, and what is wrong with every page takes neither the memory nor the whole GIL.
_MOST_LOST = 4

# The loop may have been kept from looking for long, by C code with the GIL, and the page be at its end; it gets this
# long to say so before its thread is given up.
_SECOND_LOOK_S = 0.02

_Build = tuple[Work, Reply]


class ThreadExecutor:
    """Threads that share one backlog.

    A thread cannot be stopped. A payload past its deadline fails, its thread is left to run on, and another takes
    its place. C code that keeps the GIL stops the loop as well, so that its deadline passes unnoticed.

    Args:
        options: portions and limits.
        workers: how many threads.
    """

    def __init__(self, options: OffloadOptions, workers: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._options = options
        self._workers = workers
        self.batch_items = options.batch_items
        self.deadline_s = options.deadline_s or math.inf
        self._lock = threading.Lock()  # held for a few list operations only, also by the event loop
        self._backlog = Backlog()
        self._prepared: set[Work] = set()
        self._threads: list[_Thread] = []
        self._lost: list[_Thread] = []  # given up, and running on
        self._never_ready: dict[Work, ScraperError] = {}
        self._has_started = False
        self._idle: list[_Thread] = []
        self._ended: deque[tuple[Job, Result, float]] = deque()  # with the time of its end, for return_s
        self._is_delivery_due = False
        self._patrol: asyncio.TimerHandle | None = None
        self._build_lock = threading.Lock()  # one import at a time: they would only wait for each other's GIL
        self._running = self._batches = self._items = self._timeouts = self._recovered = 0
        self._is_closing = False

    def __repr__(self) -> str:
        return f"<ThreadExecutor [{self.statistics()}]>"

    async def prepare(self, work: Work) -> None:
        if work in self._prepared:
            return
        self._start()
        if not self._threads:
            raise WorkerStartFailed(self._why_lost())
        idle: list[Reply] = []
        busy: list[Reply] = []
        with self._lock:
            for thread in self._threads:
                reply: Reply = self._loop.create_future()
                thread.builds.append((work, reply))
                if thread.job is not None:
                    busy.append(reply)
                else:
                    idle.append(reply)
                    self._wake(thread)
        await first_replies(work, idle, busy, self._options.start_timeout_s)
        self._prepared.add(work)

    def submit(self, job: Job) -> None:
        if not self._has_started:
            self._start()
        with self._lock:
            self._backlog.put(job)
            if self._idle:
                self._idle.pop().wake.release()
        if self._patrol is None:
            self._patrol = self._loop.call_later(self._patrol_s, self._on_patrol)

    def drop(self, queue: Queue) -> list[Job]:
        with self._lock:
            return self._backlog.drop(queue)

    def statistics(self) -> ExecutorStatistics:
        return ExecutorStatistics(
            "thread",
            workers=len(self._threads),
            running=self._running,
            waiting=self._backlog.items,
            waiting_bytes=self._backlog.bytes,
            batches=self._batches,
            items=self._items,
            timeouts=self._timeouts,
            lost=len(self._lost),
            recovered=self._recovered,
        )

    async def aclose(self) -> None:
        with self._lock:
            self._is_closing = True
            self._backlog.take_all()
            for thread in self._threads:
                for _, reply in thread.builds:
                    settle_reply(reply, NotRunning("the pool was closed"))
                thread.builds.clear()
                self._wake(thread)
        if self._patrol is not None:
            self._patrol.cancel()
        threads, self._threads = self._threads, []
        if threads:
            await asyncio.wait([thread.ended for thread in threads], timeout=_PATIENCE_S)
        left = 0
        for thread in [*threads, *self._lost]:
            if thread.ended.done():
                thread.join()
            else:
                left += 1
        if left:
            logger.warning("left %d threads behind: a thread cannot be stopped before its page ends", left)

    def _start(self) -> None:
        if not self._has_started:
            self._has_started = True
            for index in range(self._workers):
                self._add_thread(index)

    def _add_thread(self, index: int) -> _Thread:
        thread = _Thread(self, index)
        with self._lock:
            self._threads.append(thread)
        thread.start()
        return thread

    def _wake(self, thread: _Thread) -> None:
        """Under the lock: wakes this one thread, if it sleeps."""
        if thread in self._idle:
            self._idle.remove(thread)
            thread.wake.release()

    def take(self, thread: _Thread) -> Job | _Build | None:
        """What a thread does next; None when it shall end. Blocks while there is nothing."""
        while True:
            with self._lock:
                thread.job = None
                if thread.is_lost and not self._has_come_back(thread):
                    return None
                if thread.builds:
                    return thread.builds.popleft()
                job = self._backlog.take()
                if job is not None:
                    self._running += 1
                    thread.job = job
                    return job
                if self._is_closing:
                    return None
                self._idle.append(thread)
            self.announce()
            thread.wake.acquire()
            thread.was_asleep = True

    def _has_come_back(self, thread: _Thread) -> bool:
        """Under the lock: takes note that a lost thread runs on no more; whether it is needed."""
        self._lost.remove(thread)
        self._recovered += 1
        thread.is_lost = False
        if self._is_closing or len(self._threads) >= self._workers:
            return False
        self._threads.append(thread)
        return True

    def end(self, thread: _Thread, job: Job, result: Result, ended_s: float) -> None:
        """Keeps a result until the loop fetches it, unless the job was given up meanwhile."""
        with self._lock:
            thread.until_s = math.inf
            if not thread.is_lost:
                self._ended.append((job, result, ended_s))
                self._running -= 1

    def announce(self) -> None:
        """Has the loop fetch the results, if it is not about to anyway."""
        if self._ended and not self._is_delivery_due:
            self._is_delivery_due = True
            self._loop.call_soon_threadsafe(self._deliver)

    def build(self, thread: _Thread, work: Work) -> Callable[[Any], Any]:
        known = self._never_ready.get(work)
        if known is not None:
            raise known
        # Whoever does not come back from an import shall not keep others from theirs.
        is_alone = self._build_lock.acquire(timeout=self._options.start_timeout_s)
        thread.until_s = time.monotonic() + self._options.start_timeout_s
        try:
            function = load(work.factory, work.args)
            self._never_ready.pop(work, None)
        except BaseException as error:  # noqa: BLE001  # the boundary to the factory, in a thread
            failure = setup_error(work.title, error)
            raise failure from (None if failure is error else error)
        finally:
            thread.until_s = math.inf
            if is_alone:
                self._build_lock.release()
        return function

    def answer(self, reply: Reply, error: ScraperError | None) -> None:
        self._loop.call_soon_threadsafe(settle_reply, reply, error)

    def _deliver(self) -> None:
        started_cpu_s = time.thread_time()
        # Before the results are taken: a thread that adds one from now on announces it again.
        self._is_delivery_due = False
        ended = []
        now_s = time.monotonic()
        while self._ended:
            job, result, ended_s = self._ended.popleft()
            result.return_s = max(0.0, now_s - ended_s)
            ended.append((job, result))
        if not ended:
            return
        self._batches += 1
        self._items += len(ended)
        cpu_s = (time.thread_time() - started_cpu_s) / len(ended)
        for _, result in ended:
            result.return_cpu_s = cpu_s
        deliver(self._loop, ended)

    @property
    def _patrol_s(self) -> float:
        return min(self._options.batch_s, self.deadline_s / 4)

    def _on_patrol(self) -> None:
        """Gives up threads whose page is past its deadline, and fetches results that nobody has announced.

        Such are those of a thread that has got stuck in a later page.
        """
        self._patrol = None
        is_in_doubt = self._give_up_overdue()
        if not self._threads:
            with self._lock:
                waiting = self._backlog.take_all()
            failure = Failure(Stage.EXTRACT, "workers_lost", self._why_lost())
            self._end_unrun((job, Result(failure=failure, executor="thread")) for job in waiting)
        self._deliver()
        if self._backlog or self._running or self._ended:
            wait_s = _SECOND_LOOK_S if is_in_doubt else self._patrol_s
            self._patrol = self._loop.call_later(wait_s, self._on_patrol)

    def _give_up_overdue(self) -> bool:
        """Goes on without the threads that were overdue at the last look and still are; whether there are new ones."""
        now_s = time.monotonic()
        overdue = [thread for thread in self._threads if thread.until_s <= now_s]
        for thread in overdue:
            if thread.doubted_s == thread.until_s:
                self._give_up(thread, now_s)
            thread.doubted_s = thread.until_s
        return bool(overdue)

    def _give_up(self, thread: _Thread, now_s: float) -> None:
        with self._lock:
            if thread.doubted_s != thread.until_s:  # it has ended at this moment
                return
            job, builds = thread.job, list(thread.builds)
            thread.is_lost = True
            thread.builds.clear()
            self._threads.remove(thread)
            self._lost.append(thread)
            self._running -= job is not None
            self._timeouts += 1
        if len(self._lost) <= max(_MOST_LOST, self._workers):
            self._add_thread(thread.index)
        for work, reply in builds:
            settle_reply(reply, not_ready(work, self._options.start_timeout_s))
        failure = self._blame(thread.building)
        if job is not None:
            run_s = now_s - thread.until_s + self.deadline_s
            result = Result(failure=failure, run_s=run_s, executor="thread", worker=thread.index)
            self._end_unrun([(job, result)])

    def _blame(self, building: Work | None) -> Failure:
        if building is not None:
            error = self._never_ready[building] = not_ready(building, self._options.start_timeout_s)
            return setup_failure(error)
        detail = (
            f"it ran past its deadline of {self.deadline_s:g} s; its thread goes on running, because a thread cannot "
            f"be stopped: {CAN_BE_ENDED}"
        )
        return Failure(Stage.EXTRACT, "parse_timeout", detail)

    def _end_unrun(self, ended: Iterable[tuple[Job, Result]]) -> None:
        now_s = time.monotonic()
        self._ended.extend((job, result, now_s) for job, result in ended)

    def _why_lost(self) -> str:
        return f"{len(self._lost)} threads run past a deadline, and a thread cannot be stopped: {CAN_BE_ENDED}"


class _Thread(threading.Thread):
    """One worker. It has a function of its own for each work: factories make what must not be shared."""

    def __init__(self, executor: ThreadExecutor, index: int) -> None:
        super().__init__(name=f"scraper-offload-{index}", daemon=True)
        self.builds: deque[_Build] = deque()
        self.wake = threading.Lock()
        self.wake.acquire()
        self.was_asleep = False
        self.index = index
        self.job: Job | None = None
        self.building: Work | None = None
        self.until_s = math.inf  # when what it does now is past its deadline
        self.doubted_s = 0.0
        self.is_lost = False
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._executor = executor
        self._functions: dict[Work, Callable[[Any], Any] | ScraperError] = {}

    def run(self) -> None:
        try:
            self._work()
            self._loop.call_soon_threadsafe(self.ended.set_result, None)
        except RuntimeError:
            if not self._loop.is_closed():  # then nobody is left who could take a result
                raise

    def _work(self) -> None:
        executor = self._executor
        unannounced, announced_s = 0, time.monotonic()
        while (task := executor.take(self)) is not None:
            if isinstance(task, Job):
                ended_s = self._run_job(task)
                del task  # its payload may be large, and the next one may be long in coming
                unannounced += 1
                if unannounced >= executor.batch_items or ended_s - announced_s >= _DELIVER_EVERY_S:
                    executor.announce()
                    unannounced, announced_s = 0, ended_s
            else:
                work, reply = task
                function = self._functions.get(work)
                if function is None or isinstance(function, ScraperError):
                    function = self._set_up(work)
                executor.answer(reply, function if isinstance(function, ScraperError) else None)

    def _set_up(self, work: Work) -> Callable[[Any], Any] | ScraperError:
        function: Callable[[Any], Any] | ScraperError
        self.building = work
        try:
            function = self._executor.build(self, work)
        except ScraperError as error:
            function = error
        self.building = None
        self._functions[work] = function
        return function

    def _run_job(self, job: Job) -> float:
        work = job.queue.work
        function = self._functions.get(work)
        if function is None:
            function = self._set_up(work)
        if isinstance(function, ScraperError):
            now_s = time.monotonic()
            self._executor.end(self, job, Result(failure=setup_failure(function), executor="thread"), now_s)
            return now_s
        value, failure = None, None
        started_s = time.monotonic()
        self.until_s = started_s + self._executor.deadline_s
        try:
            value = function(job.payload)
        except BaseException as error:  # noqa: BLE001  # the boundary to the user's function; nobody else is in this thread
            failure = Failure(Stage.EXTRACT, failure_reason(error), describe_error(error))
        ended_s = time.monotonic()
        # A thread that slept was woken for this job: what passed since is the hand-off, not a wait for a worker.
        waited_s = started_s - job.submitted_s
        queue_s, handoff_s = (0.0, waited_s) if self.was_asleep else (waited_s, 0.0)
        self.was_asleep = False
        result = Result(value, failure, queue_s, handoff_s, ended_s - started_s, executor="thread", worker=self.index)
        self._executor.end(self, job, result, ended_s)
        return ended_s
