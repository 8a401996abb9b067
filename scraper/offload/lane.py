"""One user's way into a pool, for one work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from scraper.errors import NotRunning
from scraper.model import Failure, Stage
from scraper.offload.backlog import Job, Queue, call_done
from scraper.offload.executor import Executor
from scraper.offload.values import Result, Strategy, Work


class Lane:
    """Payloads of one work, of one user of the pool; `OffloadPool.lane` makes it.

    Lanes take turns, and closing one drops only its own payloads. A lane takes whatever it is given: how much may
    be under way is for its user to bound, who learns of each end.

        async with pool.lane(work) as lane:
            lane.submit(payload, len(payload), done)

    Args:
        work: what is done with each payload.
        strategy: where.
        executor: the place itself.
        on_close: called once, with the lane.
    """

    def __init__(self, work: Work, strategy: Strategy, executor: Executor, on_close: Callable[[Lane], None]) -> None:
        self.work = work
        self.strategy = strategy
        self._executor = executor
        self._on_close = on_close
        self._queue = Queue(work)
        self._is_closed = False

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else f"{self.unended} under way, {self.waiting} of them waiting"
        return f"<Lane {self.work.title} [{self.strategy.executor}: {state}]>"

    @property
    def unended(self) -> int:
        """Payloads that were submitted and have not ended."""
        return len(self._queue.unended)

    @property
    def waiting(self) -> int:
        """Payloads that no worker has yet."""
        return len(self._queue.waiting)

    async def prepare(self) -> None:
        """Starts the workers and sets the work up in them. Without it the first payloads wait for that, and a
        set-up that fails is the failure of every payload.

        Raises:
            HandlerNotImportable: the handler's module does not import, or has no such function.
            UsageError: the factory refused otherwise.
            WorkerStartFailed: a worker did not come up, or the factory failed otherwise.
        """
        await self._executor.prepare(self.work)

    def submit(self, payload: Any, size_bytes: int, done: Callable[[Result], None]) -> None:
        """Sends a payload to a worker.

        Args:
            payload: picklable, and not changed until it has ended.
            size_bytes: about what it takes in memory.
            done: called once with the result, on the event loop, in a later turn of it, together with those of
                other payloads of the same portion. Not called after the lane was closed.

        Raises:
            NotRunning: the lane or the pool was closed.
        """
        if self._is_closed:
            raise NotRunning("the lane was closed")
        job = Job(self._queue, payload, size_bytes, done)
        self._queue.unended[job] = None
        self._executor.submit(job)

    async def aclose(self) -> None:
        """Drops what waits, and the results of what runs."""
        self._close()

    def abort(self, reason: str) -> None:
        """Closes the lane under its user: what has not ended fails, so that nobody waits for it."""
        failure = Failure(Stage.EXTRACT, reason, "the pool was closed before this page had ended")
        loop = asyncio.get_running_loop()
        for job in self._close():
            call_done(loop, job, Result(failure=failure, executor=self.strategy.executor))

    def _close(self) -> list[Job]:
        if self._is_closed:
            return []
        self._is_closed = True
        self._executor.drop(self._queue)
        self._on_close(self)
        unended = list(self._queue.unended)
        self._queue.unended.clear()
        return unended

    async def __aenter__(self) -> Self:
        await self.prepare()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
