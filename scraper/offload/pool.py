"""The pool: the one door to the executors, and the lanes into them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from scraper.errors import HandlerNotImportable, NotRunning, UsageError
from scraper.handlers import import_under_way
from scraper.offload.executors import Executors
from scraper.offload.lane import Lane, Route
from scraper.offload.mapping import Window, size_of
from scraper.offload.steering import Steering
from scraper.offload.strategy import ASIDE, choose
from scraper.offload.values import Place, PoolStatistics, Result, Strategy, Work
from scraper.options import ExecutorName, OffloadOptions

# Between the input of `map` and its consumer: two portions in every worker, and as much again that waits for them or
# for the consumer, so that no worker waits for either.
_PORTIONS_A_WORKER = 4


class OffloadPool:
    """Runs functions in line, in threads, processes or interpreters, beside an event loop.

        async with OffloadPool(clean) as pool:
            async for result in pool.map(documents):
                print(result.unwrap())

    A pool belongs to the event loop in which it was opened, and may be shared by everything that runs there. What
    crashes in a worker process fails its own page; in line, in threads and in interpreters it ends the program.
    With `executor="auto"` each function starts where it is known to run well, is measured on its own first payloads,
    and goes where the roofline says.

    Args:
        function: what `map` and `run` call: a function of one argument at the top level of a module, or its name.
        executor: auto, inline, thread, process or interpreter; None is what the options say.
        workers: threads, processes or interpreters; None is what the options say.
        options: portions and time limits.

    Raises:
        HandlerNotImportable: the function has no name that a worker could import.
        InvalidOption: an unknown executor, or less than one worker.
    """

    def __init__(
        self,
        function: Callable[[Any], Any] | str | None = None,
        *,
        executor: ExecutorName | None = None,
        workers: int | None = None,
        options: OffloadOptions | None = None,
    ) -> None:
        options = options or OffloadOptions()
        self.options = replace(
            options,
            executor=options.executor if executor is None else executor,
            workers=options.workers if workers is None else workers,
        )
        self._work = None if function is None else Work.of(function)
        self._executors = Executors(self.options)
        self._steering: Steering | None = None
        self._lanes: set[Lane] = set()
        self._own_lane: Lane | None = None
        self._is_open = False

    def __repr__(self) -> str:
        parts = [
            f"{each.executor}: {each.workers} workers, {each.running} running, {each.waiting} waiting"
            for each in self.statistics().executors
        ]
        return f"<OffloadPool [{' | '.join(parts) or 'no workers'}{'' if self._is_open else ', closed'}]>"

    @property
    def executor(self) -> ExecutorName:
        """As asked for; `strategy` says where a work really goes."""
        return self.options.executor

    @property
    def workers(self) -> int:
        return self.options.worker_count

    def strategy(self, work: Work) -> Strategy:
        """Where payloads of this work go, and why; with `auto` as it was last measured."""
        return self._steering.strategy(work) if self._steering is not None else choose(work, self.options)

    def predicted(self, work: Work) -> Mapping[Place, float]:
        """Payloads a second that each strategy was predicted to do; empty as long as nothing was measured."""
        return self._steering.predicted.get(work, {}) if self._steering is not None else {}

    def statistics(self) -> PoolStatistics:
        return PoolStatistics(self._executors.statistics())

    def lane(self, work: Work) -> Lane:
        """A way in for one user and one work. Preparing it is what starts workers, if any are needed.

        Raises:
            NotRunning: the pool is not open.
            UsageError: this system has no such executor.
        """
        if not self._is_open:
            raise NotRunning('the pool is not open: use it inside "async with"')
        route = self._executors.route(self.strategy(work), work)
        steering = self._steering

        def aside() -> Route:
            return self._executors.route(ASIDE, work)

        if steering is None:
            lane = Lane(work, route, self._lanes.discard, aside)
        else:
            lane = Lane(work, route, self._let_go, aside, aside)
            steering.begin(lane)
        self._lanes.add(lane)
        return lane

    def _let_go(self, lane: Lane) -> None:
        self._lanes.discard(lane)
        if self._steering is not None:
            self._steering.end(lane)

    async def prepare(self, work: Work) -> None:
        """Starts the workers that this work goes to, and sets it up in them; see `Lane.prepare`."""
        async with self.lane(work):
            pass

    async def map(
        self, payloads: Iterable[Any] | AsyncIterable[Any], *, ordered: bool = True
    ) -> AsyncGenerator[Result]:
        """Calls the pool's function with each payload, and gives the results as an async iterator.

        A failure is a result too: `result.failure` says why, `result.unwrap()` raises. The input is taken lazily: a
        bounded number of payloads and bytes is between it and the consumer, so that a slow consumer slows the input.
        Leaving the loop early drops what waits.

        Args:
            payloads: picklable values. A plain iterable is read on the event loop, and should not block.
            ordered: in the order of the input, otherwise as they end; `result.index` says which.

        Raises:
            NotRunning: the pool is not open.
            UsageError: the pool has no function.
            Exception: whatever the input raised, after the results of what it gave before.
        """
        if self._work is None:
            raise UsageError("this pool has no function: write OffloadPool(function)")
        portions = self.workers * _PORTIONS_A_WORKER
        async with self.lane(self._work) as lane:
            max_items, max_bytes = portions * self.options.batch_items, portions * self.options.batch_bytes
            window = Window(lane, max_items, max_bytes, is_ordered=ordered)
            feeding = asyncio.create_task(window.feed(payloads))
            try:
                while (result := await window.next(feeding)) is not None:
                    yield result
            finally:
                feeding.cancel()
                await asyncio.wait([feeding])

    async def run(self, payload: Any) -> Any:
        """Calls the pool's function with one payload, and returns what it returns.

        Raises:
            FunctionFailed: it raised, or its payload or result does not pickle.
            WorkerCrashed: its worker process died.
            NotRunning: the pool is not open.
            UsageError: the pool has no function.
        """
        if self._work is None:
            raise UsageError("this pool has no function: write OffloadPool(function)")
        # One lane for all calls: what is measured of one serves the next.
        if self._own_lane is None:
            self._own_lane = self.lane(self._work)
        ended: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        job = self._own_lane.submit(payload, size_of(payload), ended.set_result)
        try:
            return (await ended).unwrap()
        finally:
            self._own_lane.forget(job)

    async def __aenter__(self) -> Self:
        script = import_under_way()
        if script is not None:
            raise HandlerNotImportable(
                f"{Path(script).name} starts a crawl or a pool when it is imported, as every worker does: "
                'put what starts it under if __name__ == "__main__"'
            )
        if self._is_open:
            raise UsageError("the pool is open already")
        self._is_open = True
        if self.options.executor == "auto":
            self._steering = Steering(self._executors, self.options)
        try:
            if self._work is not None:
                await self.prepare(self._work)
        except BaseException:
            await self._aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._aclose()

    async def _aclose(self) -> None:
        self._is_open = False
        self._own_lane = None
        for lane in list(self._lanes):
            lane.abort("pool_closed")
        await self._executors.aclose()
