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


class Route:
    """A lane's way to one executor.

    Args:
        strategy: which executor, and why.
        executor: the place itself.
        queue: the lane's jobs there.
    """

    __slots__ = ("executor", "queue", "strategy")

    def __init__(self, strategy: Strategy, executor: Executor, queue: Queue) -> None:
        self.strategy = strategy
        self.executor = executor
        self.queue = queue

    def submit(self, job: Job) -> None:
        job.queue = self.queue
        self.queue.unended[job] = None
        self.executor.submit(job)


class Lane:
    """Payloads of one work, of one user of the pool; `OffloadPool.lane` makes it.

    Lanes take turns, and closing one drops only its own payloads. A lane takes whatever it is given: how much may
    be under way is for its user to bound, who learns of each end.

        async with pool.lane(work) as lane:
            lane.submit(payload, len(payload), done)

    With `executor="auto"` a lane may change its executor at any time: what waits changes over, what runs ends where
    it is.

    Args:
        work: what is done with each payload.
        route: where to.
        on_close: called once, with the lane.
        cell: gives the route for payloads that are known to have ended a process.
        refuge: gives the route for payloads that may end or block their worker; None where nothing is to be chosen.
    """

    def __init__(
        self,
        work: Work,
        route: Route,
        on_close: Callable[[Lane], None],
        cell: Callable[[], Route],
        refuge: Callable[[], Route] | None = None,
    ) -> None:
        self.work = work
        self._route = route
        self._on_close = on_close
        self._cell = cell
        self._refuge = refuge
        self._routes = {route.strategy.place: route}
        self._is_closed = False
        self.overdue = asyncio.Event()
        self._adopt(route)

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else f"{self.unended} under way, {self.waiting} of them waiting"
        return f"<Lane {self.work.title} [{self.strategy.executor}: {state}]>"

    @property
    def strategy(self) -> Strategy:
        """Where payloads go now, and why there."""
        return self._route.strategy

    @property
    def route(self) -> Route:
        """Where payloads go now."""
        return self._route

    @property
    def used(self) -> list[tuple[Strategy, int]]:
        """Where payloads went, and how many ended there; the strategy of now is the last."""
        routes = [route for route in self._routes.values() if route is not self._route and route.queue.items]
        return [(route.strategy, route.queue.items) for route in [*routes, self._route]]

    @property
    def unended(self) -> int:
        """Payloads that were submitted and have not ended."""
        return sum(len(route.queue.unended) for route in self._routes.values())

    @property
    def waiting(self) -> int:
        """Payloads that no worker has yet."""
        return sum(len(route.queue.waiting) for route in self._routes.values())

    @property
    def items(self) -> int:
        """Payloads that have ended."""
        return sum(route.queue.items for route in self._routes.values())

    @property
    def run_s(self) -> float:
        """How long they ran, in all."""
        return sum(route.queue.run_s for route in self._routes.values())

    async def prepare(self) -> None:
        """Starts the workers and sets the work up in them. Without it the first payloads wait for that, and a
        set-up that fails is the failure of every payload.

        Raises:
            HandlerNotImportable: the handler's module does not import, or has no such function.
            UsageError: the factory refused otherwise.
            WorkerStartFailed: a worker did not come up, or the factory failed otherwise.
        """
        await self._route.executor.prepare(self.work)

    def submit(
        self,
        payload: Any,
        size_bytes: int,
        done: Callable[[Result], None],
        *,
        is_risky: bool = False,
        is_suspect: bool = False,
    ) -> Job:
        """Sends a payload to a worker.

        Args:
            payload: picklable, and not changed until it has ended.
            size_bytes: about what it takes in memory.
            done: called once with the result, on the event loop, in a later turn of it, together with those of
                other payloads of the same portion. Not called after the lane was closed.
            is_risky: it may end its worker or never return. With `executor="auto"` it goes to a process.
            is_suspect: programs died with it. It has a worker process to itself, whatever the executor.

        Raises:
            NotRunning: the lane or the pool was closed.
        """
        if self._is_closed:
            raise NotRunning("the lane was closed")
        route = self._route
        if is_suspect:
            route = self._add(self._cell())
        elif is_risky and self._refuge is not None and route.strategy.executor != "process":
            route = self._add(self._refuge())
        job = Job(route.queue, payload, size_bytes, done, is_suspect=is_suspect)
        route.queue.unended[job] = None
        route.executor.submit(job)
        return job

    def forget(self, job: Job) -> None:
        """Drops the result of a job that has not ended."""
        job.queue.unended.pop(job, None)

    def switch(self, route: Route) -> None:
        """Sends payloads another way from now on, those that wait included."""
        before, self._route = self._route, self._add(route)
        self._route.strategy = route.strategy
        if before is not self._route:
            for job in before.executor.drop(before.queue):
                del before.queue.unended[job]
                self._route.submit(job)

    def _add(self, route: Route) -> Route:
        known = self._routes.setdefault(route.strategy.place, route)
        if known is route:
            self._adopt(route)
        return known

    def _adopt(self, route: Route) -> None:
        # A process is where a payload can be stopped; from elsewhere it is tried there before it counts as failed.
        if self._refuge is not None and route.strategy.executor not in ("process", "inline"):
            route.queue.take_back = self._on_overdue

    def _on_overdue(self, job: Job, result: Result) -> bool:
        """A payload ran past its deadline where it cannot be stopped: it tries again where it can."""
        if result.failure is None or result.failure.reason != "parse_timeout" or self._is_closed:
            return False
        assert self._refuge is not None
        job.is_suspect = True
        del job.queue.unended[job]
        self._add(self._refuge()).submit(job)
        self.overdue.set()
        return True

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
        self._on_close(self)
        unended: list[Job] = []
        for route in self._routes.values():
            route.executor.drop(route.queue)
            unended += route.queue.unended
            route.queue.unended.clear()
        return unended

    async def __aenter__(self) -> Self:
        await self.prepare()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
