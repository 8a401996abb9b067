"""On the event loop itself: nothing to hand over, and nothing else happens meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from scraper.errors import ScraperError
from scraper.model import Failure, Stage
from scraper.offload.backlog import Backlog, Job, Queue, deliver
from scraper.offload.describe import describe_error, failure_reason, setup_error
from scraper.offload.executor import setup_failure
from scraper.offload.gil import load
from scraper.offload.values import ExecutorStatistics, Result, Work


class InlineExecutor:
    """Runs one job in each turn of the loop, so that the loop is held up by one page and not by all that wait.

    A deadline cannot be kept here: while a function runs, nobody is there to look at a clock.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._backlog = Backlog()
        self._functions: dict[Work, Callable[[Any], Any]] = {}
        self._next: asyncio.Handle | None = None
        self._items = 0

    def __repr__(self) -> str:
        return f"<InlineExecutor [{self.statistics()}]>"

    async def prepare(self, work: Work) -> None:
        self._build(work)

    def submit(self, job: Job) -> None:
        self._backlog.put(job)
        if self._next is None:
            self._next = self._loop.call_soon(self._run_next)

    def drop(self, queue: Queue) -> list[Job]:
        return self._backlog.drop(queue)

    def statistics(self) -> ExecutorStatistics:
        backlog = self._backlog
        return ExecutorStatistics("inline", 1, 0, backlog.items, backlog.bytes, self._items, self._items)

    async def aclose(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._backlog.take_all()

    def _build(self, work: Work) -> Callable[[Any], Any]:
        function = self._functions.get(work)
        if function is None:
            try:
                function = self._functions[work] = load(work.factory, work.args)
            except (Exception, SystemExit) as error:  # noqa: BLE001  # the boundary to the factory
                failure = setup_error(work.title, error)
                raise failure from (None if failure is error else error)
        return function

    def _run_next(self) -> None:
        job = self._backlog.take()
        self._next = self._loop.call_soon(self._run_next) if self._backlog else None
        if job is None:
            return
        try:
            function = self._build(job.queue.work)
        except ScraperError as error:
            result = Result(failure=setup_failure(error))
        else:
            result = self._run(function, job)
        self._items += 1
        deliver(self._loop, ((job, result),))

    def _run(self, function: Callable[[Any], Any], job: Job) -> Result:
        value, failure = None, None
        started_s = time.monotonic()
        try:
            value = function(job.payload)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # the boundary to the user's function, which may panic as Rust does
            failure = Failure(Stage.EXTRACT, failure_reason(error), describe_error(error))
        ended_s = time.monotonic()
        return Result(value, failure, started_s - job.submitted_s, 0.0, ended_s - started_s, worker=0)
