"""The place of one worker process among its pool's: set up, given portions, and set up again when it dies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import scraper.errors
from scraper.errors import ScraperError, WorkerStartFailed
from scraper.offload.backlog import Job
from scraper.offload.describe import describe_exit
from scraper.offload.executor import Reply, not_ready, settle_reply
from scraper.offload.frames import Blob
from scraper.offload.progress import BUILDING, RUNNING, Doing
from scraper.offload.values import Work
from scraper.offload.worker_process import WorkerProcess
from scraper.options import OffloadOptions

# A worker that ends so often in a row without a page to blame (at its start, or idle) is not started again. Where
# none has ever come up, the sentence that says so shall not be long in coming.
_FRUITLESS_STARTS = 6
_FRUITLESS_FIRST_STARTS = 3

# Doubles with each fruitless start: what kills workers, such as a lack of memory, may pass within some seconds.
_PAUSE_S = 0.1


class Portion:
    """Jobs that one worker has, by their index; a job is taken out when it has ended or come back."""

    __slots__ = ("cpu_s", "cut_s", "is_alone", "items", "jobs", "received_s", "work")

    def __init__(self, work: Work, *, is_alone: bool) -> None:
        self.work = work
        self.is_alone = is_alone
        self.jobs: dict[int, Job] = {}
        self.items = 0
        self.cut_s = self.received_s = time.monotonic()
        self.cpu_s = 0.0

    def add(self, job: Job) -> None:
        self.jobs[self.items] = job
        self.items += 1


class Pool(Protocol):
    """What a slot tells the executor that it belongs to."""

    def on_ended(self, slot: Slot, report: Sequence[Any], blobs: list[memoryview], read_cpu_s: float) -> None:
        """Results have come, or payloads have come back."""

    def on_room(self) -> None:
        """The slot can take a portion."""

    def on_built(self, work: Work) -> None:
        """The worker has set this work up."""

    def on_fatal_build(self, work: Work, error: ScraperError) -> bool:
        """Setting this work up has ended or blocked the worker. Whether workers shall not try it again."""

    def on_death(self, slot: Slot, doing: Doing, returncode: int) -> None:
        """Its process has ended; the slot still has its portions, and is started again if it may be."""


class Slot:
    """One worker's place.

    Args:
        index: its number in the pool.
        options: of the pool.
        works: what every worker is to be able to do, by the number that goes over the wire; shared with the pool.
        pool: is told what happens.
    """

    def __init__(self, index: int, options: OffloadOptions, works: Mapping[Work, int], pool: Pool) -> None:
        self.index = index
        self._options = options
        self._works = works
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._builds: dict[Work, Reply] = {}
        self._deadline: asyncio.TimerHandle | None = None
        self._asked: dict[int, Work] = {}
        self._fruitless = 0
        self._was_ready = False
        self._restart: asyncio.TimerHandle | None = None
        self._overdue: WorkerStartFailed | None = None
        self.process: WorkerProcess | None = None
        self.portions: dict[int, Portion] = {}
        self.starts = 0
        self.is_starting = False
        self.late_portion: int | None = None  # it gave its rest back, and runs a page that takes long
        self.why_given_up: str | None = None

    @property
    def is_ready(self) -> bool:
        return self.process is not None and not self.is_starting

    @property
    def is_idle(self) -> bool:
        return not self.portions

    @property
    def outstanding(self) -> int:
        return sum(len(portion.jobs) for portion in self.portions.values())

    def start(self) -> None:
        """Starts a process and has it set up all works, if there are any and it was not in vain too often."""
        while self._works and self.why_given_up is None:
            try:
                self.process = WorkerProcess(self._options.batch_s, self._on_frame, self._on_end)
            except WorkerStartFailed as error:
                self._count_fruitless(str(error))
                continue
            self.starts += 1
            self.is_starting = True
            for work in self._works:
                self._ask(work)
            break

    def _start_again(self) -> None:
        self._restart = None
        self.start()
        if self.why_given_up is not None:
            self._pool.on_room()  # there will be none: it may have been the last slot

    def build(self, work: Work) -> None:
        """Has the worker set up a work, which stands among the works already."""
        if self.process is not None:
            self._ask(work)
        elif self._restart is None:
            self.start()

    def pending_build(self, work: Work) -> Reply | None:
        """Will be None when the worker has set the work up, or why it cannot; no reply if it has answered."""
        return self._builds.get(work)

    def run(self, number: int, portion: Portion, blobs: Sequence[Blob]) -> None:
        assert self.process is not None
        self.portions[number] = portion
        self.process.send(("run", number, self._works[portion.work]), blobs)

    def succeeded(self) -> None:
        self._fruitless = 0

    def stop(self) -> WorkerProcess | None:
        """Lets go of the process for good; the caller ends it."""
        self._give_up("the pool was closed")
        process, self.process = self.process, None
        return process

    def _ask(self, work: Work) -> None:
        assert self.process is not None
        number = self._works[work]
        self._asked[number] = work
        self._builds.setdefault(work, self._loop.create_future())
        self.process.send(("build", number, work.factory, work.args))
        if self._deadline is None:
            self._set_deadline()

    def _set_deadline(self) -> None:
        self._cancel_deadline()
        self._deadline = self._loop.call_later(self._options.start_timeout_s, self._on_deadline)

    def _on_frame(self, what: Any, blobs: list[memoryview], read_cpu_s: float) -> None:
        if self.process is None:  # it was let go, and is read from only so that it can end
            return
        match what:
            case ("ended", *report):
                self._pool.on_ended(self, report, blobs, read_cpu_s)
            case ("built", number, refusal):
                self._on_built(self._asked[number], refusal)

    def _on_built(self, work: Work, refusal: tuple[str, str] | None) -> None:
        error = None
        if refusal is not None:
            name, message = refusal
            error = getattr(scraper.errors, name, WorkerStartFailed)(message)
        else:
            self._pool.on_built(work)
        self._answer(work, error)
        if self._builds:
            self._set_deadline()
        else:
            self._cancel_deadline()
            self.is_starting = False
            self._was_ready = True
            self._pool.on_room()

    def _on_deadline(self) -> None:
        """It has not set up a work in time: a factory does not come to its end, or the interpreter to its start."""
        self._deadline = None
        if self.process is None:
            return
        doing = self.process.doing
        timeout_s = self._options.start_timeout_s
        if doing.state == BUILDING:
            self._overdue = not_ready(self._asked[doing.number], timeout_s)
            self.process.kill()
        elif self.is_starting:
            self._give_up(f"a worker process did not come up within {timeout_s:g} s")
            self.process.kill()
        else:  # a page runs, and the set-up waits behind it
            self._set_deadline()

    def _on_end(self, returncode: int) -> None:
        if self.process is None:
            return
        doing = self.process.doing
        self.process = None
        self.is_starting = False
        self._cancel_deadline()
        if doing.state == BUILDING:
            work = self._asked[doing.number]
            error = self._overdue or WorkerStartFailed(
                f"a worker process ended ({describe_exit(returncode)}) while it set up {work.title!r}"
            )
            self._overdue = None
            if self._pool.on_fatal_build(work, error):
                self._answer(work, error)
        elif not (doing.state == RUNNING and self.portions):
            self._count_fruitless(f"a worker process ended ({describe_exit(returncode)}) without a page")
        if self._was_ready and self._fruitless:
            self._restart = self._loop.call_later(_PAUSE_S * 2**self._fruitless, self._start_again)
        else:
            self.start()
        self._pool.on_death(self, doing, returncode)

    def _count_fruitless(self, why: str) -> None:
        self._fruitless += 1
        if self._fruitless >= (_FRUITLESS_STARTS if self._was_ready else _FRUITLESS_FIRST_STARTS):
            self._give_up(f"{why}, {self._fruitless} times in a row")

    def _give_up(self, why: str) -> None:
        self.why_given_up = self.why_given_up or why
        if self._restart is not None:
            self._restart.cancel()
            self._restart = None
        self._cancel_deadline()
        for work in list(self._builds):
            self._answer(work, WorkerStartFailed(why))

    def _answer(self, work: Work, error: ScraperError | None) -> None:
        reply = self._builds.pop(work, None)
        if reply is not None:
            settle_reply(reply, error)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
