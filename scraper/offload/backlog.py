"""What waits for a worker: jobs in the queues of their lanes, and lanes taking turns."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from scraper.offload.values import Result, Work


class Job:
    """One payload on its way through a pool.

    Args:
        queue: of the lane that submitted it.
        payload: what the function will be called with.
        size_bytes: what it counts for in bounds.
        done: takes its result, on the event loop.
        is_suspect: it may end or block its worker, so it shall have one to itself; threads and the loop have none.
    """

    __slots__ = ("deaths", "done", "is_suspect", "payload", "queue", "size_bytes", "submitted_s")

    def __init__(
        self,
        queue: Queue,
        payload: Any,
        size_bytes: int,
        done: Callable[[Result], None],
        *,
        is_suspect: bool = False,
    ) -> None:
        self.queue = queue
        self.payload = payload
        self.size_bytes = size_bytes
        self.done = done
        self.is_suspect = is_suspect
        self.submitted_s = time.monotonic()
        self.deaths = 0  # of workers that had it beside other jobs


class Queue:
    """One lane's jobs at one executor: `waiting` in order, and all that have not ended. Each ends exactly once.

    Attributes:
        items: how many have ended.
        run_s: how long they ran, in all.
        take_back: asked before a job ends; True if its lane has taken it to try it elsewhere.
    """

    __slots__ = ("items", "run_s", "take_back", "unended", "waiting", "work")

    def __init__(self, work: Work) -> None:
        self.work = work
        self.waiting: deque[Job] = deque()
        self.unended: dict[Job, None] = {}
        self.items = 0
        self.run_s = 0.0
        self.take_back: Callable[[Job, Result], bool] | None = None

    def settle(self, job: Job, result: Result) -> bool:
        """Takes note that the job has ended; False if it had before, is tried elsewhere, or its lane was closed."""
        if job not in self.unended or (self.take_back is not None and self.take_back(job, result)):
            return False
        del self.unended[job]
        self.items += 1
        self.run_s += result.run_s
        return True


def deliver(loop: asyncio.AbstractEventLoop, ended: Iterable[tuple[Job, Result]]) -> None:
    """Ends jobs back to back, in one turn of the loop."""
    for job, result in ended:
        if job.queue.settle(job, result):
            call_done(loop, job, result)


def call_done(loop: asyncio.AbstractEventLoop, job: Job, result: Result) -> None:
    """Hands over a result. What the callback raises is the loop's to report, and does not keep others from theirs."""
    try:
        job.done(result)
    except Exception as error:  # noqa: BLE001  # the boundary to the caller's callback
        loop.call_exception_handler({"message": f"{job.done!r} failed on the result of a page", "exception": error})


class Backlog:
    """Jobs that no worker has, in turns over the lanes, in order within a lane. Not safe to share without a lock."""

    def __init__(self) -> None:
        self._turns: deque[Queue] = deque()  # the queues in which something waits
        self._suspects: deque[Job] = deque()  # jobs that may kill their worker, and shall do it alone
        self.items = 0
        self.bytes = 0

    def __bool__(self) -> bool:
        return self.items > 0

    @property
    def next_is_suspect(self) -> bool:
        return bool(self._suspects)

    @property
    def next_work(self) -> Work:
        """What the next job is for; there must be one."""
        return (self._suspects[0].queue if self._suspects else self._turns[0]).work

    def put(self, job: Job) -> None:
        queue = job.queue
        if not queue.waiting:
            self._turns.append(queue)
        queue.waiting.append(job)
        self.items += 1
        self.bytes += job.size_bytes

    def put_back(self, jobs: Iterable[Job]) -> None:
        """Puts jobs, given in their order, before all others of their lanes, and their lanes before all others."""
        for job in reversed(list(jobs)):
            queue = job.queue
            if not queue.waiting:
                self._turns.appendleft(queue)
            queue.waiting.appendleft(job)
            self.items += 1
            self.bytes += job.size_bytes

    def put_suspect(self, job: Job) -> None:
        self._suspects.append(job)
        self.items += 1
        self.bytes += job.size_bytes

    def take(self) -> Job | None:
        """The next job, from the lane whose turn it is."""
        portion = self.cut(1, 0)
        return portion[0] if portion else None

    def cut(self, max_items: int, max_bytes: int) -> list[Job]:
        """The next portion: a suspect alone, or jobs of one work, from the lane whose turn it is and those behind it.

        Args:
            max_items: no more than so many.
            max_bytes: no further one when the portion has so many; a single job may be larger.
        """
        if self._suspects:
            portion = [self._suspects.popleft()]
            size_bytes = portion[0].size_bytes
        else:
            portion, size_bytes = self._cut(max_items, max_bytes)
        self.items -= len(portion)
        self.bytes -= size_bytes
        return portion

    def _cut(self, max_items: int, max_bytes: int) -> tuple[list[Job], int]:
        turns = self._turns
        portion: list[Job] = []
        size_bytes = 0
        work = turns[0].work if turns else None
        while turns and turns[0].work == work:
            waiting = turns[0].waiting
            while waiting and len(portion) < max_items and (size_bytes < max_bytes or not portion):
                job = waiting.popleft()
                size_bytes += job.size_bytes
                portion.append(job)
            if waiting:
                turns.rotate(-1)
                break
            turns.popleft()
        return portion, size_bytes

    def drop(self, queue: Queue) -> list[Job]:
        """Takes out everything that waits in one queue."""
        gone = [job for job in self._suspects if job.queue is queue]
        for job in gone:
            self._suspects.remove(job)
        if queue.waiting:
            self._turns.remove(queue)
            gone.extend(queue.waiting)
            queue.waiting.clear()
        self.items -= len(gone)
        self.bytes -= sum(job.size_bytes for job in gone)
        return gone

    def take_work(self, work: Work) -> list[Job]:
        """Takes out everything that waits for one work."""
        queues = {job.queue: None for job in self._suspects} | dict.fromkeys(self._turns)
        return [job for queue in queues if queue.work == work for job in self.drop(queue)]

    def take_all(self) -> list[Job]:
        """Empties the backlog."""
        jobs = [*self._suspects, *(job for queue in self._turns for job in queue.waiting)]
        for queue in self._turns:
            queue.waiting.clear()
        self._suspects.clear()
        self._turns.clear()
        self.items = self.bytes = 0
        return jobs
