"""What a pool needs of a place where functions run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from scraper.errors import ScraperError, WorkerStartFailed
from scraper.model import Failure, Stage
from scraper.offload.backlog import Job, Queue
from scraper.offload.describe import setup_reason
from scraper.offload.values import ExecutorStatistics, Work

# What to do about it, in every message that tells of something that cannot be stopped.
CAN_BE_ENDED = "executor process can kill what runs away"


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
        """Takes a job, prepared work or not, and ends it exactly once unless its queue is dropped.

        A suspect has a worker to itself, where that helps: where a worker can be ended.
        """

    def drop(self, queue: Queue) -> list[Job]:
        """Takes out what waits in a queue, in order; what runs is finished."""

    def statistics(self) -> ExecutorStatistics: ...

    async def aclose(self) -> None:
        """Ends the workers. Nothing of them is left when this returns or is cancelled."""


def setup_failure(error: ScraperError) -> Failure:
    """What a failing factory means to a page that was submitted without waiting for the set-up."""
    return Failure(Stage.EXTRACT, setup_reason(error), str(error))


Reply = asyncio.Future[ScraperError | None]


def settle_reply(reply: Reply, error: ScraperError | None) -> None:
    if not reply.done():
        reply.set_result(error)


async def first_replies(
    work: Work, idle: Sequence[Reply], busy: Sequence[Reply], timeout_s: float | None = None
) -> None:
    """Waits for every idle worker, or if there is none for the first of the busy ones.

    Raises:
        ScraperError: what a worker answered.
        WorkerStartFailed: an idle worker did not answer in time. (A busy one may have a long page.)
    """
    if not idle and not busy:
        return
    when = asyncio.ALL_COMPLETED if idle else asyncio.FIRST_COMPLETED
    done, late = await asyncio.wait(idle or busy, timeout=timeout_s, return_when=when)
    for reply in done:
        error = reply.result()
        if error is not None:
            raise error
    if idle and late:
        raise not_ready(work, timeout_s or 0.0)


def not_ready(work: Work, timeout_s: float) -> WorkerStartFailed:
    return WorkerStartFailed(
        f"{work.title!r} was not ready within {timeout_s:g} s: a worker imports its module, "
        'so what the module does at import belongs under if __name__ == "__main__"'
    )
