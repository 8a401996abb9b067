"""What a pool needs of a place where functions run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from scraper.errors import ScraperError, WorkerStartFailed
from scraper.model import Failure, Stage
from scraper.offload.backlog import Job, Queue
from scraper.offload.describe import describe_error
from scraper.offload.values import ExecutorStatistics, Work


class Executor(Protocol):
    """Runs jobs. Every method is called on the event loop."""

    async def prepare(self, work: Work) -> None:
        """Starts the workers that are not up yet, and builds the work's function in them.

        Returns when it is built in every worker that was idle, or in one if all were busy; a busy worker builds it
        before it takes its first payload.

        Raises:
            UsageError: the factory refused, as it does for a handler that does not import.
            WorkerStartFailed: a worker did not come up, or the factory failed otherwise.
        """

    def submit(self, job: Job) -> None:
        """Takes a job, prepared work or not, and ends it exactly once unless its queue is dropped."""

    def drop(self, queue: Queue) -> None:
        """Forgets what waits in a queue; what runs is finished, and its result dropped."""

    def statistics(self) -> ExecutorStatistics: ...

    async def aclose(self) -> None:
        """Ends the workers. Nothing of them is left when this returns or is cancelled."""


def build_error(work: Work, error: BaseException) -> ScraperError:
    """What a failing factory means to whoever opened the lane."""
    if isinstance(error, ScraperError):
        return error
    return WorkerStartFailed(f"{work.title!r} could not be set up in a worker: {describe_error(error)}")


def build_failure(error: ScraperError) -> Failure:
    """The same for a page that was submitted without waiting for the set-up."""
    is_handler = type(error).__name__ == "HandlerNotImportable"
    return Failure(Stage.EXTRACT, "handler_not_importable" if is_handler else "worker_start_failed", str(error))


Reply = asyncio.Future[ScraperError | None]


async def first_replies(idle: Sequence[Reply], busy: Sequence[Reply]) -> None:
    """Waits for every idle worker, or if there is none for the first of the busy ones.

    Raises:
        ScraperError: what a worker answered.
    """
    if idle:
        await asyncio.wait(idle)
    elif busy:
        await asyncio.wait(busy, return_when=asyncio.FIRST_COMPLETED)
    for reply in (*idle, *busy):
        if reply.done() and not reply.cancelled():
            error = reply.result()
            if error is not None:
                raise error
