"""Threads: payloads are taken one by one, because taking costs nothing; results come back many at a time."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from scraper.errors import NotRunning, ScraperError
from scraper.handlers import resolve
from scraper.model import Failure, Stage
from scraper.offload.backlog import Backlog, Job, Queue, deliver
from scraper.offload.describe import describe_error, setup_error
from scraper.offload.executor import Reply, first_replies, settle_reply, setup_failure
from scraper.offload.values import ExecutorStatistics, Result, Work
from scraper.options import OffloadOptions

logger = logging.getLogger(__name__)

# Waking the loop costs some 15 µs. A hundred times a second for each thread is nothing beside that, and a result
# waits no longer for company; a thread that runs out of work delivers at once.
_DELIVER_EVERY_S = 0.01

# How long a closing pool waits for pages that run. A thread cannot be stopped; one whose page takes longer is left
# behind, ends with its page, and does not keep the program from its end.
_PATIENCE_S = 1.0

_Build = tuple[Work, Reply]


class ThreadExecutor:
    """A fixed number of threads that share one backlog."""

    def __init__(self, options: OffloadOptions) -> None:
        self._loop = asyncio.get_running_loop()
        self._options = options
        self.batch_items = options.batch_items
        self._lock = threading.Lock()  # held for a few list operations only, also by the event loop
        self._backlog = Backlog()
        self._prepared: set[Work] = set()
        self._threads: list[_Thread] = []
        self._idle: list[_Thread] = []
        self._ended: deque[tuple[Job, Result, float]] = deque()  # with the time of its end, for return_s
        self._is_delivery_due = False
        self._patrol: asyncio.TimerHandle | None = None
        self._build_lock = threading.Lock()  # one import at a time: they would only wait for each other's GIL
        self._running = self._batches = self._items = 0
        self._is_closing = False

    async def prepare(self, work: Work) -> None:
        if work in self._prepared:
            return
        self._start()
        idle: list[Reply] = []
        busy: list[Reply] = []
        with self._lock:
            for thread in self._threads:
                reply: Reply = self._loop.create_future()
                thread.builds.append((work, reply))
                if thread.is_running:
                    busy.append(reply)
                else:
                    idle.append(reply)
                    self._wake(thread)
        await first_replies(work, idle, busy, self._options.start_timeout_s)
        self._prepared.add(work)

    def submit(self, job: Job) -> None:
        if not self._threads:
            self._start()
        with self._lock:
            self._backlog.put(job)
            if self._idle:
                self._idle.pop().wake.release()
        if self._patrol is None:
            self._patrol = self._loop.call_later(self._options.batch_s, self._on_patrol)

    def drop(self, queue: Queue) -> None:
        with self._lock:
            self._backlog.drop(queue)

    def statistics(self) -> ExecutorStatistics:
        backlog = self._backlog
        return ExecutorStatistics(
            "thread", len(self._threads), self._running, backlog.items, backlog.bytes, self._batches, self._items
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
        if not threads:
            return
        _, late = await asyncio.wait([thread.ended for thread in threads], timeout=_PATIENCE_S)
        if late:
            logger.warning("left %d threads behind: a thread cannot be stopped before its page ends", len(late))
        for thread in threads:
            if thread.ended.done():
                thread.join()

    def _start(self) -> None:
        if not self._threads:
            self._threads = [_Thread(self, index) for index in range(self._options.worker_count)]
            for thread in self._threads:
                thread.start()

    def _wake(self, thread: _Thread) -> None:
        """Under the lock: wakes this one thread, if it sleeps."""
        if thread in self._idle:
            self._idle.remove(thread)
            thread.wake.release()

    def take(self, thread: _Thread) -> Job | _Build | None:
        """What a thread does next; None when it shall end. Blocks while there is nothing."""
        while True:
            with self._lock:
                thread.is_running = False
                if thread.builds:
                    return thread.builds.popleft()
                job = self._backlog.take()
                if job is not None:
                    self._running += 1
                    thread.is_running = True
                    return job
                if self._is_closing:
                    return None
                self._idle.append(thread)
            self.announce()
            thread.wake.acquire()
            thread.was_asleep = True

    def end(self, job: Job, result: Result, ended_s: float) -> None:
        """Keeps a result until the loop fetches it."""
        self._ended.append((job, result, ended_s))
        with self._lock:
            self._running -= 1

    def announce(self) -> None:
        """Has the loop fetch the results, if it is not about to anyway."""
        if self._ended and not self._is_delivery_due:
            self._is_delivery_due = True
            self._loop.call_soon_threadsafe(self._deliver)

    def build(self, work: Work) -> Callable[[Any], Any]:
        with self._build_lock:
            try:
                function: Callable[[Any], Any] = resolve(work.factory)(*work.args)
            except BaseException as error:  # noqa: BLE001  # the boundary to the factory, in a thread
                failure = setup_error(work.title, error)
                raise failure from (None if failure is error else error)
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

    def _on_patrol(self) -> None:
        """Fetches the results of a thread that has got stuck in a later page, and that nobody announced."""
        self._patrol = None
        self._deliver()
        if self._backlog or self._running or self._ended:
            self._patrol = self._loop.call_later(self._options.batch_s, self._on_patrol)


class _Thread(threading.Thread):
    """One worker. It has a function of its own for each work: factories make what must not be shared."""

    def __init__(self, executor: ThreadExecutor, index: int) -> None:
        super().__init__(name=f"scraper-offload-{index}", daemon=True)
        self.builds: deque[_Build] = deque()
        self.wake = threading.Lock()
        self.wake.acquire()
        self.was_asleep = False
        self.is_running = False
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._executor = executor
        self._index = index
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
        try:
            function = self._executor.build(work)
        except ScraperError as error:
            function = error
        self._functions[work] = function
        return function

    def _run_job(self, job: Job) -> float:
        work = job.queue.work
        function = self._functions.get(work)
        if function is None:
            function = self._set_up(work)
        if isinstance(function, ScraperError):
            now_s = time.monotonic()
            self._executor.end(job, Result(failure=setup_failure(function), executor="thread"), now_s)
            return now_s
        value, failure = None, None
        started_s = time.monotonic()
        try:
            value = function(job.payload)
        except BaseException as error:  # noqa: BLE001  # the boundary to the user's function; nobody else is in this thread
            failure = Failure(Stage.EXTRACT, "raised", describe_error(error))
        ended_s = time.monotonic()
        # A thread that slept was woken for this job: what passed since is the hand-off, not a wait for a worker.
        waited_s = started_s - job.submitted_s
        queue_s, handoff_s = (0.0, waited_s) if self.was_asleep else (waited_s, 0.0)
        self.was_asleep = False
        result = Result(value, failure, queue_s, handoff_s, ended_s - started_s, executor="thread", worker=self._index)
        self._executor.end(job, result, ended_s)
        return ended_s
