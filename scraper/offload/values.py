"""What goes into a pool, what comes out, and what it says about itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from scraper.errors import FunctionFailed, ParseTimeout, ScraperError, WorkerCrashed, WorkerError, WorkerStartFailed
from scraper.handlers import name_of
from scraper.model import Failure
from scraper.options import ExecutorName

Known = Literal["releases_gil", "holds_gil", "unknown"]

Place = tuple[ExecutorName, int]
"""An executor of a pool: its kind, and how many workers it has."""


@dataclass(frozen=True, slots=True)
class Work:
    """What workers do with each payload, written down by name so that it can cross to another process.

    Args:
        factory: `MODULE:NAME` of a function that a worker calls once (each thread of a thread executor, each
            worker process), and that returns the function of one payload. What has to be ready before the
            first payload, such as a parser of its own, belongs there.
        args: what the factory is called with.
        known: whether the work is known to release the GIL for most of its time.
    """

    factory: str
    args: tuple[str, ...] = ()
    known: Known = "unknown"

    @classmethod
    def of(cls, function: Callable[[Any], Any] | str, known: Known = "unknown") -> Work:
        """The work that calls this function with each payload.

        Raises:
            HandlerNotImportable: the function has no name that a worker could import.
        """
        return cls("scraper.handlers:resolve", (name_of(function),), known)

    @property
    def title(self) -> str:
        """How the work is called in messages: by what the user wrote, which stands last."""
        return self.args[-1] if self.args else self.factory


@dataclass(slots=True, eq=False)
class Result:
    """The end of one payload. The four times add up to the time from submission to delivery.

    Args:
        value: what the function returned; None if it failed.
        failure: why there is no value.
        queue_s: waited for a worker, in the parent or behind others of its portion.
        handoff_s: on its way to the worker, serialisation at both ends included.
        run_s: in the function.
        return_s: on its way back, serialisation and the wait for the rest of its portion included.
        handoff_cpu_s, return_cpu_s: CPU time of the event loop's thread, an equal share of its portion's.
        executor: where it ran.
        worker: which worker ran it, None if none did.
        index: its place in the input of `OffloadPool.map`.
    """

    value: Any = None
    failure: Failure | None = None
    queue_s: float = 0.0
    handoff_s: float = 0.0
    run_s: float = 0.0
    return_s: float = 0.0
    handoff_cpu_s: float = 0.0
    return_cpu_s: float = 0.0
    executor: ExecutorName = "inline"
    worker: int | None = None
    index: int | None = None

    def unwrap(self) -> Any:
        """The value.

        Raises:
            FunctionFailed: the function raised or asked for too much memory, or its payload or result does not pickle.
            WorkerCrashed: its worker process died under this payload.
            ParseTimeout: it ran past its deadline.
            WorkerStartFailed: no worker could be started for it.
            WorkerError: all workers run past a deadline, and cannot be stopped.
        """
        if self.failure is None:
            return self.value
        error = _ERRORS.get(self.failure.reason, FunctionFailed)
        raise error(f"{self.failure.reason}: {self.failure.detail}")


_ERRORS: dict[str, type[ScraperError]] = {
    "parse_timeout": ParseTimeout,
    "worker_crashed": WorkerCrashed,
    "worker_start_failed": WorkerStartFailed,
    "workers_lost": WorkerError,
}


@dataclass(frozen=True, slots=True)
class Strategy:
    """Where a work runs, and why there."""

    executor: ExecutorName
    workers: int
    why: str

    @property
    def place(self) -> Place:
        return self.executor, self.workers


@dataclass(frozen=True, slots=True)
class ExecutorStatistics:
    """One executor at one moment; what is not a state is a count since its start.

    Args:
        executor: its name.
        workers: threads or processes that are up.
        running: payloads that workers have and have not answered.
        waiting, waiting_bytes: payloads that no worker has yet.
        batches: deliveries; items / batches says how far the cost of one is shared.
        items: payloads that ended.
        returned: payloads that a worker gave back unstarted because another one took long.
        crashes: worker processes that died under a payload.
        restarts: worker processes that were started in place of one that died.
        timeouts: workers that were ended or given up because a payload ran past its deadline.
        lost: of those given up, how many still run.
        recovered: how many came back.
        recycled: workers that were replaced because of their age or size.
    """

    executor: ExecutorName
    workers: int
    running: int
    waiting: int
    waiting_bytes: int
    batches: int
    items: int
    returned: int = 0
    crashes: int = 0
    restarts: int = 0
    timeouts: int = 0
    lost: int = 0
    recovered: int = 0
    recycled: int = 0

    def __str__(self) -> str:
        events = ("crashes", "timeouts", "lost", "recycled")
        told = [f"{count} {name}" for name in events if (count := getattr(self, name))]
        return ", ".join([f"{self.workers} workers", f"{self.running} running", f"{self.waiting} waiting", *told])


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """The executors that a pool has started."""

    executors: tuple[ExecutorStatistics, ...]

    @property
    def running(self) -> int:
        return sum(each.running for each in self.executors)

    @property
    def waiting(self) -> int:
        return sum(each.waiting for each in self.executors)

    @property
    def items(self) -> int:
        return sum(each.items for each in self.executors)
