"""What the lanes of a pool with `executor="auto"` share: what was measured, and whose turn it is to measure."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from scraper.offload.costs import Machine
from scraper.offload.executors import Executors
from scraper.offload.gil import gil_facts
from scraper.offload.interpreters import loads_in_interpreter
from scraper.offload.isolation import why_unsupported
from scraper.offload.lane import Lane, Route
from scraper.offload.machine import known_machine
from scraper.offload.portions import PortionExecutor
from scraper.offload.router import Observer, Router
from scraper.offload.strategy import ASIDE, choose
from scraper.offload.values import Place, Strategy, Work
from scraper.options import ExecutorName, OffloadOptions


class Steering:
    """Steers lanes, each by a task of its own, and remembers for later lanes what was chosen for a work.

    Args:
        executors: of the pool.
        options: of the pool.
    """

    def __init__(self, executors: Executors, options: OffloadOptions) -> None:
        self._executors = executors
        self._options = options
        self._turn = asyncio.Lock()
        self._chosen: dict[Work, Strategy] = {}
        self._tasks: dict[Lane, asyncio.Task[None]] = {}
        self._loads: dict[Work, bool] = {}
        self._machine = known_machine()
        self._closed_items = 0
        self.predicted: dict[Work, Mapping[Place, float]] = {}

    def strategy(self, work: Work) -> Strategy:
        """Where a new lane's payloads go: as last measured, or as is known of the work."""
        return self._chosen.get(work) or choose(work, self._options, has_gil=self.machine.has_gil)

    def begin(self, lane: Lane) -> None:
        task = asyncio.create_task(Router(lane, self, self._turn).run())
        task.add_done_callback(_report)
        self._tasks[lane] = task

    def end(self, lane: Lane) -> None:
        self._closed_items += lane.items + lane.unended
        self._tasks.pop(lane).cancel()

    # what a router asks

    @property
    def machine(self) -> Machine:
        # A GIL that was off may be on since a handler's module was imported.
        return replace(self._machine, has_gil=gil_facts().is_gil_enabled)

    @property
    def workers(self) -> int | None:
        return self._options.workers

    @property
    def submitted_items(self) -> int:
        return self._closed_items + sum(lane.items + lane.unended for lane in self._tasks)

    def route(self, strategy: Strategy, work: Work) -> Route:
        return self._executors.route(strategy, work)

    def observer(self, work: Work, strategy: Strategy) -> tuple[Route, Observer]:
        route = self._executors.route(strategy if strategy.executor == "process" else ASIDE, work)
        assert isinstance(route.executor, PortionExecutor)
        return route, route.executor

    @property
    def executors(self) -> Sequence[ExecutorName]:
        names: tuple[ExecutorName, ...] = ("inline", "thread", "process")
        return names if why_unsupported() is not None else (*names, "interpreter")

    async def loads(self, work: Work) -> bool:
        if work not in self._loads:
            self._loads[work] = await loads_in_interpreter(work) is None
        return self._loads[work]

    def chose(self, work: Work, strategy: Strategy, predicted: Mapping[Place, float]) -> None:
        self._chosen[work] = strategy
        self.predicted[work] = predicted


def _report(task: asyncio.Task[None]) -> None:
    """A router that fails leaves its lane where it is; that it failed is a bug to be seen."""
    with contextlib.suppress(asyncio.CancelledError):
        error = task.exception()
        if error is not None:
            task.get_loop().call_exception_handler({"message": "choosing an executor failed", "exception": error})
