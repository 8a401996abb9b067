"""The executors of one pool, each started when a work first needs it."""

from __future__ import annotations

from contextlib import AsyncExitStack

from scraper.offload.backlog import Queue
from scraper.offload.executor import Executor
from scraper.offload.inline import InlineExecutor
from scraper.offload.interpreters import InterpreterExecutor
from scraper.offload.lane import Route
from scraper.offload.processes import ProcessExecutor
from scraper.offload.threads import ThreadExecutor
from scraper.offload.values import ExecutorStatistics, Place, Strategy, Work
from scraper.options import OffloadOptions


class Executors:
    """Executors by place: of one kind there may be several, with different numbers of workers.

    Args:
        options: portions and limits.
    """

    def __init__(self, options: OffloadOptions) -> None:
        self._options = options
        self._by_place: dict[Place, Executor] = {}

    def route(self, strategy: Strategy, work: Work) -> Route:
        """A lane's way to the executor of a strategy, which starts no workers before it is prepared or used.

        Raises:
            UsageError: this system has no such executor.
        """
        executor = self._by_place.get(strategy.place)
        if executor is None:
            executor = self._by_place[strategy.place] = self._make(strategy)
        return Route(strategy, executor, Queue(work))

    def _make(self, strategy: Strategy) -> Executor:
        match strategy.executor:
            case "inline":
                return InlineExecutor()
            case "thread":
                return ThreadExecutor(self._options, strategy.workers)
            case "interpreter":
                return InterpreterExecutor(self._options, strategy.workers)
            case _:
                return ProcessExecutor(self._options, strategy.workers)

    def statistics(self) -> tuple[ExecutorStatistics, ...]:
        return tuple(executor.statistics() for executor in self._by_place.values())

    async def aclose(self) -> None:
        async with AsyncExitStack() as stack:  # which closes every one, whatever happens to the others
            for executor in self._by_place.values():
                stack.push_async_callback(executor.aclose)
            self._by_place.clear()
